//! The watch cache of a namespace's markers, and the marker of one workspace in it.
//!
//! Only the doorbell writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use rototo_api::marker::{Marker, MarkerError};
use rototo_connection::Address;
use rototo_protocol::follower::ObservedMarker;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::{Marked, Publish};

/// The newest state that the watch has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WatchCache {
    /// The number of completed lists.
    pub(super) hydrates: u64,
    /// The markers by workspace; `None` while the map does not exist.
    pub(super) markers: Option<Arc<BTreeMap<String, String>>>,
    /// The address at which snapshots are served. It outlives the map, so that a process can report that its map is
    /// gone.
    pub(super) address: Option<Arc<Address>>,
    /// The reason why the API server can't be watched at the moment.
    pub(super) trouble: Option<Fault>,
}

impl WatchCache {
    /// Takes in the map as a completed list shows it.
    pub(in crate::kubernetes) fn listed(&mut self, map: Option<ConfigMap>) {
        self.hydrates += 1;
        self.show(map);
    }

    /// Takes in a completed list that shows the same map as before.
    #[cfg(test)]
    pub(in crate::kubernetes) fn listed_again(&mut self) {
        self.hydrates += 1;
        self.trouble = None;
    }

    /// Records that the watch failed. What it has shown so far stays.
    pub(super) fn failed(&mut self, fault: Fault) {
        self.trouble = Some(fault);
    }

    /// Records that the watch runs again, and nothing has changed. Returns whether it had failed.
    pub(super) fn recovered(&mut self) -> bool {
        self.trouble.take().is_some()
    }

    /// Returns the number of completed lists.
    pub(crate) fn hydrates(&self) -> u64 {
        self.hydrates
    }

    /// Returns the address at which snapshots are served.
    pub(crate) fn address(&self) -> Option<&Address> {
        self.address.as_deref()
    }

    /// Returns the reason why the API server can't be watched at the moment.
    pub(crate) fn trouble(&self) -> Option<&Fault> {
        self.trouble.as_ref()
    }

    /// Takes in the map as it is now; `None` while it does not exist.
    pub(in crate::kubernetes) fn show(&mut self, map: Option<ConfigMap>) {
        self.trouble = None;
        if let Some(address) = map.as_ref().and_then(Address::of) {
            self.address = Some(Arc::new(address));
        }
        self.markers = map.map(|map| Arc::new(map.data.unwrap_or_default()));
    }

    /// Returns the marker of `workspace`.
    pub(crate) fn marker(&self, workspace: &str) -> ObservedMarker {
        let Some(markers) = &self.markers else { return ObservedMarker::NoMap };
        markers.get(workspace).map_or(ObservedMarker::NoMarker, |text| observed_marker(workspace, text))
    }
}

/// Parses the marker of `workspace`. A marker that can't be read is an observation and no error.
pub(crate) fn observed_marker(workspace: &str, marker: &str) -> ObservedMarker {
    match Marker::parse(marker) {
        Ok(Marker::Removed { updated_at }) => ObservedMarker::Removed(updated_at),
        Ok(Marker::Published { fingerprint, updated_at, next, held }) => match fingerprint.parse() {
            Ok(fingerprint) => {
                let publish = Publish { fingerprint, updated_at };
                ObservedMarker::Published(Marked::read(publish, next.as_ref(), held.as_ref()))
            }
            Err(_) => unreadable(workspace, &MarkerError::Malformed("its fingerprint is none".to_owned())),
        },
        Err(error) => unreadable(workspace, &error),
    }
}

fn unreadable(workspace: &str, error: &MarkerError) -> ObservedMarker {
    let code = match error {
        MarkerError::UnknownVersion(_) => "marker_version_unknown",
        MarkerError::Malformed(_) => "marker_malformed",
    };
    ObservedMarker::Unreadable(Fault::persistent(
        code,
        format!("reading the marker of workspace `{workspace}` failed: {error}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-20T18:40:00.123456Z";

    fn marker(text: &str) -> ObservedMarker {
        let markers = BTreeMap::from([("prod".to_owned(), text.to_owned())]);
        WatchCache { markers: Some(Arc::new(markers)), ..WatchCache::default() }.marker("prod")
    }

    fn code(marker: ObservedMarker) -> Option<&'static str> {
        match marker {
            ObservedMarker::Unreadable(fault) => Some(fault.code),
            _ => None,
        }
    }

    #[test]
    fn a_map_without_the_key_differs_from_no_map() {
        assert_eq!(WatchCache::default().marker("prod"), ObservedMarker::NoMap);
        let empty = WatchCache { markers: Some(Arc::default()), ..WatchCache::default() };
        assert_eq!(empty.marker("prod"), ObservedMarker::NoMarker);
    }

    #[test]
    fn a_publish_and_a_removal_are_read() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let published = marker(&format!(r#"{{"schema_version":1,"fingerprint":"{digest}","updated_at":"{TIME}"}}"#));
        let ObservedMarker::Published(Marked { publish, next: None, .. }) = published else { panic!("{published:?}") };
        assert_eq!((publish.fingerprint.to_string(), publish.updated_at.to_string()), (digest, TIME.to_owned()));
        let removed = marker(&format!(r#"{{"schema_version":1,"removed":true,"updated_at":"{TIME}"}}"#));
        assert_eq!(removed, ObservedMarker::Removed(TIME.parse().unwrap()));
    }

    #[test]
    fn a_marker_that_cannot_be_read_has_a_reason() {
        assert_eq!(code(marker(r#"{"schema_version":2}"#)), Some("marker_version_unknown"));
        assert_eq!(code(marker("edited by hand")), Some("marker_malformed"));
        let bad = format!(r#"{{"schema_version":1,"fingerprint":"latest","updated_at":"{TIME}"}}"#);
        assert_eq!(code(marker(&bad)), Some("marker_malformed"));
    }
}
