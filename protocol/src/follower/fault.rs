//! A fault on the way to a publish: a code for the fleet, a sentence for people, and whether waiting helps.

use std::time::Duration;

/// A failure. Its code goes into reports, status, and metrics; its message goes into logs and the status that the
/// process shows itself. Neither holds a value of the workspace or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code, such as `operator_unreachable`.
    pub code: &'static str,
    /// The sentence for people.
    pub message: String,
    /// The kind of the fault, which decides when to try again.
    pub kind: FaultKind,
}

/// The kinds of faults, by what helps against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It passes by itself: try again soon, with a growing wait.
    Transient,
    /// The server asks for this wait.
    Busy(Duration),
    /// Somebody has to act first: try again with the slow backoff.
    Persistent,
}

impl Fault {
    /// Creates a failure that passes by itself.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: FaultKind::Transient }
    }

    /// Creates a failure that somebody has to do something about.
    pub fn persistent(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: FaultKind::Persistent }
    }
}
