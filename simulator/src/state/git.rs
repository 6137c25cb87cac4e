//! The git host.

use rototo_protocol::fleet::Moment;

/// The git host.
pub struct Git {
    /// Since when it has its content.
    pub since: Moment,
    pub commit: u64,
    pub content: u8,
    /// The number of changes of its content.
    pub changes: u64,
}

impl Git {
    pub fn new() -> Self {
        Self { since: Moment::ZERO, commit: 1, content: 0, changes: 1 }
    }
}
