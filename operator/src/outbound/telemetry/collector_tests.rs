//! A collector that is away or never answers costs spans, and nobody waits for it.

use std::net::TcpListener;

use axum::http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use prometheus_client::encoding::text::encode;

use super::*;

fn span() -> SpanData {
    let context =
        SpanContext::new(TraceId::from(1), SpanId::from(2), TraceFlags::SAMPLED, false, TraceState::default());
    SpanData {
        span_context: context,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "change".into(),
        start_time: std::time::SystemTime::UNIX_EPOCH,
        end_time: std::time::SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: Default::default(),
    }
}

fn counted(telemetry: &Telemetry, outcome: &str) -> Option<u64> {
    let mut registry = Registry::with_prefix("rototo");
    telemetry.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let series = format!("rototo_spans_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_beyond_the_queue_are_dropped_and_counted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let telemetry = Telemetry::new(Some(&endpoint), "test").unwrap();
    telemetry.send(vec![span(); 2_048 + 5]);
    assert_eq!(counted(&telemetry, "dropped"), Some(5));
    // The end does not wait for an answer either.
    telemetry.end(Duration::from_millis(1)).await;
    assert_eq!(counted(&telemetry, "dropped"), Some(2_048 + 5));
    assert_eq!(counted(&telemetry, "sent"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_nobody_takes_are_counted() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let telemetry = Telemetry::new(Some(&format!("http://{away}").parse().unwrap()), "test").unwrap();
    telemetry.send(vec![span(); 3]);
    let failed = async {
        while counted(&telemetry, "failed").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), failed).await.expect("the spans to fail");
    assert_eq!(counted(&telemetry, "failed"), Some(3));
}

#[test]
fn without_a_collector_there_is_neither_thread_nor_connection() {
    // A thread or a connection would need a runtime.
    let telemetry = Telemetry::new(None, "test").unwrap();
    assert!(!telemetry.is_on());
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers: HeaderMap = [("traceparent".parse().unwrap(), traceparent.parse().unwrap())].into_iter().collect();
    assert!(telemetry.sender(&headers).is_none());
    telemetry.send(vec![span()]);
    assert_eq!(counted(&telemetry, "dropped"), None);
}

#[tokio::test]
async fn a_request_names_the_span_that_it_belongs_to() {
    let telemetry = Telemetry::new(Some(&"http://127.0.0.1:1".parse().unwrap()), "test").unwrap();
    let sender = |traceparent: &str| {
        let headers = [("traceparent".parse().unwrap(), traceparent.parse().unwrap())].into_iter().collect();
        telemetry.sender(&headers).unwrap()
    };
    let named = sender("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_eq!(named.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(named.is_sampled() && named.is_remote());
    assert!(!sender("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").is_sampled());
    for wrong in ["", "00-0-0-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x"] {
        assert!(!sender(wrong).is_valid(), "{wrong}");
    }
}
