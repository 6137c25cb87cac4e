//! The evidence that the last leader has passed on to this process.
//!
//! It counts only if the Lease passed directly from that leader to this process: then nobody else took reports in
//! between, and those that came were turned away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rototo_api::evidence::FleetEvidence;
use rototo_protocol::fleet::{Fleet, Moment, passed_directly};
use serde::{Deserialize, Serialize};

use crate::fleet::clock;

/// The evidence about all workspaces, as a leader sends it when it ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// The number of changes of the Lease's holder until the term of the sender.
    pub(crate) transitions: Option<i32>,
    /// The evidence by the UID of the workspace.
    pub(crate) fleets: HashMap<String, FleetEvidence>,
}

/// The last handover that this process has received.
#[derive(Default)]
pub(crate) struct Inheritance(Mutex<Option<(Handover, Moment)>>);

impl Inheritance {
    /// Takes a handover in place of an earlier one.
    pub(crate) fn received(&self, handover: Handover) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((handover, clock::now()));
    }

    /// Returns the fleet of a workspace, once, if the sender's term was the last before the term that began after
    /// `transitions` changes of the holder.
    pub(crate) fn fleet(&self, uid: &str, transitions: Option<i32>, heartbeat: Duration) -> Option<Fleet> {
        let mut inherited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (handover, received) = inherited.as_mut()?;
        if !passed_directly(handover.transitions, transitions) {
            return None;
        }
        let evidence = handover.fleets.remove(uid)?;
        let mut fleet = Fleet::inherited(&evidence, heartbeat, *received);
        fleet.turned_away(clock::now());
        Some(fleet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sender: Option<i32>, own: Option<i32>, expected: bool) {
        let inheritance = Inheritance::default();
        let fleets = HashMap::from([("uid".to_owned(), FleetEvidence::default())]);
        inheritance.received(Handover { transitions: sender, fleets });
        let fleet = |uid| inheritance.fleet(uid, own, Duration::from_secs(15)).is_some();
        assert!(!fleet("other"));
        assert_eq!(fleet("uid"), expected, "{sender:?} {own:?}");
        assert!(!fleet("uid"), "evidence is taken once");
    }

    #[test]
    fn evidence_counts_only_if_the_lease_passed_directly() {
        check(Some(3), Some(4), true);
        check(Some(3), Some(5), false);
        check(Some(3), Some(3), false);
        check(None, Some(1), false);
        check(None, None, false);
    }
}
