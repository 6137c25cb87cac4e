//! A report of a process, as the operator has taken it.

use rototo_api::fleet::{PreparationState, ProcessState};
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::Moment;

/// The last report of a process that an operator has taken.
#[derive(Clone, Debug)]
pub struct ReceivedReport {
    pub sequence: Option<u64>,
    pub state: ProcessState,
    pub publish: Option<Publish>,
    /// The last announced content that it spoke about, and what it said.
    pub answered: Option<(Fingerprint, PreparationState)>,
    pub received: Moment,
    pub first: Moment,
}

impl ReceivedReport {
    pub fn drained(&self) -> bool {
        self.state == ProcessState::Draining
    }

    pub fn runs_nothing(&self) -> bool {
        self.publish.is_none() && matches!(self.state, ProcessState::Starting | ProcessState::Pending)
    }

    /// Returns whether it says that the process resolves from this content, under whatever name.
    pub fn runs(&self, fingerprint: Fingerprint) -> bool {
        self.resolves() && self.publish.is_some_and(|publish| publish.fingerprint == fingerprint)
    }

    fn resolves(&self) -> bool {
        matches!(self.state, ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned)
    }

    /// Returns whether it says that the process runs this.
    pub fn says_it_runs(&self, publish: Publish) -> bool {
        self.resolves() && self.publish == Some(publish)
    }

    /// Returns whether it says that the process does not run this.
    pub fn says_otherwise(&self, publish: Publish) -> bool {
        !(self.drained() || self.runs_nothing() || self.says_it_runs(publish))
    }

    /// Returns whether the process has refused this content, in the last report that spoke about an announcement.
    pub fn refuses(&self, fingerprint: Fingerprint) -> bool {
        self.answered == Some((fingerprint, PreparationState::Refused))
    }

    /// Returns whether the process has prepared this content, or runs it.
    pub fn has_prepared(&self, fingerprint: Fingerprint) -> bool {
        self.answered == Some((fingerprint, PreparationState::Prepared)) || self.runs(fingerprint)
    }
}
