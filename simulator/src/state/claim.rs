//! The claims of an operator, as the status of the object keeps them.

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::marker::{Gate, Stage};
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;

/// The status of the object, as far as it claims anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub published: Option<Publish>,
    pub converged: bool,
    /// What was taken back, and the gate that it did not pass.
    pub held: Option<(Publish, Gate)>,
    /// What is rolled out, and its stage.
    pub rollout: Option<(Publish, Stage)>,
    /// The last name that was announced, while it is later than that of what is published.
    pub last_announced: Option<UpdatedAt>,
    /// The figure of each publish, the newest first.
    pub history: Vec<(UpdatedAt, Option<u64>)>,
    /// The number of processes that it counts.
    pub counted: usize,
    /// The processes that it counts: known to the world, not to the operator.
    pub members: Vec<usize>,
    /// The operator's wall clock.
    pub as_of: Timestamp,
    /// The time at which it counted: known to the world, not to the operator.
    pub counted_at: Moment,
}

impl Claim {
    /// Returns whether another claim says the same, at whatever time.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |claim: &Self| {
            (claim.published, claim.converged, claim.held, claim.rollout, claim.last_announced, claim.counted)
        };
        said(self) == said(other) && self.history == other.history
    }

    /// Returns the last name that it knows of.
    pub fn last_name(&self) -> Option<UpdatedAt> {
        self.history.iter().map(|(name, _)| *name).chain(self.published.map(|publish| publish.updated_at)).max()
    }
}
