//! The agent's own counters. No label has a name or a value of the workspace.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter, or the current number of something that a guard counts down.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of the agent.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Single evaluations that had a value.
    pub(crate) single: Counter,
    /// Bulk requests that were answered with values.
    pub(crate) bulk: Counter,
    /// Bulk requests whose caller had the newest answer already.
    pub(crate) bulk_unchanged: Counter,
    /// Values in answers to bulk requests.
    pub(crate) bulk_values: Counter,
    /// Evaluations that ended with an error of the protocol, by its code.
    pub(crate) errors: ErrorCounters,
    /// Requests and connections that were refused for a limit.
    pub(crate) refused: RefusedCounters,
    /// Open connections.
    pub(crate) connections: Counter,
    /// Open event streams.
    pub(crate) streams: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct ErrorCounters {
    pub(crate) parse_error: Counter,
    pub(crate) targeting_key_missing: Counter,
    pub(crate) invalid_context: Counter,
    pub(crate) flag_not_found: Counter,
    pub(crate) general: Counter,
}

#[derive(Debug, Default)]
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

impl Metrics {
    /// Returns all counters as Prometheus reads them.
    pub(crate) fn text(&self) -> String {
        let Self { single, bulk, bulk_unchanged, bulk_values, errors, refused, connections, streams } = self;
        let mut text = String::with_capacity(2048);
        let mut family = |name: &str, kind: &str, help: &str, lines: &[(&str, &Counter)]| {
            // Writing to a String never fails.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, counter) in lines {
                let _ = writeln!(text, "{name}{labels} {}", counter.get());
            }
        };
        family(
            "rototo_agent_evaluations_total",
            "counter",
            "Evaluation requests that were answered, by kind.",
            &[
                ("{kind=\"single\"}", single),
                ("{kind=\"bulk\"}", bulk),
                ("{kind=\"bulk_not_modified\"}", bulk_unchanged),
            ],
        );
        family(
            "rototo_agent_bulk_values_total",
            "counter",
            "Values in answers to bulk requests.",
            &[("", bulk_values)],
        );
        family(
            "rototo_agent_errors_total",
            "counter",
            "Evaluations that ended with an error, by the protocol's code.",
            &[
                ("{code=\"PARSE_ERROR\"}", &errors.parse_error),
                ("{code=\"TARGETING_KEY_MISSING\"}", &errors.targeting_key_missing),
                ("{code=\"INVALID_CONTEXT\"}", &errors.invalid_context),
                ("{code=\"FLAG_NOT_FOUND\"}", &errors.flag_not_found),
                ("{code=\"GENERAL\"}", &errors.general),
            ],
        );
        family(
            "rototo_agent_refused_total",
            "counter",
            "Requests and connections that were refused, by the limit that they reached.",
            &[
                ("{limit=\"connections\"}", &refused.connections),
                ("{limit=\"streams\"}", &refused.streams),
                ("{limit=\"body\"}", &refused.body),
                ("{limit=\"body_memory\"}", &refused.body_memory),
                ("{limit=\"bulk\"}", &refused.bulk),
                ("{limit=\"slow\"}", &refused.slow),
            ],
        );
        family("rototo_agent_connections", "gauge", "Open connections.", &[("", connections)]);
        family("rototo_agent_streams", "gauge", "Open event streams.", &[("", streams)]);
        text
    }
}
