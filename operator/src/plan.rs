//! What has to be written so that the marker says what the source says. Pure.
//!
//! The content decides: an accepted head whose fingerprint the marker already names rings nothing, whatever commit it
//! came from. And the marker decides what is published: what an earlier operator process wrote is as good as our own. But
//! what changes while this process looks on was changed by somebody else, and is put back, under a later name and only after
//! the source was asked again: the stranger may have been in a hurry for a reason that git knows by now.

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::marker::Marker;

use crate::fleet::Publish;

/// The ConfigMap with the markers, as far as one workspace is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkerMap {
    /// There is none.
    Missing,
    /// It is not of this install, which therefore never writes it.
    Foreign {
        /// The install that its annotation names, if any.
        owner: Option<String>,
    },
    /// It is of this install.
    Ours {
        /// What a write must not have changed since.
        resource_version: String,
        /// Whether its labels and annotations are what they should be.
        addressed: bool,
        /// The marker of this workspace.
        marker: Found,
    },
}

/// The marker of one workspace in its map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The map has no such key.
    Nothing,
    /// It reads.
    Marker(Marker),
    /// Somebody wrote something else there.
    Unreadable,
}

/// What was decided from.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The fingerprint of the newest content that lint accepted, if it is to be published.
    pub accepted: Option<String>,
    /// The map as it was seen last.
    pub map: MarkerMap,
    /// What this process knows to be published, from its own write or from its first look at the map.
    pub known: Option<Publish>,
    /// Whether the source was asked since the map was found to say something else than what is known.
    pub asked_again: bool,
    /// The operator's clock.
    pub now: Timestamp,
}

/// What to do about the marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing is published, and there is nothing to publish.
    Wait,
    /// The map belongs to somebody else.
    Forbidden {
        /// The install that its annotation names, if any.
        owner: Option<String>,
    },
    /// Somebody has changed the marker. The source has to be asked before it is put back.
    AskAgain,
    /// The marker is as it should be.
    Keep(Publish),
    /// The marker is as it should be, and the map's labels and annotations are not.
    Readdress {
        /// What is published.
        publish: Publish,
        /// The version that this was decided on.
        at: At,
    },
    /// Ring.
    Write {
        /// What to publish.
        publish: Publish,
        /// The version that this was decided on.
        at: At,
        /// Why.
        because: Because,
    },
}

/// Why a marker is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The source has other content.
    ContentChanged,
    /// Somebody has changed or removed the marker.
    PutBack,
}

/// The state of the map that a write is for. In any other state the decision is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// There is no map.
    Missing,
    /// The map has this resourceVersion.
    Version(String),
}

/// Decides.
#[must_use]
pub fn plan(observed: Observed) -> Plan {
    let Observed { accepted, map, known, asked_again, now } = observed;
    let (at, addressed, found) = match map {
        MarkerMap::Foreign { owner } => return Plan::Forbidden { owner },
        MarkerMap::Missing => (At::Missing, true, Found::Nothing),
        MarkerMap::Ours { resource_version, addressed, marker } => (At::Version(resource_version), addressed, marker),
    };
    let (published, seen) = match found {
        Found::Marker(Marker::Published { fingerprint, updated_at }) => {
            (Some(Publish { fingerprint, updated_at }), Some(updated_at))
        }
        Found::Marker(Marker::Removed { updated_at }) => (None, Some(updated_at)),
        Found::Nothing | Found::Unreadable => (None, None),
    };
    let meddled = known.is_some() && known != published;
    if meddled && !asked_again {
        return Plan::AskAgain;
    }
    let last = seen.max(known.as_ref().map(|known| known.updated_at));
    // Where the head is refused, what was published before somebody meddled with it is still right.
    let wanted = accepted.or_else(|| known.map(|known| known.fingerprint));
    match (wanted, published) {
        (Some(fingerprint), published)
            if meddled || published.as_ref().is_none_or(|published| published.fingerprint != fingerprint) =>
        {
            let because = if meddled { Because::PutBack } else { Because::ContentChanged };
            Plan::Write { publish: Publish { fingerprint, updated_at: UpdatedAt::after(last, now) }, at, because }
        }
        (_, Some(publish)) if addressed => Plan::Keep(publish),
        (_, Some(publish)) => Plan::Readdress { publish, at },
        (_, None) => Plan::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aa";
    const B: &str = "sha256:bb";

    fn time(second: u32) -> UpdatedAt {
        format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap()
    }

    fn marker(fingerprint: &str, second: u32) -> Found {
        Found::Marker(Marker::Published { fingerprint: fingerprint.to_owned(), updated_at: time(second) })
    }

    fn publish(fingerprint: &str, second: u32) -> Publish {
        Publish { fingerprint: fingerprint.to_owned(), updated_at: time(second) }
    }

    fn ours(marker: Found) -> MarkerMap {
        MarkerMap::Ours { resource_version: "7".to_owned(), addressed: true, marker }
    }

    fn check(accepted: Option<&str>, map: MarkerMap, expected: &Plan) {
        assert_eq!(plan(observed(accepted, map)), *expected);
    }

    fn observed(accepted: Option<&str>, map: MarkerMap) -> Observed {
        let accepted = accepted.map(str::to_owned);
        Observed { accepted, map, known: None, asked_again: false, now: time(30).timestamp() }
    }

    fn written(observed: Observed) -> (Publish, Because) {
        match plan(observed) {
            Plan::Write { publish, because, .. } => (publish, because),
            other => panic!("should write, not {other:?}"),
        }
    }

    fn ring(publish: Publish, at: At) -> Plan {
        Plan::Write { publish, at, because: Because::ContentChanged }
    }

    fn at_7() -> At {
        At::Version("7".to_owned())
    }

    #[test]
    fn the_first_accepted_head_is_published_whether_or_not_there_is_a_map() {
        check(Some(A), MarkerMap::Missing, &ring(publish(A, 30), At::Missing));
        check(Some(A), ours(Found::Nothing), &ring(publish(A, 30), at_7()));
    }

    #[test]
    fn content_that_is_published_already_rings_nothing() {
        check(Some(A), ours(marker(A, 10)), &Plan::Keep(publish(A, 10)));
    }

    #[test]
    fn other_content_is_published_under_a_later_name() {
        check(Some(B), ours(marker(A, 10)), &ring(publish(B, 30), at_7()));
    }

    #[test]
    fn a_clock_that_went_back_does_not_ring_with_an_earlier_name() {
        let (publish, _) = written(observed(Some(B), ours(marker(A, 50))));
        assert_eq!(publish.updated_at.to_string(), "2026-11-20T18:40:50.000001Z");
    }

    #[test]
    fn what_somebody_else_changed_is_put_back_after_the_source_was_asked_again() {
        let meddled_with = [
            ours(marker(B, 50)),
            ours(marker(A, 50)),
            ours(Found::Nothing),
            ours(Found::Unreadable),
            MarkerMap::Missing,
        ];
        for map in meddled_with {
            let meddled = Observed { known: Some(publish(A, 40)), ..observed(Some(A), map) };
            assert_eq!(plan(meddled.clone()), Plan::AskAgain);
            let (publish, because) = written(Observed { asked_again: true, ..meddled });
            assert_eq!((publish.fingerprint.as_str(), because), (A, Because::PutBack));
            assert!(publish.updated_at > time(40), "{publish:?}");
        }
    }

    #[test]
    fn a_refused_head_does_not_keep_a_marker_from_being_put_back() {
        let known = Some(publish(A, 10));
        let meddled = Observed { known, asked_again: true, ..observed(None, ours(marker(B, 20))) };
        assert_eq!(written(meddled).0.fingerprint, A);
    }

    #[test]
    fn without_an_accepted_head_what_is_published_stays() {
        check(None, ours(marker(A, 10)), &Plan::Keep(publish(A, 10)));
        check(None, ours(Found::Nothing), &Plan::Wait);
        check(None, MarkerMap::Missing, &Plan::Wait);
    }

    #[test]
    fn an_unreadable_marker_is_replaced() {
        check(Some(A), ours(Found::Unreadable), &ring(publish(A, 30), at_7()));
    }

    #[test]
    fn the_marker_of_a_removed_namesake_is_replaced_under_a_later_name() {
        let removed = Found::Marker(Marker::Removed { updated_at: time(40) });
        let (publish, _) = written(observed(Some(A), ours(removed)));
        assert!(publish.updated_at > time(40));
    }

    #[test]
    fn a_foreign_map_is_never_written() {
        let foreign = MarkerMap::Foreign { owner: Some("other/rototo".to_owned()) };
        check(Some(A), foreign, &Plan::Forbidden { owner: Some("other/rototo".to_owned()) });
    }

    #[test]
    fn an_address_that_changed_is_written_without_ringing() {
        let map = MarkerMap::Ours { resource_version: "7".to_owned(), addressed: false, marker: marker(A, 10) };
        check(Some(A), map, &Plan::Readdress { publish: publish(A, 10), at: at_7() });
    }
}
