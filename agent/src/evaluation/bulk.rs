//! `POST /ofrep/v1/evaluate/flags`: the values of all variables for one context.

use http::HeaderValue;
use rototo::ResolveOptions;

use crate::evaluation::event_streams::EventsUri;
use crate::evaluation::fault::{Code, Fault};
use crate::evaluation::request::{EvaluationContext, TargetingAttribute};
use crate::evaluation::single::mismatch;
use crate::evaluation::write_evaluation;
use crate::metrics::Metrics;
use crate::serving::{Served, short_digest};

/// The number of variables after which a bulk answer lets other requests go first.
const TURN: usize = 256;

/// Returns the ETag of the answer to a body, which is the same as long as version and body are.
pub(crate) fn etag(served: &Served, body: &[u8]) -> String {
    format!("\"{}\"", short_digest(&[served.etag.as_bytes(), body]))
}

/// Returns whether a caller with these lines of `If-None-Match` has the answer with this ETag already.
pub(crate) fn is_known<'a>(if_none_match: impl IntoIterator<Item = &'a HeaderValue>, etag: &str) -> bool {
    let lines = if_none_match.into_iter().filter_map(|line| line.to_str().ok());
    let mut known = lines.flat_map(|line| line.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// Evaluates all variables for the context in `body`. A variable without a value for this context has its error in its
/// place.
pub(crate) async fn bulk(
    served: &Served,
    body: &[u8],
    attribute: &TargetingAttribute,
    events: &EventsUri,
    metrics: &Metrics,
) -> Result<Vec<u8>, Fault> {
    let mut context = EvaluationContext::read(body, attribute)?;
    let workspace = &served.workspace;
    // Once, and not for each variable.
    if let Err(error) = workspace.validate_facts(&context.facts) {
        return Err(mismatch(served, &error, &context));
    }
    let options = ResolveOptions { validate_context: false };
    let general = |error: rototo::Error| Fault::new(Code::General, error.to_string());
    let prepared = workspace.prepare(std::mem::take(&mut context.facts)).map_err(general)?;
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(b"{\"flags\":[");
    let (mut values, mut first) = (0, true);
    for (number, id) in (1..).zip(workspace.variables()) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        match workspace.resolve_with_cause(id, &prepared, options) {
            Ok((resolution, cause)) => {
                write_evaluation(&mut out, &resolution, cause, served);
                values += 1;
            }
            Err(error) => {
                let fault = context.fault(&error);
                fault.code.count(&metrics.errors);
                fault.write(&mut out, Some(id));
            }
        }
        if number % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    out.extend_from_slice(b"],");
    out.extend_from_slice(&served.metadata);
    out.push(b',');
    events.write(&mut out);
    out.push(b'}');
    metrics.bulk_values.inc_by(values);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_known_etags_may_match_and_weakly_too() {
        let known = |header: &str| is_known(Some(&HeaderValue::from_str(header).unwrap()), "\"b\"");
        assert!(known("\"b\""));
        assert!(known("\"a\", \"b\""));
        assert!(known("W/\"b\""));
        assert!(known("*"));
        assert!(!known("b"));
        assert!(!known("\"a\""));
        assert!(!known(""));
        assert!(!is_known(None, "\"b\""));
    }
}
