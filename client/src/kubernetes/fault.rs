//! What went wrong on the way to a publish: a code for the fleet, a sentence for people, and whether waiting helps.

use std::time::Duration;

/// One failure. The code goes into reports, status, and metrics; the message into logs and the process's own status.
/// Neither ever holds a value of the workspace or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) kind: FaultKind,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// It passes by itself: try again soon.
    Transient,
    /// The server said when to come back.
    Busy(Duration),
    /// Somebody has to act, and may: try again at leisure.
    Persistent,
}

impl Fault {
    pub(crate) fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: FaultKind::Transient }
    }

    pub(crate) fn persistent(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: FaultKind::Persistent }
    }
}
