//! Polls the source of a workspace: pins the ref, fetches the files, lints them, and keeps them as a snapshot.
//!
//! [`Poll::run`] returns the [`Candidate`]: the newest content of the source, with lint's verdict on it. A poll of a
//! source that has not moved costs one request to the git host, and returns the known candidate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rototo_api::workspace::{FailOn, RejectedDiagnostic, WorkspaceStatus};
use rototo_engine::lint::expiry_dates;
use rototo_engine::{Date, Fingerprint, Linted, Parsed, Tree};
use rototo_source::{Access, CommitInfo, PinnedSource, Reader, SignaturePolicy, SnapshotStore, SourceError};

use crate::load::background;
use crate::load::turns::{Crowded, Turn};
use crate::source::candidate::{
    Candidate, LintVerdict, PollTimes, VerifiedSignature, contents, finding, layer, no_tests, refusal,
};
use crate::source::custom_rules::{CustomRules, RulesTurn};
use crate::source::disk::DiskShares;
use crate::source::memory::{self, DocumentMemory, KeptLint};
use crate::source::poll_error::PollError;
use crate::source::poll_turn::{PollTurn, SLOW_AFTER};

/// The workspaces among which one waits, in the words of messages.
const LARGE: &str = "large workspaces";
const WITH_RULES: &str = "workspaces with custom rules";

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
                (fetched, LintTurns { _poll: Some(turn), ..LintTurns::default() })
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
            return Ok((fetched, LintTurns { rules, large: Some(large), _poll: None }));
        }
        drop(turn);
        let waits = Fetched { tree: Tree::default(), ..fetched };
        let rules = match rules {
            None if has_rules => {
                let queued = self.in_turn(WITH_RULES, self.custom_rules.queue(namespace)).await?;
                Some(RulesTurn::new(queued, self.in_turn(WITH_RULES, self.custom_rules.turn(namespace)).await?))
            }
            rules => rules,
        };
        let large = self.in_turn(LARGE, self.memory.turn(namespace)).await?;
        let fetched = self.in_time(PollError::TimedOut, self.fetch_large(reader, waits)).await??;
        Ok((fetched, LintTurns { rules, large: Some(large), _poll: None }))
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
        Ok((fetched, LintTurns { rules: Some(RulesTurn::new(queued, running)), ..LintTurns::default() }))
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
        let in_background = turns.rules.is_none() && turns.large.is_some();
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
        let judgement = match self.known_judgement(&tree, fingerprint, before.parsed().tree()) {
            Some(known) => Judgement::of(known, kept.cloned()),
            None => self.judge(tree.clone(), before, in_background)?,
        };
        if judgement.verdict == LintVerdict::Accepted {
            if !store.contains(&fingerprint) {
                self.disk.admit(&self.namespace, memory::bytes(&tree))?;
            }
            store.put(&tree)?;
        }
        let Judgement { verdict, contents, expiries, provisional, linted } = judgement;
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

    /// Returns the known candidate, if lint would judge these documents as it has judged that one. The last lint was of
    /// the documents `last`.
    fn known_judgement(&self, tree: &Tree, fingerprint: Fingerprint, last: &Tree) -> Option<&Candidate> {
        let known = &self.known.as_ref()?.candidate;
        if known.provisional || known.fingerprint != fingerprint || known.fail_on != self.fail_on {
            return None;
        }
        // Paths and tests beside the documents are no content, but lint reports them.
        if !tree.has_same_unread_paths(last) || !tree.has_same_tests(last) {
            return None;
        }
        // Without tests, the verdict depends on whether the spec asks for some.
        let has_tests = tree.tests().next().is_some();
        let holds = has_tests || known.verdict == LintVerdict::Accepted && !self.access.reads_tests();
        holds.then_some(known)
    }

    fn judge(&self, tree: Tree, before: &Linted, in_background: bool) -> Result<Judgement, PollError> {
        let lint = || self.lint(tree, before);
        let linted = if in_background { background::run(lint) } else { Some(lint()) };
        linted.ok_or(PollError::Interrupted)?
    }

    fn lint(&self, tree: Tree, before: &Linted) -> Result<Judgement, PollError> {
        let parsed = rototo_engine::parse_after(before.parsed(), tree);
        // Held until what does not stay in memory is dropped.
        let heavy = self.memory.heavy_turn(&parsed);
        if heavy.is_some() && tokio::time::Instant::now() >= self.end() {
            return Err(PollError::LintTimedOut(self.timeout));
        }
        let linted = self.custom_rules.lint(before, &parsed);
        let lint = linted.lint();
        let failed_tests = if lint.has_errors() { Vec::new() } else { self.failed_tests(&parsed)? };
        let refused = lint.has_errors() || self.fail_on == FailOn::Warning && lint.warnings() > 0;
        let verdict = if refused || !failed_tests.is_empty() {
            LintVerdict::Refused(refusal(lint, failed_tests))
        } else {
            LintVerdict::Accepted
        };
        let judgement = Judgement {
            verdict,
            contents: contents(&parsed),
            expiries: expiry_dates(&parsed).into(),
            provisional: lint.custom.interrupted,
            linted: self.memory.keep(linted),
        };
        drop(parsed);
        drop(heavy);
        Ok(judgement)
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
#[derive(Default)]
struct LintTurns {
    _poll: Option<PollTurn>,
    rules: Option<RulesTurn>,
    large: Option<Turn<String>>,
}

/// Lint's verdict on documents, and what is known of them from then on.
struct Judgement {
    verdict: LintVerdict,
    contents: WorkspaceStatus,
    expiries: Arc<[Date]>,
    /// Custom rules were left out for lack of time or of a process.
    provisional: bool,
    linted: Option<Arc<KeptLint>>,
}

impl Judgement {
    /// Returns the judgement on a candidate, whose lint may still be in memory.
    fn of(known: &Candidate, linted: Option<Arc<KeptLint>>) -> Self {
        let Candidate { verdict, contents, expiries, .. } = known;
        Self { verdict: verdict.clone(), contents: *contents, expiries: expiries.clone(), provisional: false, linted }
    }
}
