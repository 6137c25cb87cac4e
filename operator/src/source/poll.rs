//! Polls the source of a workspace: pins the ref, fetches the files, lints them, and keeps them as a snapshot.
//!
//! [`Poll::run`] returns the [`Candidate`]: the newest content of the source, with lint's verdict on it. A poll of a
//! source that has not moved costs one request to the git host, and returns the known candidate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rototo_api::workspace::{FailOn, RejectedDiagnostic, SourceLayer, WorkspaceStatus};
use rototo_engine::lint::expiry_dates;
use rototo_engine::{Date, Diagnostic, Digest, Fingerprint, Lint, Linted, Parsed, Severity, Tree};
use rototo_source::{
    Access, CommitInfo, Layer, PinnedSource, Reader, Revision, SignaturePolicy, SnapshotStore, SourceError,
};

use crate::load::turns::Turn;
use crate::source::custom_rules::CustomRules;
use crate::source::disk::DiskShares;
use crate::source::memory::{self, DocumentMemory, KeptLint};
use crate::source::poll_error::PollError;
use crate::source::poll_turn::PollTurn;

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
    policy: Digest,
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

/// One poll.
#[derive(Clone, Debug)]
pub struct Poll {
    /// The source, and the credentials that open it.
    pub access: Access,
    /// The signatures that the source must have.
    pub signatures: Option<SignaturePolicy>,
    /// The age up to which the git host's answer to somebody else is good enough, so that a thousand workspaces of one
    /// repository cost one request an interval. Zero asks again.
    pub age: Duration,
    /// The longest time that the poll may take.
    pub timeout: Duration,
    /// The time at which the poll got its turn. Its Secrets have been read since.
    pub began: tokio::time::Instant,
    /// The lowest severity that lint refuses.
    pub fail_on: FailOn,
    /// Runs the custom rules of the workspace.
    pub custom_rules: CustomRules,
    /// The result of the last poll.
    pub known: Option<PollResult>,
    /// The shares of the disk.
    pub(crate) disk: Arc<DiskShares>,
    /// The memory for documents.
    pub(crate) memory: Arc<DocumentMemory>,
    /// The namespace of the workspace.
    pub(crate) namespace: String,
}

/// The result of a poll.
#[derive(Clone, Debug)]
pub struct PollResult {
    /// The content.
    pub candidate: Arc<Candidate>,
    /// The layers that the content comes from, each with its version.
    pub pinned: PinnedSource,
    /// The time at which the host was asked, also for a neighbour.
    pub asked: Instant,
    /// The lint of the content, so that the next candidate costs only its changes; `None` if there is no memory for it.
    pub linted: Option<Arc<KeptLint>>,
}

impl Poll {
    /// Polls for a workspace, within `turn`. Returns the known result when no layer of the source has
    /// moved.
    ///
    /// The turn ends with the poll, or when a workspace with custom rules waits for its turn to run them. `spec.timeout`
    /// limits all of it since `began`.
    pub(crate) async fn run(
        self,
        reader: &Reader,
        store: Arc<SnapshotStore>,
        mut turn: PollTurn,
    ) -> Result<PollResult, PollError> {
        let (timeout, end) = (self.timeout, self.began + self.timeout);
        let read = turn.reading(Box::pin(tokio::time::timeout_at(end, self.read(reader)))).await?;
        let fetched = match read.map_err(|_| PollError::TimedOut(timeout))?? {
            Fetch::Known(found) => return Ok(*found),
            Fetch::New(fetched) => *fetched,
        };
        let rest = async {
            let mut fetched = fetched;
            let mut large = None;
            if self.memory.is_large(&fetched.tree) {
                large = self.memory.try_turn(&self.namespace);
                if large.is_none() {
                    // It waits without its documents and without its turn.
                    turn.release();
                    fetched.tree = Tree::default();
                    let crowded = |_| PollError::Crowded("large workspaces");
                    large = Some(self.memory.turn(&self.namespace).await.map_err(crowded)?);
                    fetched = fetch_again(reader, fetched, &mut turn).await?;
                }
            }
            if self.custom_rules.needs_turn(&fetched.tree) {
                return self.lint_with_rules(reader, fetched, store, (turn, large)).await;
            }
            turn.resume().await.map_err(|_| PollError::Crowded("polls"))?;
            self.lint_beside(fetched, store, (turn, large)).await
        };
        let limited = tokio::time::timeout_at(end, Box::pin(rest)).await;
        limited.unwrap_or(Err(PollError::LintTimedOut(timeout)))
    }

    /// Lints a workspace with custom rules once it is its turn. If many polls wait already, it drops its documents and
    /// its turn, waits, and then reads the documents again.
    async fn lint_with_rules(
        self,
        reader: &Reader,
        fetched: Fetched,
        store: Arc<SnapshotStore>,
        (mut poll_turn, large): (PollTurn, Option<Turn<String>>),
    ) -> Result<PollResult, PollError> {
        let crowded = |_| PollError::Crowded("workspaces with custom rules");
        let (custom_rules, namespace) = (self.custom_rules.clone(), &self.namespace.clone());
        let (queued, fetched) = match custom_rules.try_queue(namespace) {
            Some(queued) => (queued, fetched),
            None => {
                poll_turn.release();
                let waits = Fetched { tree: Tree::default(), ..fetched };
                let queued = custom_rules.queue(namespace).await.map_err(crowded)?;
                (queued, fetch_again(reader, waits, &mut poll_turn).await?)
            }
        };
        drop(poll_turn);
        let turn = custom_rules.turn(namespace).await.map_err(crowded)?;
        self.lint_beside(fetched, store, (turn, queued, large)).await
    }

    /// Lints on another thread: lint and fsync would hold up every other workspace of this process. The turn ends with
    /// the lint, also if nobody waits for its end any more.
    async fn lint_beside(
        self,
        fetched: Fetched,
        store: Arc<SnapshotStore>,
        turn: impl Send + 'static,
    ) -> Result<PollResult, PollError> {
        let lint_fetched = move || {
            let result = self.lint_fetched(fetched, &store);
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(lint_fetched).await.map_err(|_| PollError::Interrupted)?
    }

    async fn read(&self, reader: &Reader) -> Result<Fetch, SourceError> {
        let pinned = reader.pin_within(self.access.clone(), self.age).await?;
        // The time of a change counts from the first answer that named its commit, also if a fetch has failed since.
        let answered = Instant::now();
        let asked = reader.asked_at(&pinned).await.map_or(answered, |asked| asked.min(answered));
        let detected = reader.named_since(&pinned).await.map_or(answered, |named| named.min(answered));
        if let Some(known) = &self.known
            && known.candidate.fail_on == self.fail_on
            && known.candidate.signature.as_ref().map(|known| known.policy)
                == self.signatures.as_ref().map(SignaturePolicy::digest)
            && !known.candidate.provisional
            && known.pinned.is_same_content(&pinned)
        {
            return Ok(Fetch::Known(Box::new(PollResult { asked, ..known.clone() })));
        }
        let (pinned, tree) = reader.fetch_layers(&pinned).await?;
        let signature = match &self.signatures {
            Some(policy) => {
                Some(VerifiedSignature { signer: reader.verify(&pinned, policy).await?, policy: policy.digest() })
            }
            None => None,
        };
        let commit = reader.commit_info(&pinned).await;
        let fetched = Instant::now();
        Ok(Fetch::New(Box::new(Fetched { pinned, tree, commit, signature, asked, detected, fetched })))
    }

    fn lint_fetched(&self, fetched: Fetched, store: &SnapshotStore) -> Result<PollResult, PollError> {
        let Fetched { pinned, tree, commit, signature, asked, detected, fetched } = fetched;
        let nothing = Linted::default();
        let kept = self.known.as_ref().and_then(|known| known.linted.as_ref());
        let before = kept.map_or(&nothing, |kept| kept.linted());
        let tree = tree.after(before.parsed().tree());
        let fingerprint = tree.fingerprint();
        let known = self.known.as_ref().map(|known| &known.candidate);
        let known = known.filter(|known| !known.provisional);
        let known = known.filter(|known| known.fingerprint == fingerprint && known.fail_on == self.fail_on);
        // Paths and tests beside the documents are no content, but lint reports them.
        let last = before.parsed().tree();
        let known = known.filter(|_| tree.has_same_unread_paths(last) && tree.has_same_tests(last));
        let (verdict, contents, expiries, provisional, linted) = match known {
            Some(known) => (known.verdict.clone(), known.contents, known.expiries.clone(), false, kept.cloned()),
            None => {
                let (verdict, contents, linted) = self.lint_new(tree.clone(), before)?;
                let provisional = linted.lint().custom.interrupted;
                let expiries: Arc<[Date]> = expiry_dates(linted.parsed()).into();
                (verdict, contents, expiries, provisional, self.memory.keep(linted))
            }
        };
        if verdict == LintVerdict::Accepted {
            if !store.contains(&fingerprint) {
                self.disk.admit(&self.namespace, memory::bytes(&tree))?;
            }
            store.put(&tree)?;
        }
        let candidate = Candidate {
            revision: pinned.revision(),
            commit,
            layers: pinned.layers().map(layer).collect(),
            immutable: pinned.immutable(),
            fingerprint,
            contents,
            expiries,
            signature,
            fail_on: self.fail_on,
            verdict,
            provisional,
            times: PollTimes { detected, fetched, linted: Instant::now() },
        };
        Ok(PollResult { candidate: Arc::new(candidate), pinned, asked, linted })
    }

    fn lint_new(&self, tree: Tree, before: &Linted) -> Result<(LintVerdict, WorkspaceStatus, Linted), PollError> {
        let parsed = rototo_engine::parse_after(before.parsed(), tree);
        let linted = self.custom_rules.lint(before, &parsed);
        let lint = linted.lint();
        let failed_tests = if lint.has_errors() { Vec::new() } else { self.failed_tests(&parsed)? };
        let refused = lint.has_errors() || self.fail_on == FailOn::Warning && lint.warnings() > 0;
        let verdict = match refused || !failed_tests.is_empty() {
            true => LintVerdict::Refused(refusal(lint, &failed_tests)),
            false => LintVerdict::Accepted,
        };
        Ok((verdict, contents(&parsed), linted))
    }

    /// Runs the tests of a workspace without errors, if they were read.
    fn failed_tests(&self, parsed: &Parsed) -> Result<Vec<Diagnostic>, PollError> {
        if parsed.tree().tests().next().is_none() {
            return Ok(Vec::new());
        }
        // A workspace that does not compile has errors of lint.
        let Ok(compiled) = rototo_engine::compile(parsed) else { return Ok(Vec::new()) };
        let end = (self.began + self.timeout).into_std();
        let report = rototo_engine::testing::run(parsed, &compiled, parsed.tree().tests(), || Instant::now() < end);
        if report.interrupted {
            return Err(PollError::TestsTimedOut(self.timeout));
        }
        Ok(report.diagnostics)
    }
}

enum Fetch {
    Known(Box<PollResult>),
    New(Box<Fetched>),
}

struct Fetched {
    pinned: PinnedSource,
    tree: Tree,
    commit: Option<CommitInfo>,
    signature: Option<VerifiedSignature>,
    asked: Instant,
    detected: Instant,
    fetched: Instant,
}

/// Reads the documents again of a poll that had to wait without them. What was signed is named by its digest.
async fn fetch_again(reader: &Reader, waited: Fetched, turn: &mut PollTurn) -> Result<Fetched, PollError> {
    turn.resume().await.map_err(|_| PollError::Crowded("polls"))?;
    let (pinned, tree) = turn.reading(Box::pin(reader.fetch_layers(&waited.pinned))).await??;
    Ok(Fetched { pinned, tree, fetched: Instant::now(), ..waited })
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
        expired: 0,
    }
}

/// Returns the refusal for what lint and the tests have found.
fn refusal(lint: &Lint, failed_tests: &[Diagnostic]) -> LintRefusal {
    let mut diagnostics: Vec<&Diagnostic> = lint.diagnostics.iter().chain(failed_tests).collect();
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity != Severity::Error);
    let findings = diagnostics.into_iter().take(NAMED_FINDINGS).map(finding).collect();
    LintRefusal { errors: count(lint.errors() + failed_tests.len()), warnings: count(lint.warnings()), findings }
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
