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

use crate::load::background;
use crate::load::turns::{Crowded, Turn};
use crate::source::custom_rules::{CustomRules, RulesTurn};
use crate::source::disk::DiskShares;
use crate::source::memory::{self, DocumentMemory, KeptLint};
use crate::source::poll_error::PollError;
use crate::source::poll_turn::{PollTurn, SLOW_AFTER};

/// The workspaces among which one waits, in the words of messages.
const LARGE: &str = "large workspaces";
const WITH_RULES: &str = "workspaces with custom rules";

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

impl VerifiedSignature {
    /// Returns whether another signature was verified by the same policy.
    pub(crate) fn has_policy_of(&self, other: &Self) -> bool {
        self.policy == other.policy
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

/// One poll.
#[derive(Clone, Debug)]
pub struct Poll {
    /// The source, and the credentials that open it.
    pub access: Access,
    /// The signatures that the source must have.
    pub signatures: Option<SignaturePolicy>,
    /// The time from which on an answer of the git host to somebody else is good enough, so that a thousand workspaces of one
    /// repository cost one request an interval, and few requests a call. `None` asks again.
    pub fresh_since: Option<Instant>,
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
    /// The turn ends with the poll, or when the workspace waits for another turn to be linted. `spec.timeout` limits all of
    /// it since `began`.
    pub(crate) async fn run(
        self,
        reader: &Reader,
        store: Arc<SnapshotStore>,
        mut turn: PollTurn,
    ) -> Result<PollResult, PollError> {
        let read = self.in_time(PollError::TimedOut, turn.reading(Box::pin(self.read(reader)))).await?;
        let fetched = match read?? {
            Fetch::Known(found) => return Ok(*found),
            Fetch::New(fetched) => *fetched,
        };
        let (is_large, has_rules) = (self.memory.is_large(&fetched.tree), self.custom_rules.needs_turn(&fetched.tree));
        let (fetched, turns) = match (is_large, has_rules) {
            (true, _) => self.large_turn(reader, fetched, turn, has_rules).await?,
            (false, true) => self.rules_turn(reader, fetched, turn).await?,
            (false, false) => {
                self.in_turn("polls", turn.resume()).await?;
                (fetched, (Some(turn), None, None))
            }
        };
        let (timeout, end) = (self.timeout, self.end());
        let linted = tokio::time::timeout_at(end, self.lint_beside(fetched, store, turns)).await;
        linted.unwrap_or(Err(PollError::LintTimedOut(timeout)))
    }

    /// Waits until a large workspace may be linted: first for its custom rules, then for the turn of large workspaces. So
    /// whoever has that turn waits for nothing that other workspaces of its namespace could hold. If it has to wait, it
    /// drops its documents and its turn, and reads the documents again in the end.
    async fn large_turn(
        &self,
        reader: &Reader,
        fetched: Fetched,
        turn: PollTurn,
        has_rules: bool,
    ) -> Result<(Fetched, LintTurns), PollError> {
        let namespace = &self.namespace;
        let rules = if has_rules { self.custom_rules.try_both(namespace) } else { None };
        if rules.is_some() == has_rules
            && let Some(large) = self.memory.try_turn(namespace)
        {
            return Ok((fetched, (None, rules, Some(large))));
        }
        drop(turn);
        let waits = Fetched { tree: Tree::default(), ..fetched };
        let rules = match rules {
            None if has_rules => {
                let queued = self.in_turn(WITH_RULES, self.custom_rules.queue(namespace)).await?;
                Some((self.in_turn(WITH_RULES, self.custom_rules.turn(namespace)).await?, queued))
            }
            rules => rules,
        };
        let large = self.in_turn(LARGE, self.memory.turn(namespace)).await?;
        let fetched = self.in_time(PollError::TimedOut, self.fetch_large(reader, waits)).await??;
        Ok((fetched, (None, rules, Some(large))))
    }

    /// Reads the documents of a large workspace again, once it is its turn. A source that takes long leaves the turn to
    /// others.
    async fn fetch_large(&self, reader: &Reader, waited: Fetched) -> Result<Fetched, PollError> {
        let mut read = Box::pin(waited.again(reader));
        if let Ok(fetched) = tokio::time::timeout(SLOW_AFTER, &mut read).await {
            return Ok(fetched?);
        }
        tokio::select! {
            biased;
            fetched = &mut read => Ok(fetched?),
            () = self.memory.crowded() => Err(PollError::Displaced(SLOW_AFTER)),
        }
    }

    /// Waits until a workspace with custom rules may be linted. If many polls wait already, it drops its documents and its
    /// turn, waits, and then reads the documents again.
    async fn rules_turn(
        &self,
        reader: &Reader,
        mut fetched: Fetched,
        mut turn: PollTurn,
    ) -> Result<(Fetched, LintTurns), PollError> {
        let namespace = &self.namespace;
        let queued = match self.custom_rules.try_queue(namespace) {
            Some(queued) => queued,
            None => {
                turn.release();
                fetched.tree = Tree::default();
                let queued = self.in_turn(WITH_RULES, self.custom_rules.queue(namespace)).await?;
                self.in_turn("polls", turn.resume()).await?;
                let read = self.in_time(PollError::TimedOut, turn.reading(Box::pin(fetched.again(reader)))).await?;
                fetched = read??;
                queued
            }
        };
        drop(turn);
        let running = self.in_turn(WITH_RULES, self.custom_rules.turn(namespace)).await?;
        Ok((fetched, (None, Some((running, queued)), None)))
    }

    /// Waits for a turn among these workspaces, within `spec.timeout`.
    async fn in_turn<T>(
        &self,
        among: &'static str,
        turn: impl Future<Output = Result<T, Crowded>>,
    ) -> Result<T, PollError> {
        let late = |timeout| PollError::WaitedForTurn(among, timeout);
        self.in_time(late, turn).await?.map_err(|Crowded| PollError::Crowded(among))
    }

    /// Runs a part of the poll within `spec.timeout`. Returns what `late` makes of that time if it has passed.
    async fn in_time<T>(
        &self,
        late: impl FnOnce(Duration) -> PollError,
        part: impl Future<Output = T>,
    ) -> Result<T, PollError> {
        tokio::time::timeout_at(self.end(), part).await.map_err(|_| late(self.timeout))
    }

    /// Returns the time at which the poll ends, however far it is.
    fn end(&self) -> tokio::time::Instant {
        self.began + self.timeout
    }

    /// Lints on another thread: lint and fsync would hold up every other workspace of this process. The turns end with
    /// the lint, also if nobody waits for its end any more.
    async fn lint_beside(
        self,
        fetched: Fetched,
        store: Arc<SnapshotStore>,
        turns: LintTurns,
    ) -> Result<PollResult, PollError> {
        // A clock limits custom rules, whose process would have the low priority too.
        let in_background = turns.1.is_none() && turns.2.is_some();
        let lint_fetched = move || {
            let result = self.lint_fetched(fetched, &store, in_background);
            drop(turns);
            result
        };
        tokio::task::spawn_blocking(lint_fetched).await.map_err(|_| PollError::Interrupted)?
    }

    async fn read(&self, reader: &Reader) -> Result<Fetch, SourceError> {
        let age = self.fresh_since.map_or(Duration::ZERO, |since| since.elapsed());
        let pinned = reader.pin_within(self.access.clone(), age).await?;
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

    fn lint_fetched(
        &self,
        fetched: Fetched,
        store: &SnapshotStore,
        in_background: bool,
    ) -> Result<PollResult, PollError> {
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
        // Without tests, the verdict depends on whether the spec asks for some.
        let has_tests = tree.tests().next().is_some();
        let known =
            known.filter(|known| has_tests || known.verdict == LintVerdict::Accepted && !self.access.reads_tests());
        let (verdict, contents, expiries, provisional, linted) = match known {
            Some(known) => (known.verdict.clone(), known.contents, known.expiries.clone(), false, kept.cloned()),
            None => {
                let lint = || self.lint_new(tree.clone(), before);
                let linted = if in_background { background::run(lint) } else { Some(lint()) };
                let (verdict, contents, linted) = linted.ok_or(PollError::Interrupted)??;
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
            true => LintVerdict::Refused(refusal(lint, failed_tests)),
            false => LintVerdict::Accepted,
        };
        Ok((verdict, contents(&parsed), linted))
    }

    /// Runs the tests of a workspace without errors, if the spec asks for them.
    fn failed_tests(&self, parsed: &Parsed) -> Result<Vec<RejectedDiagnostic>, PollError> {
        if !self.access.reads_tests() {
            return Ok(Vec::new());
        }
        if parsed.tree().tests().next().is_none() {
            return Ok(vec![no_tests()]);
        }
        // A workspace that does not compile has errors of lint.
        let Ok(compiled) = rototo_engine::compile(parsed) else { return Ok(Vec::new()) };
        let end = (self.began + self.timeout).into_std();
        let report = rototo_engine::testing::run(parsed, &compiled, parsed.tree().tests(), || Instant::now() < end);
        if report.interrupted {
            return Err(PollError::TestsTimedOut(self.timeout));
        }
        Ok(report.diagnostics.iter().map(finding).collect())
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

impl Fetched {
    /// Reads the documents again of a poll that had to wait without them. What was signed is named by its digest.
    async fn again(self, reader: &Reader) -> Result<Self, SourceError> {
        let (pinned, tree) = reader.fetch_layers(&self.pinned).await?;
        Ok(Self { pinned, tree, fetched: Instant::now(), ..self })
    }
}

/// The turns in which a workspace is linted: that of its poll, or those for its custom rules and its size.
type LintTurns = (Option<PollTurn>, Option<RulesTurn>, Option<Turn<String>>);

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

/// Returns the refusal for what lint and the tests have found. Tests run only if lint finds no errors.
fn refusal(lint: &Lint, failed_tests: Vec<RejectedDiagnostic>) -> LintRefusal {
    let errors = count(lint.errors() + failed_tests.len());
    let mut diagnostics: Vec<&Diagnostic> = lint.diagnostics.iter().collect();
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity != Severity::Error);
    let findings = failed_tests.into_iter().chain(diagnostics.into_iter().map(finding)).take(NAMED_FINDINGS).collect();
    LintRefusal { errors, warnings: count(lint.warnings()), findings }
}

/// Returns the finding in a workspace that has no test although its spec asks for tests. A directory of tests that was
/// renamed would else let every change pass.
fn no_tests() -> RejectedDiagnostic {
    RejectedDiagnostic {
        rule: "rototo/test-invalid".to_owned(),
        path: Some("tests".to_owned()),
        line: None,
        message: "there are no tests: add tests/NAME.toml, or set spec.lint.tests to false".to_owned(),
    }
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
