//! The answers for the kubelet and for Prometheus.

use std::fmt::Write as _;

use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::http::agent::Agent;
use crate::http::answer::{Answer, answer, wrong_method};

const TEXT: &str = "text/plain; charset=utf-8";

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
    let mut text = agent.metrics.text();
    for (name, value) in agent.serving.workspace().status().metrics() {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a String never fails.
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
