//! Reads a number from the answer of Prometheus' HTTP API. Pure.

use rototo_source::{InvalidAddress, RequestFault};
use serde::Deserialize;

use crate::source::credentials::SecretError;

/// The reason why a measurement has no number.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoResult {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The credentials can't be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// The server refuses the query, or fails.
    #[error("the server does not answer the query ({0}): try it there")]
    Refused(&'static str),
    /// The server answers with another status.
    #[error("the server answered {0}, and no number")]
    Status(u16),
    /// The answer is not one of Prometheus.
    #[error("the answer is not one of Prometheus' API: check the address")]
    Unreadable,
    /// No series matches.
    #[error("the query returned no series")]
    Empty,
    /// Several series match.
    #[error("the query returned {0} series, and must return one number: add sum() or max()")]
    Several(usize),
    /// The query returns a series over time, a histogram, or a text.
    #[error("the query returned a {0}, and must return one number")]
    NoNumber(&'static str),
}

impl NoResult {
    /// Returns a code for metrics.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Address(_) => "address_invalid",
            Self::Secret(_) => "secret_unusable",
            Self::Request(fault) => fault.code(),
            Self::Refused(_) => "query_refused",
            Self::Status(_) => "status",
            Self::Unreadable => "unreadable",
            Self::Empty => "empty",
            Self::Several(_) => "several",
            Self::NoNumber(_) => "no_number",
        }
    }
}

/// The kinds of errors that Prometheus names. Nothing else of an error is shown: the text may be of another service.
const ERRORS: [&str; 8] =
    ["bad_data", "timeout", "canceled", "execution", "internal", "unavailable", "not_found", "not_acceptable"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Scalar((f64, String)),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

/// One series has a number, or a histogram.
#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    value: Option<(f64, String)>,
    #[serde(default)]
    histogram: Option<serde::de::IgnoredAny>,
}

/// Returns the number that an answer has. It need not be finite.
pub(super) fn number(status: u16, body: &[u8]) -> Result<f64, NoResult> {
    let answer = serde_json::from_slice::<Answer>(body).ok();
    let error = answer.as_ref().and_then(|answer| answer.error_type.as_deref());
    if let Some(error) = error.and_then(|error| ERRORS.into_iter().find(|known| *known == error)) {
        return Err(NoResult::Refused(error));
    }
    if status != 200 {
        return Err(NoResult::Status(status));
    }
    let text = match answer.and_then(|answer| answer.data).ok_or(NoResult::Unreadable)? {
        Data::Scalar((_, text)) => text,
        Data::Vector(series) => match <[Series; 1]>::try_from(series) {
            Ok([Series { value: Some((_, text)), .. }]) => text,
            Ok([Series { histogram: Some(_), .. }]) => return Err(NoResult::NoNumber("histogram")),
            Ok(_) => return Err(NoResult::Unreadable),
            Err(series) if series.is_empty() => return Err(NoResult::Empty),
            Err(series) => return Err(NoResult::Several(series.len())),
        },
        Data::Matrix(_) => return Err(NoResult::NoNumber("series over time")),
        Data::String(_) => return Err(NoResult::NoNumber("text")),
    };
    text.parse().map_err(|_| NoResult::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<f64, &'static str> {
        number(status, body.as_bytes()).map_err(|error| error.code())
    }

    fn vector(series: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
    }

    #[test]
    fn one_series_or_a_scalar_is_a_number() {
        let one = r#"{"metric":{"job":"x"},"value":[1435781451.781,"0.25"]}"#;
        assert_eq!(read(200, &vector(one)), Ok(0.25));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1435781451,"-1e-3"]}}"#;
        assert_eq!(read(200, scalar), Ok(-0.001));
        assert!(read(200, &vector(&one.replace("0.25", "NaN"))).unwrap().is_nan());
        assert_eq!(read(200, &vector(&one.replace("0.25", "+Inf"))), Ok(f64::INFINITY));
    }

    #[test]
    fn anything_else_is_no_number_and_says_why() {
        let one = r#"{"metric":{},"value":[1,"2"]}"#;
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[]}]}}"#;
        let histogram = r#"{"metric":{},"histogram":[1,{"count":"2","sum":"3","buckets":[[1,"0","1","2"]]}]}"#;
        let refused = r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error"}"#;
        let other = r#"{"status":"error","errorType":"of another service","error":"x"}"#;
        for (status, body, expected) in [
            (200, vector("").as_str(), "empty"),
            (200, &vector(&format!("{one},{one}")), "several"),
            (200, &vector(&one.replace("\"2\"", "\"two\"")), "unreadable"),
            (200, matrix, "no_number"),
            (200, &vector(histogram), "no_number"),
            (200, &vector(r#"{"metric":{}}"#), "unreadable"),
            (200, "<html>", "unreadable"),
            (200, "{}", "unreadable"),
            (200, "", "unreadable"),
            (400, refused, "query_refused"),
            (400, other, "status"),
            (401, "", "status"),
            (503, &vector(one), "status"),
        ] {
            assert_eq!(read(status, body), Err(expected), "{body}");
        }
        let error = number(200, vector(histogram).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("returned a histogram, and must return one number"), "{error}");
    }
}
