//! The API server: the map of markers, and the object.

use std::collections::{BTreeMap, BTreeSet};

use rototo_api::UpdatedAt;
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;
use rototo_protocol::plan::MarkerEntry;

use super::claim::Claim;
use super::requests::Requests;
use super::taken_back::TakenBack;
use crate::rollout_plan::StepsPlan;

/// The API server: the map of markers, and the object.
pub struct Api {
    pub map_version: u64,
    pub marker: MarkerEntry,
    pub marker_since: Moment,
    /// The marker before somebody edited it.
    pub before_edit: Option<MarkerEntry>,
    /// The last name that somebody could know.
    pub last_name: Option<UpdatedAt>,
    /// The last name under which an operator has announced a publish.
    pub last_announced: Option<UpdatedAt>,
    /// Since when the marker announces what it announces.
    pub announced_since: Moment,
    /// True if somebody else than an operator has changed the announcement.
    pub announcement_edited: bool,
    /// True if somebody else than an operator has written a stage.
    pub stage_edited: bool,
    /// Every publish that the marker has named, whoever wrote it.
    pub published: BTreeSet<Publish>,
    /// Every publish that the marker has announced, whoever wrote it.
    pub announced: BTreeSet<Publish>,
    /// The highest threshold of a stage under which the marker has announced each publish, whoever wrote it.
    pub staged: BTreeMap<Publish, u64>,
    /// When the marker came to name the stage that it names.
    pub stage_since: Moment,
    /// The contents that were taken back, and that nothing has released since.
    pub taken_back: BTreeMap<Fingerprint, TakenBack>,
    /// The requests of people.
    pub requests: Requests,
    /// The contents that a person has published whatever processes report about them.
    pub anyway: [bool; 3],
    /// Every publish of an operator, in order.
    pub names: Vec<Publish>,
    /// True if somebody else than an operator has written the marker.
    pub edited: bool,
    /// True if an operator has put the marker back because of a process that stayed in a stage, or of a namesake.
    pub taken_for_an_edit: bool,
    /// True if an operator has written the marker that did not lead any more.
    pub written_late: bool,
    /// The UID of the workspace, as long as there is one.
    pub workspace: Option<u64>,
    /// When it was created.
    pub workspace_since: Moment,
    /// The number of workspaces so far, all of one name.
    pub workspaces: u64,
    /// The version of the workspace and its status.
    pub status_version: u64,
    pub status: Option<Claim>,
}

impl Api {
    /// Returns an API server with a workspace that has these steps, and with nothing published.
    pub fn new(steps: StepsPlan) -> Self {
        Self {
            map_version: 1,
            marker: MarkerEntry::Nothing,
            marker_since: Moment::ZERO,
            before_edit: None,
            last_name: None,
            last_announced: None,
            announced_since: Moment::ZERO,
            announcement_edited: false,
            stage_edited: false,
            published: BTreeSet::new(),
            announced: BTreeSet::new(),
            staged: BTreeMap::new(),
            stage_since: Moment::ZERO,
            taken_back: BTreeMap::new(),
            requests: Requests { steps, ..Requests::default() },
            anyway: [false; 3],
            names: Vec::new(),
            edited: false,
            taken_for_an_edit: false,
            written_late: false,
            workspace: Some(1),
            workspace_since: Moment::ZERO,
            workspaces: 1,
            status_version: 1,
            status: None,
        }
    }
}
