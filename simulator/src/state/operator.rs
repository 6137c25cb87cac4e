//! An operator process.

use std::collections::BTreeMap;

use rototo_protocol::fleet::{Moment, Pod, Pods};
use rototo_protocol::plan::{MarkerEntry, MarkerMap};

use super::inheritance::Inheritance;
use super::record::Record;

/// An operator process.
pub struct Operator {
    pub alive: bool,
    /// The number of its life: messages to an earlier one are lost.
    pub life: u64,
    pub clock_offset: i64,
    /// Its record of the workspace. Only the leader has one.
    pub record: Option<Record>,
    /// The UID of the workspace that its watch shows.
    pub shown_workspace: Option<u64>,
    /// The evidence of the leader that ended last in order.
    pub inheritance: Option<Inheritance>,
    /// Another operator process led before it.
    pub has_predecessor: bool,
    /// It has removed what was left of a workspace of this name.
    pub swept: bool,
    /// The sweep that is under way.
    pub sweeps: Option<Sweep>,
    /// The last term in which it took over the map.
    pub took_over_in: Option<u64>,
    /// It waits for the turn of the namespace; what asks for a reconcile meanwhile asks for one afterwards.
    pub waits_for_turn: bool,
    /// The map as it knows it: from its watch, or from an answer.
    pub map: Option<(u64, MarkerEntry)>,
    pub pods: BTreeMap<String, Pod>,
    pub last_pod_event: Moment,
    pub armed: u64,
    pub next_at: Option<Moment>,
    /// The time at which it last turned a report away.
    pub turned_away: Moment,
}

/// A sweep says first that the workspace is gone, and takes the marker away then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    Announces,
    Takes,
}

impl Operator {
    pub fn new() -> Self {
        Self {
            alive: false,
            life: 0,
            clock_offset: 0,
            record: None,
            shown_workspace: None,
            inheritance: None,
            has_predecessor: false,
            swept: false,
            sweeps: None,
            took_over_in: None,
            waits_for_turn: false,
            map: None,
            pods: BTreeMap::new(),
            last_pod_event: Moment::ZERO,
            armed: 0,
            next_at: None,
            turned_away: Moment::ZERO,
        }
    }

    /// Returns the pods as its watch has shown them. A selector that is invalid selects none of them, and nobody knows which
    /// it should.
    pub fn observed(&self, selector_broken: bool) -> Pods {
        let mut by_uid = self.pods.clone();
        by_uid.values_mut().for_each(|pod| pod.selected &= !selector_broken);
        let by_uid = by_uid.into_iter().map(|(uid, pod)| (uid.into(), pod.into())).collect();
        Pods { by_uid, incomplete: selector_broken }
    }

    /// Returns the map as it knows it.
    pub fn marker_map(&self) -> Option<MarkerMap> {
        let (version, marker) = self.map?;
        Some(MarkerMap::Ours { resource_version: version.to_string(), addressed: true, marker })
    }
}
