//! Turns the watch cache into events of one follower.
//!
//! The watch cache shows only the newest state, so events come from a comparison with the state that was observed last.

use rototo_protocol::follower::{FollowerEvent, ObservedMarker};

use crate::kubernetes::cluster::watch_cache::WatchCache;

/// The state of the watch cache that was observed last.
#[derive(Default)]
pub(super) struct LastObserved {
    hydrates: u64,
    marker: Option<ObservedMarker>,
}

impl LastObserved {
    /// Returns the number of completed lists.
    pub(super) fn hydrates(&self) -> u64 {
        self.hydrates
    }

    /// Forgets the marker, so that the next observation returns an event of it, whether it changed or not.
    pub(super) fn forget_marker(&mut self) {
        self.marker = None;
    }

    /// Observes the watch cache, and returns the events for `workspace`: of its marker, if it was listed or changed,
    /// and of the watch.
    pub(super) fn observe(&mut self, watch_cache: &WatchCache, workspace: &str) -> Vec<FollowerEvent> {
        let marker = watch_cache.marker(workspace);
        let hydrates = std::mem::replace(&mut self.hydrates, watch_cache.hydrates());
        let last = self.marker.replace(marker.clone());
        let marker_event = match marker {
            _ if self.hydrates == 0 => None,
            marker if self.hydrates > hydrates => Some(FollowerEvent::Hydrated(marker)),
            marker => (last.as_ref() != Some(&marker)).then_some(FollowerEvent::Changed(marker)),
        };
        let watch = watch_cache.trouble().cloned().map_or(FollowerEvent::WatchRestored, FollowerEvent::WatchLost);
        marker_event.into_iter().chain([watch]).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn map(marker: &str) -> Option<ConfigMap> {
        Some(ConfigMap { data: Some(BTreeMap::from([("a".to_owned(), marker.to_owned())])), ..ConfigMap::default() })
    }

    #[test]
    fn a_marker_is_an_event_when_it_is_listed_and_when_it_changes() {
        let (mut observed, mut cache) = (LastObserved::default(), WatchCache::default());
        let events = |observed: &mut LastObserved, cache: &WatchCache| {
            let events = observed.observe(cache, "a");
            let names = events.iter().map(|event| match event {
                FollowerEvent::Hydrated(_) => "hydrated",
                FollowerEvent::Changed(_) => "changed",
                FollowerEvent::WatchRestored => "restored",
                _ => "other",
            });
            names.collect::<Vec<_>>()
        };
        assert_eq!(events(&mut observed, &cache), ["restored"], "nothing is listed yet");
        cache.listed(map("one"));
        assert_eq!(events(&mut observed, &cache), ["hydrated", "restored"]);
        cache.show(map("one"));
        assert_eq!(events(&mut observed, &cache), ["restored"], "the marker is the same");
        cache.show(map(r#"{"schema_version":9}"#));
        assert_eq!(events(&mut observed, &cache), ["changed", "restored"]);
        cache.listed(map(r#"{"schema_version":9}"#));
        assert_eq!(events(&mut observed, &cache), ["hydrated", "restored"], "a list is an event, whatever it shows");
        observed.forget_marker();
        assert_eq!(events(&mut observed, &cache), ["changed", "restored"], "the marker is the same, and was forgotten");
    }
}
