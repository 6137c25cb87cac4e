//! Counts connections and what was refused for lack of room. The counters exist before everything else of the operator.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters of connections and refusals. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadMetrics {
    connections: Family<ListenerLabels, Gauge>,
    ended: Family<ConnectionLabels, Counter>,
    refused: Family<LimitLabels, Counter>,
    delayed: Family<LimitLabels, Counter>,
    evicted: Counter,
    on_disk: Family<DiskLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    listener: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiskLabels {
    kind: &'static str,
}

/// One open connection. It counts until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl LoadMetrics {
    /// Adds the counters to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Open connections, by listener", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections that were refused or closed because of a limit, by listener and limit",
            self.ended.clone(),
        );
        registry.register(
            "requests_refused",
            "Requests and polls that were refused because of a limit, by limit",
            self.refused.clone(),
        );
        registry.register(
            "requests_delayed",
            "Requests whose answers were delayed because their sender asks without a pause, by limit",
            self.delayed.clone(),
        );
        registry.register(
            "repositories_evicted",
            "Kept repositories and archives that were removed because a share of the disk was used up",
            self.evicted.clone(),
        );
        registry.register(
            "disk_bytes",
            "Bytes of the data directory, by kind: snapshots, and kept repositories and archives",
            self.on_disk.clone(),
        );
    }

    /// Notes that the disk has so many bytes of this kind.
    pub(crate) fn on_disk(&self, kind: &'static str, bytes: u64) {
        self.on_disk.get_or_create(&DiskLabels { kind }).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Repositories or archives were removed from the disk, because a share of it was used up.
    pub(crate) fn evicted(&self, count: usize) {
        self.evicted.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Counts a connection that was opened, until the returned value is dropped.
    pub(crate) fn connected(&self, listener: &'static str) -> OpenConnection {
        let gauge = self.connections.get_or_create(&ListenerLabels { listener }).clone();
        gauge.inc();
        OpenConnection(gauge)
    }

    /// Records that a connection was refused or closed because of a limit.
    pub(crate) fn connection_refused(&self, listener: &'static str, reason: &'static str) {
        self.ended.get_or_create(&ConnectionLabels { listener, reason }).inc();
    }

    /// Records that a request was refused because of a limit.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&LimitLabels { reason }).inc();
    }

    /// Records that the answer to a request is delayed because of a limit.
    pub(crate) fn delayed(&self, reason: &'static str) {
        self.delayed.get_or_create(&LimitLabels { reason }).inc();
    }

    /// Returns the number of open connections of a listener.
    #[cfg(test)]
    pub(crate) fn connections(&self, listener: &'static str) -> i64 {
        self.connections.get_or_create(&ListenerLabels { listener }).get()
    }

    /// Returns the number of connections that were refused or closed because of this limit.
    #[cfg(test)]
    pub(crate) fn connections_refused(&self, listener: &'static str, reason: &'static str) -> u64 {
        self.ended.get_or_create(&ConnectionLabels { listener, reason }).get()
    }

    /// Returns the number of answers that were delayed because of this limit.
    #[cfg(test)]
    pub(crate) fn requests_delayed(&self, reason: &'static str) -> u64 {
        self.delayed.get_or_create(&LimitLabels { reason }).get()
    }

    /// Returns the number of requests that were refused because of this limit.
    #[cfg(test)]
    pub(crate) fn requests_refused(&self, reason: &'static str) -> u64 {
        self.refused.get_or_create(&LimitLabels { reason }).get()
    }
}
