//! Sends spans to the collector, over OTLP/HTTP. A queue that never waits stands before it, and a thread of the SDK sends
//! what is in the queue in batches, so a collector that is slow or away costs spans and nothing else.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode, Uri};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use rototo_api::names::OPERATOR;
use rototo_connection::{Endpoint, InvalidAddress};
use tokio::runtime::Handle;
use tracing::{info, warn};

/// The most spans that wait to be sent, and that are being sent. A change has about eight.
const WAITING: usize = 2_048;
/// The most spans in one request.
const BATCH: usize = 512;
/// The time between two requests.
const EVERY: Duration = Duration::from_secs(1);
/// The time for one request, and for all attempts to send the same spans.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const ANSWER: usize = 64 * 1024;
/// The path of traces, as OTLP defines it. The connection puts its own scheme, authority, and path before that.
const TRACES: &str = "http://collector/v1/traces";

/// The reason why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// No connection can be made.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The settings of the SDK can't be used.
    #[error(transparent)]
    Settings(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Counts spans by what became of them. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanMetrics(Family<SpanLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpanLabels {
    outcome: &'static str,
}

impl SpanMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("spans", "Spans of traces of changes, by outcome", self.0.clone());
    }

    fn add(&self, outcome: &'static str, count: usize) {
        self.0.get_or_create(&SpanLabels { outcome }).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// The way to the collector.
pub(super) struct Collector {
    processor: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    metrics: SpanMetrics,
}

impl Collector {
    /// Prepares the connection, which the first spans make, and starts the thread. Must be called on a Tokio runtime.
    pub(super) fn new(endpoint: &Uri, resource: &Resource, metrics: SpanMetrics) -> Result<Self, CollectorError> {
        let transport = Transport {
            endpoint: Arc::new(Endpoint::open_other(endpoint)?),
            runtime: Handle::current(),
            fails: AtomicBool::new(false),
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(transport)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(ANSWERED_WITHIN)
            .with_endpoint(TRACES)
            .build()?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter = Counted { exporter, waiting: waiting.clone(), metrics: metrics.clone() };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        processor.set_resource(resource);
        Ok(Self { processor, waiting, metrics })
    }

    /// Puts spans into the queue, as far as there is room. Never waits.
    pub(super) fn send(&self, spans: Vec<SpanData>) {
        for span in spans {
            if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.metrics.add("dropped", 1);
                continue;
            }
            self.processor.on_end(span);
        }
    }

    /// Sends what is in the queue, and ends the thread. Blocks for `within` at most.
    pub(super) fn end(&self, within: Duration) {
        if self.processor.shutdown_with_timeout(within).is_err() {
            self.metrics.add("dropped", self.waiting.load(Ordering::Relaxed));
        }
    }
}

/// Counts what the exporter has done.
#[derive(Debug)]
struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    metrics: SpanMetrics,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.exporter.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        self.metrics.add(if sent.is_ok() { "sent" } else { "failed" }, count);
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends the requests of the exporter with the operator's own HTTP client, on the operator's runtime: the thread of the
/// SDK has none.
struct Transport {
    endpoint: Arc<Endpoint>,
    runtime: Handle,
    /// The last request failed. A failure that lasts is one line of the log.
    fails: AtomicBool,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.endpoint.url()).finish()
    }
}

impl Transport {
    fn note(&self, answer: &Result<Response<Bytes>, String>) {
        let error = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(refusal(answer.status())),
            Err(error) => Some(error.clone()),
        };
        let failed = self.fails.swap(error.is_some(), Ordering::Relaxed);
        let endpoint = self.endpoint.url();
        match error {
            Some(error) if !failed => warn!(endpoint, error, "traces can't be sent, and changes go on without them"),
            None if failed => info!(endpoint, "traces can be sent again"),
            _ => {}
        }
    }
}

fn refusal(status: StatusCode) -> String {
    format!("the collector answers {status}")
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let endpoint = self.endpoint.clone();
        let request = request.map(Vec::from);
        let sending = self.runtime.spawn(async move { endpoint.send(request, ANSWERED_WITHIN, ANSWER).await });
        let answer = match sending.await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            // The operator ends.
            Err(ended) => return Err(ended.into()),
        };
        self.note(&answer);
        Ok(answer?)
    }
}

/// Returns what the spans come from. The variables `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` may name the
/// service, and say more.
pub(super) fn resource(identity: &str) -> Resource {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", identity.to_owned()),
    ];
    let given = Resource::builder().with_attributes(own.clone()).build();
    let name = given.get(&"service.name".into());
    if name.is_some_and(|name| !name.as_str().starts_with("unknown_service")) {
        given
    } else {
        Resource::builder().with_service_name(OPERATOR).with_attributes(own).build()
    }
}
