//! A collector of traces: takes spans as the OTLP specification describes them, over HTTP as protobuf, and keeps them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as SpanStatus};
use prost::Message;

use super::namespace::PATIENCE;
use super::{Observation, until};

/// The media type of protobuf in OTLP/HTTP.
const PROTOBUF: &str = "application/x-protobuf";

/// A collector of traces.
#[derive(Debug)]
pub struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<CollectedSpan>,
    bodies: Vec<Bytes>,
    wrong: Vec<String>,
}

/// A span that was received. Ids are hexadecimal, and times are nanoseconds of Unix time.
#[derive(Clone, Debug)]
pub struct CollectedSpan {
    /// The trace's id.
    pub trace: String,
    /// The span's own id.
    pub id: String,
    /// The id of the parent; empty if there is none.
    pub parent: String,
    /// The name.
    pub name: String,
    /// The beginning.
    pub begin: u64,
    /// The end.
    pub end: u64,
    /// The attributes.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the program that sent it.
    pub resource: BTreeMap<String, String>,
    /// The status is an error.
    pub is_error: bool,
}

impl Collector {
    /// Starts the collector.
    pub fn listen() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen as a collector")?;
        listener.set_nonblocking(true).context("listen as a collector")?;
        let url = format!("http://{}/otlp", listener.local_addr().context("read the address of the collector")?);
        let received = Arc::new(Mutex::new(Received::default()));
        let routes = Router::new().route("/otlp/v1/traces", post(take)).with_state(received.clone());
        // The thread ends with the process. It has a runtime of its own, because tests block theirs while they wait.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    drop(axum::serve(listener, routes).await);
                }
            });
        });
        Ok(Self { url, received })
    }

    /// Returns the URL of the collector.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns whether a request had this text in it.
    #[must_use]
    pub fn received(&self, text: &str) -> bool {
        let holds = |body: &Bytes| body.windows(text.len()).any(|part| part == text.as_bytes());
        lock(&self.received).bodies.iter().any(holds)
    }

    /// Waits for the span of a whole change of which `wanted` holds. Returns the spans of its trace in the order of their
    /// beginnings, and fails if a request was not as OTLP defines it.
    pub fn wait_for_change(&self, wanted: impl Fn(&CollectedSpan) -> bool) -> anyhow::Result<Vec<CollectedSpan>> {
        until("the trace of a change", PATIENCE, || {
            let received = lock(&self.received);
            ensure!(received.wrong.is_empty(), "the collector refuses {:?}", received.wrong);
            let Some(change) = received.spans.iter().find(|span| span.name == "change" && wanted(span)) else {
                return Ok(Observation::NotYet(format!("{:?}", received.spans)));
            };
            let mut spans: Vec<_> = received.spans.iter().filter(|span| span.trace == change.trace).cloned().collect();
            spans.sort_by_key(|span| span.begin);
            Ok(Observation::Done(spans))
        })
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(
    State(received): State<Arc<Mutex<Received>>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], Vec<u8>) {
    let mut received = lock(&received);
    let answer = match read(&headers, &body) {
        Ok(spans) => {
            received.spans.extend(spans);
            received.bodies.push(body);
            (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec())
        }
        Err(error) => {
            received.wrong.push(format!("{error:#}"));
            (StatusCode::BAD_REQUEST, Vec::new())
        }
    };
    (answer.0, [("content-type", PROTOBUF)], answer.1)
}

fn read(headers: &HeaderMap, body: &Bytes) -> anyhow::Result<Vec<CollectedSpan>> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    ensure!(kind == Some(PROTOBUF), "a body of the type {kind:?}");
    let request = ExportTraceServiceRequest::decode(body.clone()).context("decode the body")?;
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(&of_resource.resource.unwrap_or_default().attributes);
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(collected(span, resource.clone())?);
        }
    }
    Ok(spans)
}

fn collected(span: Span, resource: BTreeMap<String, String>) -> anyhow::Result<CollectedSpan> {
    ensure!(span.trace_id.len() == 16 && span.span_id.len() == 8, "ids of another length: {span:?}");
    ensure!(span.parent_span_id.is_empty() || span.parent_span_id.len() == 8, "a parent of another length: {span:?}");
    ensure!(!span.name.is_empty() && span.start_time_unix_nano <= span.end_time_unix_nano, "no span: {span:?}");
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(CollectedSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: attributes(&span.attributes),
        resource,
        is_error: span.status.is_some_and(|status| status.code == SpanStatus::Error as i32),
        begin: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        name: span.name,
    })
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    pairs.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().map_or_else(String::new, text))).collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
