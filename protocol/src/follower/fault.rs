//! A fault on the way to a publish: a code for the fleet, a sentence for people, and a hint whether waiting helps.

use std::time::Duration;

/// One failure. The code goes into reports, status, and metrics; the message into logs and the process's own status.
/// Neither ever holds a value of the workspace or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code.
    pub code: &'static str,
    /// The sentence.
    pub message: String,
    /// The kind of the fault: waiting helps, or not.
    pub kind: FaultKind,
}

/// The kinds of faults, by what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It passes by itself: try again soon.
    Transient,
    /// The server said when to come back.
    Busy(Duration),
    /// Somebody has to act, and may: try again at leisure.
    Persistent,
}

impl Fault {
    /// A failure that passes by itself.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: FaultKind::Transient }
    }

    /// A failure that somebody has to do something about.
    pub fn persistent(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: FaultKind::Persistent }
    }
}
