//! The types and reasons of conditions and Events. `docs/reference/conditions.md` describes each, with the action that
//! it asks for.
//!
//! A reason has one word, and says the same in every condition that has it:
//!
//! ```
//! use rototo_api::condition::{CONVERGED, reason};
//!
//! assert_eq!((CONVERGED, reason::DEADLINE_EXCEEDED), ("Converged", "DeadlineExceeded"));
//! assert!(reason::ALL.contains(&reason::DEADLINE_EXCEEDED));
//! ```

/// The newest revision is published and runs in the whole fleet. The operator derives this from the other conditions.
pub const READY: &str = "Ready";
/// A change is on its way.
pub const RECONCILING: &str = "Reconciling";
/// Nothing will change until somebody changes the spec, the source, or a grant.
pub const STALLED: &str = "Stalled";
/// The source answers.
pub const SOURCE_READY: &str = "SourceReady";
/// Lint accepts the newest revision.
pub const LINT_PASSED: &str = "LintPassed";
/// The marker names content that the operator can serve.
pub const PUBLISHED: &str = "Published";
/// The fleet runs what is published.
pub const CONVERGED: &str = "Converged";
/// The source could not be confirmed for longer than `staleAfter`.
pub const STALE: &str = "Stale";

/// The reasons of conditions and Events.
pub mod reason {
    macro_rules! reasons {
        ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
            $($(#[$doc])* pub const $name: &str = $text;)*
            /// Every reason.
            pub const ALL: &[&str] = &[$($text),*];
        };
    }

    reasons! {
        /// Ready, Converged: every process that counts runs what is published.
        CONVERGED = "Converged";
        /// Ready, Published: the marker names content that the operator can serve. As an Event: a new publish.
        PUBLISHED = "Published";
        /// SourceReady: the source was read.
        FETCHED = "Fetched";
        /// SourceReady: the host does not answer, or the Secret is missing or unusable. The source is polled again.
        SOURCE_UNAVAILABLE = "SourceUnavailable";
        /// SourceReady, Stalled: the source can't be read as the spec names it, and waiting does not help. Also an Event.
        SOURCE_REFUSED = "SourceRefused";
        /// SourceReady: the operator may not read the Secret of the source, or the Secret is not for that host. Also an Event.
        SECRET_FORBIDDEN = "SecretForbidden";
        /// SourceReady: a commit or tag is not signed as `spec.verify` asks. Also an Event.
        SIGNATURE_INVALID = "SignatureInvalid";
        /// SourceReady: a limit of the operator on workspaces or on the disk is reached, by the namespace or by all together. Also
        /// an Event.
        LIMIT_REACHED = "LimitReached";
        /// SourceReady: this operator has not polled the source yet.
        NOT_POLLED = "NotPolled";
        /// LintPassed: lint accepts the newest revision.
        PASSED = "Passed";
        /// LintPassed: lint refuses the newest revision. Also an Event.
        LINT_REFUSED = "LintRefused";
        /// Ready: the newest revision would remove more than half of the published variables, and is held until a person
        /// allows it. Also an Event.
        SHRINK_HELD = "ShrinkHeld";
        /// Ready: a process refuses the newest revision in its rehearsal, so it is not published. Also an Event.
        REFUSED_IN_REHEARSAL = "RefusedInRehearsal";
        /// Ready: too few processes have prepared the newest revision, so it is not published. Also an Event.
        REHEARSAL_INCOMPLETE = "RehearsalIncomplete";
        /// Ready, Reconciling: processes prepare the newest revision, or it is not published yet.
        REHEARSING = "Rehearsing";
        /// Ready, Converged, Reconciling: a part of the fleet runs the newest revision.
        ROLLING_OUT = "RollingOut";
        /// Ready: the newest revision was rolled back during its rollout. Also an Event.
        HELD_BACK = "HeldBack";
        /// LintPassed: no revision was read yet.
        NOT_LINTED = "NotLinted";
        /// Published, Converged: no revision was published yet.
        NOTHING_PUBLISHED = "NothingPublished";
        /// Published: nothing was published before `spec.suspend` was set.
        SUSPENDED = "Suspended";
        /// Published: the API server refuses the marker, or does not answer. Also an Event.
        PUBLISH_FAILED = "PublishFailed";
        /// Published: the marker map belongs to another install.
        FOREIGN_MARKERS = "ForeignMarkers";
        /// Published: the operator's disk does not have the published content. Also an Event.
        SNAPSHOT_LOST = "SnapshotLost";
        /// Converged: `spec.fleet.selector` is not a valid selector.
        SELECTOR_INVALID = "SelectorInvalid";
        /// Converged: no process is known that runs what is published.
        NO_PROCESSES = "NoProcesses";
        /// Converged: the operator has just started, or gained the lease, and collects reports.
        RECOUNTING = "Recounting";
        /// Converged: a process fell silent, and nobody can see whether it has ended.
        UNPROVABLE = "Unprovable";
        /// Converged: a process that had applied the publish fell silent.
        SILENT = "Silent";
        /// Converged: a process refuses what is published.
        PROCESSES_REFUSE = "ProcessesRefuse";
        /// Converged, Reconciling: processes are applying the publish.
        PROGRESSING = "Progressing";
        /// Converged: processes have not applied the publish within `spec.fleet.convergeWithin`.
        DEADLINE_EXCEEDED = "DeadlineExceeded";
        /// Stale: the source did not answer for longer than `spec.staleAfter`. Also an Event.
        SOURCE_NOT_CONFIRMED = "SourceNotConfirmed";
        /// Reconciling: the operator polls the source.
        POLLING = "Polling";
        /// Event: lint accepts, the API server takes the marker, the source can be read, or the published content can be served,
        /// again.
        RECOVERED = "Recovered";
        /// Event: Converged has become `DeadlineExceeded`.
        CONVERGE_DEADLINE_EXCEEDED = "ConvergeDeadlineExceeded";
        /// Event: the Secret of `spec.webhook` can't be used, so calls of the git host are refused.
        WEBHOOK_UNUSABLE = "WebhookUnusable";
        /// Event: the git host does not take the status of a commit that `spec.notify` asks for.
        COMMIT_STATUS_FAILED = "CommitStatusFailed";
        /// Event: the operator wrote the marker again after somebody else had changed it.
        MARKER_PUT_BACK = "MarkerPutBack";
    }
}
