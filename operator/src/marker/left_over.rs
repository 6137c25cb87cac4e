//! The keys of marker maps whose workspaces are gone.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use rototo_api::UpdatedAt;
use rototo_api::marker::Marker;
use rototo_api::names::ANNOTATION_INSTALL;
use serde_json::{Map, Value};

/// Returns whether a map belongs to `install`.
pub(super) fn is_of(map: &ConfigMap, install: &str) -> bool {
    map.annotations().get(ANNOTATION_INSTALL).map(String::as_str) == Some(install)
}

/// Returns the changes of the keys whose workspaces are `gone`, by the API server's own word, in a map of this install.
/// A published marker becomes one that says "removed"; a key that says so already, or can't be read, is deleted. A
/// workspace in `without_marker` gets a key that says "removed" if it has none.
pub(super) fn left_over(
    map: &ConfigMap,
    install: &str,
    gone: &BTreeSet<String>,
    without_marker: &BTreeSet<String>,
    now: Timestamp,
) -> Map<String, Value> {
    if !is_of(map, install) {
        return Map::new();
    }
    let removed = |before| {
        let updated_at = UpdatedAt::after(before, now);
        Value::String(Marker::Removed { updated_at }.to_json())
    };
    let next = |text: &str| match Marker::parse(text) {
        Ok(Marker::Published { updated_at, .. }) => removed(Some(updated_at)),
        Ok(Marker::Removed { .. }) | Err(_) => Value::Null,
    };
    let existing = map.data.iter().flatten().map(|(name, text)| (name, next(text)));
    // An existing key comes later, and so takes the place of one without a marker.
    let all = without_marker.iter().map(|name| (name, removed(None))).chain(existing);
    all.filter(|(name, _)| gone.contains(*name)).map(|(name, marker)| (name.clone(), marker)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "2026-11-20T18:40:00.000000Z";

    fn map(install: &str) -> ConfigMap {
        let published = format!(r#"{{"schema_version":1,"fingerprint":"sha256:00","updated_at":"{BEFORE}"}}"#);
        let removed = format!(r#"{{"schema_version":1,"removed":true,"updated_at":"{BEFORE}"}}"#);
        serde_json::from_value(serde_json::json!({
            "metadata": { "annotations": { ANNOTATION_INSTALL: install } },
            "data": { "alive": published, "gone": published, "removed": removed, "unreadable": "{}" },
        }))
        .unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn left(install: &str, gone: &[&str], without_marker: &[&str]) -> Vec<(String, Value)> {
        // A clock that went back: the name of the removal is later all the same.
        let now = "2026-11-20T18:00:00Z".parse().unwrap();
        left_over(&map(install), "ns/us", &set(gone), &set(without_marker), now).into_iter().collect()
    }

    #[test]
    fn a_marker_says_that_its_workspace_is_gone_before_it_goes() {
        let said = r#"{"schema_version":1,"removed":true,"updated_at":"2026-11-20T18:40:00.000001Z"}"#;
        let expected = [("gone", Value::from(said)), ("removed", Value::Null), ("unreadable", Value::Null)];
        assert_eq!(
            left("ns/us", &["gone", "removed", "unreadable"], &["gone", "removed"]),
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }

    #[test]
    fn a_workspace_that_never_had_a_marker_says_so_too_and_one_that_may_live_does_not() {
        let said = r#"{"schema_version":1,"removed":true,"updated_at":"2026-11-20T18:00:00.000000Z"}"#;
        assert_eq!(left("ns/us", &["new"], &["alive", "new"]), [("new".to_owned(), Value::from(said))]);
        assert!(left("ns/us", &[], &["gone", "new"]).is_empty());
    }

    #[test]
    fn the_map_of_another_install_is_left_alone() {
        assert!(left("ns/them", &["gone", "new"], &["new"]).is_empty());
    }
}
