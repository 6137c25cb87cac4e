//! The agent's own metrics. No label has a name or a value of the workspace.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// The buckets of durations, in seconds. A single evaluation takes some microseconds, and the bulk answer of a large
/// workspace some milliseconds.
const BUCKETS: [f64; 10] = [0.000_05, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0, 2.5];

/// All metrics of the agent.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Single evaluations that had a value.
    pub(crate) single: Counter,
    /// Bulk requests that were answered with values.
    pub(crate) bulk: Counter,
    /// Bulk requests whose caller had the newest answer already.
    pub(crate) bulk_unchanged: Counter,
    /// Values in answers to bulk requests.
    pub(crate) bulk_values: Counter,
    /// The time from the last byte of an evaluation request to its answer.
    pub(crate) durations: Durations,
    /// Evaluations that ended with an error of the protocol, by its code.
    pub(crate) errors: ErrorCounters,
    /// Requests and connections that were refused for a limit.
    pub(crate) refused: RefusedCounters,
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Open event streams.
    pub(crate) streams: Gauge,
    registry: Registry,
}

/// The durations of evaluation requests, by kind.
#[derive(Debug)]
pub(crate) struct Durations {
    single: Histogram,
    bulk: Histogram,
}

#[derive(Debug)]
pub(crate) struct ErrorCounters {
    pub(crate) parse_error: Counter,
    pub(crate) targeting_key_missing: Counter,
    pub(crate) invalid_context: Counter,
    pub(crate) flag_not_found: Counter,
    pub(crate) general: Counter,
}

#[derive(Debug)]
pub(crate) struct RefusedCounters {
    /// Connections beyond their largest number.
    pub(crate) connections: Counter,
    /// Event streams beyond their largest number.
    pub(crate) streams: Counter,
    /// Bodies that are larger than one may be.
    pub(crate) body: Counter,
    /// Bodies for which there was no memory left.
    pub(crate) body_memory: Counter,
    /// Bulk answers beyond the largest number that may be sent at once.
    pub(crate) bulk: Counter,
    /// Connections whose peer sent or read too slowly.
    pub(crate) slow: Counter,
}

impl Durations {
    pub(crate) fn single(&self, taken: Duration) {
        self.single.observe(taken.as_secs_f64());
    }

    pub(crate) fn bulk(&self, taken: Duration) {
        self.bulk.observe(taken.as_secs_f64());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("rototo_agent");
        let to = &mut registry;
        let evaluations: Family<KindLabel, Counter> =
            registered(to, "evaluations", "Evaluation requests that were answered, by kind");
        let bulk_values = registered(to, "bulk_values", "Values in answers to bulk requests");
        let durations = Family::<KindLabel, Histogram, _>::new_with_constructor(histogram as fn() -> Histogram);
        to.register_with_unit(
            "evaluation_duration",
            "The time from the last byte of an evaluation request to its answer, by kind",
            Unit::Seconds,
            durations.clone(),
        );
        let errors: Family<CodeLabel, Counter> =
            registered(to, "errors", "Evaluations that ended with an error, by the protocol's code");
        let refused: Family<LimitLabel, Counter> =
            registered(to, "refused", "Requests and connections that were refused, by the limit that they reached");
        let connections = registered(to, "connections", "Open connections");
        let streams = registered(to, "streams", "Open event streams");
        let of_kind = |kind| one(&evaluations, KindLabel { kind });
        let of_code = |code| one(&errors, CodeLabel { code });
        let by_limit = |limit| one(&refused, LimitLabel { limit });
        Self {
            single: of_kind("single"),
            bulk: of_kind("bulk"),
            bulk_unchanged: of_kind("bulk_not_modified"),
            bulk_values,
            durations: Durations {
                single: one(&durations, KindLabel { kind: "single" }),
                bulk: one(&durations, KindLabel { kind: "bulk" }),
            },
            errors: ErrorCounters {
                parse_error: of_code("PARSE_ERROR"),
                targeting_key_missing: of_code("TARGETING_KEY_MISSING"),
                invalid_context: of_code("INVALID_CONTEXT"),
                flag_not_found: of_code("FLAG_NOT_FOUND"),
                general: of_code("GENERAL"),
            },
            refused: RefusedCounters {
                connections: by_limit("connections"),
                streams: by_limit("streams"),
                body: by_limit("body"),
                body_memory: by_limit("body_memory"),
                bulk: by_limit("bulk"),
                slow: by_limit("slow"),
            },
            connections,
            streams,
            registry,
        }
    }
}

impl Metrics {
    /// Writes all metrics as Prometheus reads them, without the mark of the end.
    pub(crate) fn write(&self, text: &mut impl fmt::Write) -> fmt::Result {
        encode_registry(text, &self.registry)
    }
}

fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Returns the metric of a family with this label. It is in the text from the beginning, and requests need no lock for it.
fn one<L, M, C>(family: &Family<L, M, C>, label: L) -> M
where
    L: Clone + std::hash::Hash + Eq,
    M: Clone,
    C: MetricConstructor<M>,
{
    family.get_or_create(&label).clone()
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}
