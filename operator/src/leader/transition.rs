//! The meaning of an answer about the Lease for this process. Pure.

use std::time::Instant;

use crate::leader::lease::Tenure;

/// The known possession of this process, and the time until which it may count on it.
#[derive(Clone, Debug)]
pub(super) struct HeldLease {
    pub(super) tenure: Tenure,
    pub(super) until: Instant,
}

/// The meaning of an answer about the Lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeaseTransition {
    /// This process holds the Lease, and did not before.
    Begin,
    /// This process goes on without a gap.
    Renew,
    /// This process goes on after a gap in which nobody wrote.
    Resume,
    /// This process goes on after somebody else.
    Retake,
    /// Somebody else holds the Lease, which this process had.
    Yield,
    /// Somebody else holds the Lease.
    Wait,
}

pub(super) fn transition(held: Option<&HeldLease>, tenure: Option<&Tenure>, now: Instant) -> LeaseTransition {
    match (held, tenure) {
        (None, None) => LeaseTransition::Wait,
        (Some(_), None) => LeaseTransition::Yield,
        (None, Some(_)) => LeaseTransition::Begin,
        (Some(held), Some(tenure)) if held.tenure != *tenure => LeaseTransition::Retake,
        (Some(held), Some(_)) if now >= held.until => LeaseTransition::Resume,
        (Some(_), Some(_)) => LeaseTransition::Renew,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;
    use crate::leader::lease::tests::config;
    use crate::leader::lease::{LeaseConfig, taken};

    #[test]
    fn a_gap_and_another_holder_both_end_a_term() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let first = taken(None, &config(), None);
        let ours = Tenure::of(&first);
        let renewed = Tenure::of(&taken(Some(&first), &config(), ours.acquired.as_ref()));
        let held = HeldLease { tenure: ours.clone(), until: after(12) };
        assert_eq!(transition(None, None, start), LeaseTransition::Wait);
        assert_eq!(transition(None, Some(&ours), start), LeaseTransition::Begin);
        assert_eq!(transition(Some(&held), Some(&renewed), after(11)), LeaseTransition::Renew);
        assert_eq!(transition(Some(&held), Some(&renewed), after(12)), LeaseTransition::Resume);
        assert_eq!(transition(Some(&held), None, after(11)), LeaseTransition::Yield);
        let other = taken(Some(&first), &LeaseConfig { identity: "other".to_owned(), ..config() }, None);
        let retaken = Tenure::of(&taken(Some(&other), &config(), ours.acquired.as_ref()));
        assert_eq!(transition(Some(&held), Some(&retaken), after(11)), LeaseTransition::Retake);
        // Somebody deleted it, and it was created again.
        let anew = Tenure { acquired: Some(MicroTime(Timestamp::UNIX_EPOCH)), ..ours };
        assert_eq!(transition(Some(&held), Some(&anew), after(13)), LeaseTransition::Retake);
    }
}
