//! One look at the source of a workspace: pin the ref, fetch the files, lint them, keep them as a snapshot.
//!
//! What comes out is the [`Candidate`]: the newest content that the source names, and lint's verdict on it. A look at a
//! source that has not moved costs one question to the git host and gives the head that was known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rototo_api::workspace::{FailOn, RejectedDiagnostic, SourceLayer, WorkspaceStatus};
use rototo_engine::{Diagnostic, Fingerprint, Lint, Linted, Parsed, Severity, Tree};
use rototo_source::{
    Access, InvalidSource, Layer, PinnedSource, Reader, Revision, SnapshotStore, SourceError, StoreError,
};

use crate::source::credentials::SecretError;
use crate::source::custom_rules::CustomRules;

/// How many findings a status names.
const NAMED_FINDINGS: usize = 10;

/// The newest content of a source.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// From where it is, the source itself last.
    pub layers: Vec<SourceLayer>,
    /// The commit, where the source has commits.
    pub revision: Option<Revision>,
    /// The source can't name anything else.
    pub immutable: bool,
    /// The name of the content.
    pub fingerprint: Fingerprint,
    /// What it consists of.
    pub contents: WorkspaceStatus,
    /// From which severity on lint refuses; another policy is another verdict.
    pub fail_on: FailOn,
    /// What lint says.
    pub verdict: LintVerdict,
    /// Whether rules of the workspace were left out for lack of time or of a process: the next look judges anew.
    pub provisional: bool,
    /// When the steps up to here were done.
    pub times: PollTimes,
}

/// What lint says of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LintVerdict {
    /// It may be published.
    Accepted,
    /// It may not.
    Refused(LintRefusal),
}

/// Why lint refuses a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintRefusal {
    /// How many errors it found.
    pub errors: u32,
    /// How many warnings it found.
    pub warnings: u32,
    /// The first of them, without values.
    pub findings: Vec<RejectedDiagnostic>,
}

/// When the steps of a look were done, on this process's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct PollTimes {
    /// The source answered which commit it is at.
    pub detected: Instant,
    /// The files had been read.
    pub fetched: Instant,
    /// Lint was through, and what it accepts was on disk.
    pub linted: Instant,
}

/// Why a look gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The text of the spec names no source.
    #[error("spec.source: {0}")]
    Invalid(InvalidSource),
    /// The Secret that opens it can't be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source did not answer in the time that the spec gives it.
    #[error("the source did not answer within {0:?} (spec.timeout)")]
    TimedOut(Duration),
    /// The snapshot could not be written.
    #[error("the snapshot could not be kept: {0}")]
    Store(#[from] StoreError),
    /// The work was ended from outside.
    #[error("the look was interrupted")]
    Interrupted,
}

impl PollError {
    /// A code that explains the failure, for conditions and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_source",
            Self::Secret(_) => "secret_unusable",
            Self::Source(error) => error.code(),
            Self::TimedOut(_) => "timed_out",
            Self::Store(_) => "snapshot_not_kept",
            Self::Interrupted => "interrupted",
        }
    }

    /// How long the host asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Source(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the same look may succeed later without anybody changing the spec.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid(_) => false,
            Self::Source(error) => error.is_transient(),
            // A Secret that is created or mended does not change the spec.
            Self::Secret(_) | Self::TimedOut(_) | Self::Store(_) | Self::Interrupted => true,
        }
    }
}

/// What one look is for.
#[derive(Clone, Debug)]
pub struct Poll {
    /// Where to look, and what opens it.
    pub access: Access,
    /// How old an answer of the git host to somebody else may be, so that a thousand workspaces of one repository cost
    /// one question an interval. Zero asks anew.
    pub age: Duration,
    /// How long it may take.
    pub timeout: Duration,
    /// From which severity on lint refuses.
    pub fail_on: FailOn,
    /// Runs the workspace's own rules.
    pub custom_rules: CustomRules,
    /// What the last look saw.
    pub known: Option<PollResult>,
}

/// What a look saw.
#[derive(Clone, Debug)]
pub struct PollResult {
    /// The content.
    pub candidate: Arc<Candidate>,
    /// From which layers it is, each at which commit.
    pub pinned: PinnedSource,
    /// What lint knows of it, so that the next head costs what it changes.
    pub linted: Arc<Linted>,
}

impl Poll {
    /// Looks. What was known comes back when no layer of the source has moved.
    pub async fn run(self, reader: &Reader, store: Arc<SnapshotStore>) -> Result<PollResult, PollError> {
        let timeout = self.timeout;
        let read =
            tokio::time::timeout(timeout, self.read(reader)).await.map_err(|_| PollError::TimedOut(timeout))??;
        match read {
            Fetch::Known(found) => Ok(*found),
            Fetch::New(fetched) => {
                // Linting and fsync would hold up every other workspace of this process.
                let turn = self.custom_rules.turn(&fetched.tree).await;
                let lint_fetched = move || {
                    let judged = self.lint_fetched(*fetched, &store);
                    drop(turn);
                    judged
                };
                tokio::task::spawn_blocking(lint_fetched).await.map_err(|_| PollError::Interrupted)?
            }
        }
    }

    async fn read(&self, reader: &Reader) -> Result<Fetch, SourceError> {
        let pinned = reader.pin_within(self.access.clone(), self.age).await?;
        // The clock of a change runs since its commit was named first, also if a fetch has failed since.
        let answered = Instant::now();
        let detected = reader.named_since(&pinned).await.map_or(answered, |named| named.min(answered));
        if let Some(known) = &self.known
            && known.candidate.fail_on == self.fail_on
            && !known.candidate.provisional
            && known.pinned.is_same_content(&pinned)
        {
            return Ok(Fetch::Known(Box::new(known.clone())));
        }
        let (pinned, tree) = reader.fetch_layers(&pinned).await?;
        Ok(Fetch::New(Box::new(Fetched { pinned, tree, detected, fetched: Instant::now() })))
    }

    fn lint_fetched(&self, fetched: Fetched, store: &SnapshotStore) -> Result<PollResult, PollError> {
        let Fetched { pinned, tree, detected, fetched } = fetched;
        let before = self.known.as_ref().map(|known| known.linted.clone()).unwrap_or_default();
        let tree = tree.after(before.parsed().tree());
        let fingerprint = tree.fingerprint();
        let known = self.known.as_ref().map(|known| &known.candidate);
        let known = known.filter(|known| !known.provisional);
        let known = known.filter(|known| known.fingerprint == fingerprint && known.fail_on == self.fail_on);
        let (verdict, contents, linted) = match known {
            Some(known) => (known.verdict.clone(), known.contents, before),
            None => self.lint_new(tree.clone(), &before),
        };
        if verdict == LintVerdict::Accepted {
            store.put(&tree)?;
        }
        let candidate = Candidate {
            revision: pinned.revision(),
            layers: pinned.layers().map(layer).collect(),
            immutable: pinned.immutable(),
            fingerprint,
            contents,
            fail_on: self.fail_on,
            verdict,
            provisional: linted.lint().custom.interrupted,
            times: PollTimes { detected, fetched, linted: Instant::now() },
        };
        Ok(PollResult { candidate: Arc::new(candidate), pinned, linted })
    }

    fn lint_new(&self, tree: Tree, before: &Linted) -> (LintVerdict, WorkspaceStatus, Arc<Linted>) {
        let parsed = rototo_engine::parse_after(before.parsed(), tree);
        let linted = self.custom_rules.lint(before, &parsed);
        let lint = linted.lint();
        let refused = lint.has_errors() || self.fail_on == FailOn::Warning && lint.warnings() > 0;
        let verdict = if refused { LintVerdict::Refused(refusal(lint)) } else { LintVerdict::Accepted };
        (verdict, contents(&parsed), Arc::new(linted))
    }
}

enum Fetch {
    Known(Box<PollResult>),
    New(Box<Fetched>),
}

struct Fetched {
    pinned: PinnedSource,
    tree: Tree,
    detected: Instant,
    fetched: Instant,
}

fn layer(layer: &Layer) -> SourceLayer {
    SourceLayer { source: layer.source().to_string(), commit: layer.commit().map(ToString::to_string) }
}

fn contents(parsed: &Parsed) -> WorkspaceStatus {
    let summary = parsed.summary();
    WorkspaceStatus {
        variables: count(summary.variables),
        qualifiers: count(summary.qualifiers),
        resources: count(summary.resources),
        documents: count(summary.documents),
    }
}

fn refusal(lint: &Lint) -> LintRefusal {
    let mut diagnostics: Vec<&Diagnostic> = lint.diagnostics.iter().collect();
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity != Severity::Error);
    let findings = diagnostics.into_iter().take(NAMED_FINDINGS).map(finding).collect();
    LintRefusal { errors: count(lint.errors()), warnings: count(lint.warnings()), findings }
}

fn finding(diagnostic: &Diagnostic) -> RejectedDiagnostic {
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
