//! The faults of the moment.

use std::time::Duration;

use rototo_protocol::fleet::Moment;

/// The faults of the moment.
#[derive(Default)]
pub struct Faults {
    /// The operator that leads can't reach the API server until then.
    pub operator_cut: Moment,
    pub stale_pods: Moment,
    pub stale_map: Moment,
    /// The API server answers no process until then.
    pub api_away: Moment,
    pub git_away: Moment,
    /// No operator runs until then.
    pub operators_down: Moment,
    /// The next write of the status arrives so late.
    pub late_status: Option<Duration>,
    /// The answer to the next patch gets lost, and the patch arrives so late.
    pub lose_answer: Option<Duration>,
    pub busy: Moment,
}
