//! The reasons of the protocol.

use rototo::Cause;

/// Returns the reason of an evaluation. A version that nothing has confirmed for too long gives every value for the reason
/// `STALE`.
pub(super) fn reason(cause: Cause, stale: bool) -> &'static str {
    if stale {
        return "STALE";
    }
    match cause {
        Cause::NoRules => "STATIC",
        Cause::Default => "DEFAULT",
        Cause::Rule => "TARGETING_MATCH",
        Cause::Bucket => "SPLIT",
        // A kind of rule that a newer engine knows.
        _ => "UNKNOWN",
    }
}
