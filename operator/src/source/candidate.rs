//! The newest content of a source, with lint's verdict on it, and the form that both have in a status.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rototo_api::workspace::{FailOn, RejectedDiagnostic, SourceLayer, WorkspaceStatus};
use rototo_engine::{Date, Diagnostic, Digest, Fingerprint, Lint, Parsed, Severity};
use rototo_source::{CommitInfo, Layer, Revision};

/// The largest number of findings in a status.
const NAMED_FINDINGS: usize = 10;

/// The newest content of a source.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The layers that the content comes from, the source itself last.
    pub layers: Vec<SourceLayer>,
    /// The commit, where the source has commits.
    pub revision: Option<Revision>,
    /// The author and the subject of that commit.
    pub commit: Option<CommitInfo>,
    /// True if the source always names the same content.
    pub immutable: bool,
    /// The fingerprint of the content.
    pub fingerprint: Fingerprint,
    /// The numbers of variables, qualifiers, resources, and documents.
    pub contents: WorkspaceStatus,
    /// The days from which variables and rules have expired, the earliest first.
    pub expiries: Arc<[Date]>,
    /// The signer, where the spec asks for a signature.
    pub signature: Option<VerifiedSignature>,
    /// The lowest severity that lint refuses. Another severity needs another verdict.
    pub fail_on: FailOn,
    /// Lint's verdict.
    pub verdict: LintVerdict,
    /// Custom rules were left out for lack of time or of a process, so the next poll lints again.
    pub provisional: bool,
    /// The times of the steps of the poll.
    pub times: PollTimes,
}

impl Candidate {
    /// The number of variables and rules that have expired on the day of `now` in UTC.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> u32 {
        let today: Result<Date, _> = now.to_zoned(TimeZone::UTC).date().to_string().parse();
        // Only the years from 0 to 9999 are dates.
        today.map_or(0, |today| count(self.expiries.partition_point(|date| *date <= today)))
    }
}

/// The signature of a candidate that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The name and the key of the signer.
    pub signer: String,
    /// The policy by which it was verified. Another policy needs another verification.
    pub(super) policy: Digest,
}

impl VerifiedSignature {
    /// Returns whether another signature was verified by the same policy.
    pub(crate) fn has_policy_of(&self, other: &Self) -> bool {
        self.is_by(other.policy)
    }

    /// Returns whether the signature was verified by the policy with this digest.
    pub(crate) fn is_by(&self, policy: Digest) -> bool {
        self.policy == policy
    }
}

/// Lint's verdict on a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LintVerdict {
    /// The candidate may be published.
    Accepted,
    /// The candidate may not be published.
    Refused(LintRefusal),
}

/// The reasons why lint refuses a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintRefusal {
    /// The number of errors.
    pub errors: u32,
    /// The number of warnings.
    pub warnings: u32,
    /// The first findings, without values.
    pub findings: Vec<RejectedDiagnostic>,
}

/// The times of the steps of a poll, on this process's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct PollTimes {
    /// The source named its commit.
    pub detected: Instant,
    /// The files had been read.
    pub fetched: Instant,
    /// Lint had ended, and content that it accepts was on disk.
    pub linted: Instant,
}

/// Returns a layer as a status shows it.
pub(super) fn layer(layer: &Layer) -> SourceLayer {
    SourceLayer { source: layer.source().to_string(), commit: layer.commit().map(ToString::to_string) }
}

/// Returns the numbers of the parts of a workspace.
pub(super) fn contents(parsed: &Parsed) -> WorkspaceStatus {
    let summary = parsed.summary();
    WorkspaceStatus {
        variables: count(summary.variables),
        qualifiers: count(summary.qualifiers),
        resources: count(summary.resources),
        documents: count(summary.documents),
        expired: 0,
    }
}

/// Returns the refusal for what lint and the tests have found. Tests run only if lint finds no errors.
pub(super) fn refusal(lint: &Lint, failed_tests: Vec<RejectedDiagnostic>) -> LintRefusal {
    let errors = count(lint.errors() + failed_tests.len());
    let mut diagnostics: Vec<&Diagnostic> = lint.diagnostics.iter().collect();
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity != Severity::Error);
    let findings = failed_tests.into_iter().chain(diagnostics.into_iter().map(finding)).take(NAMED_FINDINGS).collect();
    LintRefusal { errors, warnings: count(lint.warnings()), findings }
}

/// Returns the finding in a workspace that has no test although its spec asks for tests. A directory of tests that was
/// renamed would else let every change pass.
pub(super) fn no_tests() -> RejectedDiagnostic {
    RejectedDiagnostic {
        rule: "rototo/test-invalid".to_owned(),
        path: Some("tests".to_owned()),
        line: None,
        message: "there are no tests: add tests/NAME.toml, or set spec.lint.tests to false".to_owned(),
    }
}

/// Returns a finding as a status shows it, without values.
pub(super) fn finding(diagnostic: &Diagnostic) -> RejectedDiagnostic {
    RejectedDiagnostic {
        rule: diagnostic.rule.to_string(),
        path: Some(diagnostic.location.path.to_string()),
        line: diagnostic.location.range.map(|range| count(range.start.line)),
        message: diagnostic.masked_message(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
