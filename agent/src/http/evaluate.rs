//! Single and bulk evaluation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::evaluation::bulk::{bulk, etag, is_known};
use crate::evaluation::fault::{Code, Fault, LONGEST_KEY};
use crate::evaluation::single::single;
use crate::http::agent::Agent;
use crate::http::answer::{self, Answer, AnswerBody, json, permitted, refusal, unavailable, wrong_encoding};
use crate::http::body::ReadBody;
use crate::serving::Served;

/// The time for which a bulk request waits for its turn to be answered.
const TURN: Duration = Duration::from_secs(2);
/// The time for which a bulk request waits for the version that an event stream announced to its caller. Another agent
/// behind the same address may have announced it a moment before this one gets it.
const ANNOUNCED: Duration = Duration::from_millis(500);

/// Answers with the value of the variable that the end of the path names.
pub(super) async fn evaluate_single(agent: &Agent, request: Request<Incoming>, key: &str) -> Answer {
    let (parts, body) = request.into_parts();
    let key = percent_decode_str(key).decode_utf8_lossy();
    let body = match read(agent, &parts.headers, body).await {
        Ok(body) => body,
        Err(answer) => return *answer,
    };
    let asked = Instant::now();
    let served = match agent.serving.served() {
        Ok(served) => served,
        Err(error) => return not_ready(agent, &error, Some(&key)),
    };
    let evaluated = if key.len() > LONGEST_KEY {
        Err(Fault::new(Code::FlagNotFound, format!("no variable has a name of more than {LONGEST_KEY} bytes")))
    } else {
        single(&served, &key, &body.bytes, &agent.attribute)
    };
    let answer = match evaluated {
        Ok(body) => {
            agent.metrics.single.inc();
            json(StatusCode::OK, body)
        }
        Err(fault) => {
            fault.code.count(&agent.metrics.errors);
            answer::fault(&fault, Some(&key))
        }
    };
    agent.metrics.durations.single(asked.elapsed());
    answer
}

/// Reads the body of an evaluation, or returns the refusal of it.
async fn read(agent: &Agent, headers: &HeaderMap, body: Incoming) -> Result<ReadBody, Box<Answer>> {
    if is_encoded(headers) {
        agent.bodies.discard_unread(headers, body).await;
        return Err(Box::new(wrong_encoding()));
    }
    agent.bodies.read(headers, body, &agent.metrics).await
}

/// Returns whether a body is compressed, which it may not be.
fn is_encoded(headers: &HeaderMap) -> bool {
    let is_plain = |line: &HeaderValue| line.is_empty() || line.as_bytes().eq_ignore_ascii_case(b"identity");
    !headers.get_all(CONTENT_ENCODING).iter().all(is_plain)
}

/// Answers with the values of all variables, unless the caller has that answer already.
pub(super) async fn evaluate_bulk(agent: &Agent, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = match read(agent, &parts.headers, body).await {
        Ok(body) => body,
        Err(answer) => return *answer,
    };
    if let Some((etag, applied)) = parts.uri.query().and_then(announced) {
        agent.serving.until_served(&etag, applied, ANNOUNCED).await;
    }
    let served = match agent.serving.served() {
        Ok(served) => served,
        Err(error) => return not_ready(agent, &error, None),
    };
    // From here on: a caller that comes for an announced version may have waited for it.
    let asked = Instant::now();
    let etag = etag(&served, &body.bytes);
    let Ok(header) = HeaderValue::from_str(&etag) else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the ETag can't be sent", None);
    };
    if is_known(parts.headers.get_all(IF_NONE_MATCH), &etag) {
        agent.metrics.bulk_unchanged.inc();
        let mut answer = Answer::new(AnswerBody::Full(Bytes::new()));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer.headers_mut().insert(ETAG, header);
        agent.metrics.durations.bulk(asked.elapsed());
        return answer;
    }
    let mut answer = evaluate_all(agent, &served, &body.bytes).await;
    if answer.status() == StatusCode::OK {
        answer.headers_mut().insert(ETAG, header);
    }
    agent.metrics.durations.bulk(asked.elapsed());
    answer
}

async fn evaluate_all(agent: &Agent, served: &Served, body: &[u8]) -> Answer {
    // The permit is held until the answer is sent: answers of a large workspace take memory.
    let Ok(Ok(permit)) = tokio::time::timeout(TURN, Arc::clone(&agent.bulk_answers).acquire_owned()).await else {
        agent.metrics.refused.bulk.inc();
        return unavailable("the agent sends as many bulk answers at once as it may", None);
    };
    match bulk(served, body, &agent.attribute, &agent.events, &agent.metrics).await {
        Ok(body) => {
            agent.metrics.bulk.inc();
            json(StatusCode::OK, permitted(body, permit))
        }
        Err(fault) => {
            fault.code.count(&agent.metrics.errors);
            answer::fault(&fault, None)
        }
    }
}

/// Returns the version that an event stream announced to the caller, and its time, if the caller comes for one.
fn announced(query: &str) -> Option<(String, Option<i64>)> {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let etag = percent_decode_str(value("flagConfigEtag")?).decode_utf8_lossy().trim_matches('"').to_owned();
    Some((etag, value("flagConfigLastModified").and_then(|applied| applied.parse().ok())))
}

/// Returns the answer while no version is loaded.
fn not_ready(agent: &Agent, error: &rototo::Error, key: Option<&str>) -> Answer {
    Code::General.count(&agent.metrics.errors);
    unavailable(error.to_string(), key)
}
