//! Sends one OpenTelemetry trace for each change of a workspace, from its detection until each process has applied it, to
//! a collector of the operator's administrator. Off unless `--otlp-endpoint` is given.
//!
//! [`ChangeTraces`] is the memory of one workspace: it makes spans from the times that status and metrics are made from,
//! and measures nothing itself. [`Telemetry`] sends them, and never waits. A span has names, ids, and counts: never a value,
//! nor a message of lint, which may quote one.

mod change;
mod collector;
#[cfg(test)]
mod collector_tests;
mod traces;
#[cfg(test)]
mod traces_tests;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Uri};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SpanData;
use prometheus_client::registry::Registry;

use crate::outbound::telemetry::collector::{Collector, SpanMetrics, resource};

pub(crate) use crate::outbound::telemetry::change::{Announcement, Change, Refusal, WallClock};
pub use crate::outbound::telemetry::collector::CollectorError;
pub(crate) use crate::outbound::telemetry::traces::ChangeTraces;

/// The headers by which a request names the span that it belongs to, as W3C Trace Context defines them.
pub(crate) const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// Sends the traces of changes, if there is a collector for them.
#[derive(Clone, Default)]
pub(crate) struct Telemetry {
    collector: Option<Arc<Collector>>,
    metrics: SpanMetrics,
}

impl Telemetry {
    /// Sends to the collector at `endpoint`, if there is one. Must be called on a Tokio runtime.
    pub(crate) fn new(endpoint: Option<&Uri>, identity: &str) -> Result<Self, CollectorError> {
        let metrics = SpanMetrics::default();
        let collector = endpoint.map(|endpoint| Collector::new(endpoint, &resource(identity), metrics.clone()));
        Ok(Self { collector: collector.transpose()?.map(Arc::new), metrics })
    }

    /// Adds the counters to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Returns whether changes have traces.
    pub(crate) fn is_on(&self) -> bool {
        self.collector.is_some()
    }

    /// Returns the span that a request with these headers belongs to. It is not valid if the request names none. `None`
    /// if changes have no traces.
    pub(crate) fn sender(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.collector.as_ref()?;
        let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        Some(context.span().span_context().clone())
    }

    /// Sends spans. Never waits: those for which there is no room are counted and dropped.
    pub(crate) fn send(&self, spans: Vec<SpanData>) {
        if let Some(collector) = &self.collector {
            collector.send(spans);
        }
    }

    /// Sends what waits, within this time.
    pub(crate) async fn end(&self, within: Duration) {
        let Some(collector) = self.collector.clone() else { return };
        let _ = tokio::task::spawn_blocking(move || collector.end(within)).await;
    }
}
