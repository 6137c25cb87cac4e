//! The answers for the kubelet and for Prometheus.

use std::fmt::{self, Write as _};

use http::StatusCode;
use http::header::RETRY_AFTER;
use prometheus_client::encoding::text::encode_eof;

use crate::http::agent::Agent;
use crate::http::answer::{Answer, answer, wrong_method};

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers a request for a probe or for the metrics; `None` for another path.
pub(super) fn probe(agent: &Agent, method: &http::Method, path: &str) -> Option<Answer> {
    if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
        return None;
    }
    if !matches!(method.as_str(), "GET" | "HEAD") {
        return Some(wrong_method("GET, HEAD"));
    }
    Some(match path {
        "/healthz" => answer(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => ready(agent),
        _ => metrics(agent),
    })
}

/// Answers whether the agent is ready: there is a version to evaluate from, and the agent does not end.
fn ready(agent: &Agent) -> Answer {
    let reason = match agent.serving.served() {
        _ if agent.shutdown.is_cancelled() => "the agent ends\n".to_owned(),
        Ok(_) => return answer(StatusCode::OK, TEXT, "ok\n"),
        Err(error) => format!("{error}\n"),
    };
    let mut answer = answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, reason);
    answer.headers_mut().insert(RETRY_AFTER, http::HeaderValue::from_static("1"));
    answer
}

fn metrics(agent: &Agent) -> Answer {
    let mut text = String::with_capacity(4096);
    // Writing to a String never fails.
    let _ = write_metrics(agent, &mut text);
    answer(StatusCode::OK, OPEN_METRICS, text)
}

fn write_metrics(agent: &Agent, text: &mut String) -> fmt::Result {
    agent.metrics.write(text)?;
    for (name, value) in agent.serving.workspace().status().metrics() {
        // The family of a counter has the name without the suffix.
        let (family, kind) = name.strip_suffix("_total").map_or((name, "gauge"), |family| (family, "counter"));
        writeln!(text, "# TYPE {family} {kind}\n{name} {value}")?;
    }
    encode_eof(text)
}
