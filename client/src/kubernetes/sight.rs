//! What the watch of the markers shows, and what that means for one workspace.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use rototo_api::marker::{Marker, MarkerError};
use rototo_protocol::Publish;
use rototo_protocol::follower::Bell;
use rototo_protocol::follower::fault::Fault;

use rototo_connection::Address;

/// What the watch showed last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sight {
    /// How many lists were completed.
    pub(crate) hydrates: u64,
    /// The markers by workspace; `None` while the map does not exist.
    pub(crate) markers: Option<Arc<BTreeMap<String, String>>>,
    /// Where snapshots are served. Outlives the map, so that a process whose map is gone can still say so.
    pub(crate) address: Option<Arc<Address>>,
    /// Why the API server can't be watched at the moment.
    pub(crate) trouble: Option<Fault>,
}

impl Sight {
    /// Takes in what the map is now.
    pub(crate) fn show(&mut self, map: Option<ConfigMap>) {
        self.trouble = None;
        if let Some(address) = map.as_ref().and_then(Address::of) {
            self.address = Some(Arc::new(address));
        }
        self.markers = map.map(|map| Arc::new(map.data.unwrap_or_default()));
    }

    /// What rings for `workspace`.
    pub(crate) fn bell(&self, workspace: &str) -> Bell {
        let Some(markers) = &self.markers else { return Bell::NoMap };
        markers.get(workspace).map_or(Bell::NoMarker, |text| bell_of(workspace, text))
    }
}

/// What the marker of `workspace` says.
pub(crate) fn bell_of(workspace: &str, marker: &str) -> Bell {
    match Marker::parse(marker) {
        Ok(Marker::Removed { updated_at }) => Bell::Removed(updated_at),
        Ok(Marker::Published { fingerprint, updated_at }) => match fingerprint.parse() {
            Ok(fingerprint) => Bell::Published(Publish { fingerprint, updated_at }),
            Err(_) => unreadable(workspace, &MarkerError::Malformed("its fingerprint is none".to_owned())),
        },
        Err(error) => unreadable(workspace, &error),
    }
}

fn unreadable(workspace: &str, error: &MarkerError) -> Bell {
    let code = match error {
        MarkerError::UnknownVersion(_) => "marker_version_unknown",
        MarkerError::Malformed(_) => "marker_malformed",
    };
    Bell::Unreadable(Fault::persistent(code, format!("reading the marker of workspace `{workspace}` failed: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-20T18:40:00.123456Z";

    fn bell(text: &str) -> Bell {
        let markers = BTreeMap::from([("prod".to_owned(), text.to_owned())]);
        Sight { markers: Some(Arc::new(markers)), ..Sight::default() }.bell("prod")
    }

    fn code(bell: Bell) -> Option<&'static str> {
        match bell {
            Bell::Unreadable(fault) => Some(fault.code),
            _ => None,
        }
    }

    #[test]
    fn a_map_without_the_key_and_no_map_are_told_apart() {
        assert_eq!(Sight::default().bell("prod"), Bell::NoMap);
        let empty = Sight { markers: Some(Arc::default()), ..Sight::default() };
        assert_eq!(empty.bell("prod"), Bell::NoMarker);
    }

    #[test]
    fn a_publish_and_a_removal_are_read() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let published = bell(&format!(r#"{{"schema_version":1,"fingerprint":"{digest}","updated_at":"{TIME}"}}"#));
        let Bell::Published(publish) = published else { panic!("{published:?}") };
        assert_eq!((publish.fingerprint.to_string(), publish.updated_at.to_string()), (digest, TIME.to_owned()));
        let removed = bell(&format!(r#"{{"schema_version":1,"removed":true,"updated_at":"{TIME}"}}"#));
        assert_eq!(removed, Bell::Removed(TIME.parse().unwrap()));
    }

    #[test]
    fn what_can_not_be_read_says_why() {
        assert_eq!(code(bell(r#"{"schema_version":2}"#)), Some("marker_version_unknown"));
        assert_eq!(code(bell("edited by hand")), Some("marker_malformed"));
        let bad = format!(r#"{{"schema_version":1,"fingerprint":"latest","updated_at":"{TIME}"}}"#);
        assert_eq!(code(bell(&bad)), Some("marker_malformed"));
    }
}
