//! Runs one history: the faults happen, everything is repaired, all parts must come to rest, and every claim is
//! compared with the responses of the processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::marker::Marker;
use rototo_tests::harness::witness::{Allowances, Claim, ClaimFinding, Life, Publish, Witness};
use rototo_tests::harness::{ControlPlane, Observation, keep_logs, until_async};

use crate::acts::Undo;
use crate::environment::{ChaosEnvironment, Condition, HEARTBEAT, WORKSPACE};
use crate::script::HistoryScript;
use crate::watch::{Observed, Watch};

/// The time within which everything comes to rest after the last fault. The operator waits 40 heartbeats for a process
/// whose end nobody can see.
const REST: Duration = Duration::from_secs(90);

/// The time within which everything comes to rest if no process has ended, because the operator then waits for none.
const SOON: Duration = Duration::from_secs(20 * HEARTBEAT);

const ALLOWANCES: Allowances = Allowances {
    grace: Duration::from_secs(4 * HEARTBEAT),
    forget: Duration::from_secs(40 * HEARTBEAT),
    known_after: Duration::from_millis(1500),
};

/// The outcome of a history.
#[derive(Debug, Default)]
pub(crate) struct HistoryOutcome {
    pub(crate) seed: u64,
    /// The number of faults that took effect by kind, and of those that did so while a publish was in flight.
    pub(crate) faults: BTreeMap<String, (usize, usize)>,
    pub(crate) claims: usize,
    pub(crate) read: usize,
    pub(crate) samples: usize,
    pub(crate) publishes: usize,
    /// The number of comparisons of a claim with a process, by their result.
    pub(crate) findings: BTreeMap<&'static str, usize>,
    /// The time from the last repair until everything had come to rest.
    pub(crate) rest: Duration,
    pub(crate) violations: Vec<String>,
    pub(crate) events: Vec<String>,
}

/// An act that is under way and will be undone.
struct PendingUndo {
    at: Instant,
    undo: Undo,
}

struct HistoryRun<'a> {
    environment: ChaosEnvironment,
    plane: &'a mut ControlPlane,
    started: Instant,
    pending: Vec<PendingUndo>,
    outcome: HistoryOutcome,
}

/// Runs the history of a seed. An error is one of this program, or of a part that does not start.
pub(crate) async fn happen(seed: u64, plane: &mut ControlPlane, lie: bool) -> anyhow::Result<HistoryOutcome> {
    let script = HistoryScript::of(seed);
    let environment = ChaosEnvironment::set(plane, script.operators, script.processes).await?;
    let outcome = HistoryOutcome { seed, ..HistoryOutcome::default() };
    let mut run = HistoryRun { environment, plane, started: Instant::now(), pending: Vec::new(), outcome };
    run.rest("at the beginning").await;
    run.environment.witnesses.iter().for_each(Witness::note_counted);
    let watch = Watch::of(&run.environment).await?;
    run.started = Instant::now();
    run.note(format!("{} processes, {} operators, {}", script.processes, script.operators, Timestamp::now()));
    run.happen(&script).await?;
    run.heal().await?;
    let healed = Instant::now();
    run.rest("at the end").await;
    run.outcome.rest = healed.elapsed();
    if !script.ends_processes() && run.outcome.rest > SOON {
        run.outcome
            .violations
            .push(format!("no process has ended, and it took {:?} to come to rest", run.outcome.rest));
    }
    run.judge(&watch, &script, lie);
    Ok(run.outcome)
}

impl HistoryRun<'_> {
    async fn happen(&mut self, script: &HistoryScript) -> anyhow::Result<()> {
        for step in &script.steps {
            self.wait_until(self.started + step.at).await?;
            let in_flight = self.environment.publish_is_in_flight();
            let done = match self.environment.act(step.act, self.plane).await {
                Ok(done) => done,
                Err(error) => {
                    self.note(format!("{step}: {error:#}"));
                    continue;
                }
            };
            let when = if in_flight { ", while a publish was in flight" } else { "" };
            self.note(format!("{step}{}{when}", if done.took_effect { "" } else { ": nothing to do" }));
            if done.took_effect && step.act.is_fault() {
                let count = self.outcome.faults.entry(step.act.kind()).or_default();
                *count = (count.0 + 1, count.1 + usize::from(in_flight));
            }
            if let Some((millis, undo)) = done.undo {
                self.pending.push(PendingUndo { at: Instant::now() + Duration::from_millis(millis), undo });
            }
        }
        Ok(())
    }

    /// Waits until a moment of the history, and undoes before it what is due.
    async fn wait_until(&mut self, moment: Instant) -> anyhow::Result<()> {
        while let Some(pending) = self.next_before(moment) {
            tokio::time::sleep_until(pending.at.into()).await;
            self.undo(pending.undo).await?;
        }
        tokio::time::sleep_until(moment.into()).await;
        Ok(())
    }

    fn next_before(&mut self, moment: Instant) -> Option<PendingUndo> {
        let first = (0..self.pending.len()).min_by_key(|index| self.pending[*index].at)?;
        (self.pending[first].at <= moment).then(|| self.pending.remove(first))
    }

    async fn undo(&mut self, undo: Undo) -> anyhow::Result<()> {
        self.note(format!("undo {undo:?}"));
        self.environment.undo(undo).await
    }

    /// Undoes everything that is still pending, each at its time, and ends the processes of pods that are gone. Then it
    /// pushes a commit that lint accepts.
    async fn heal(&mut self) -> anyhow::Result<()> {
        while let Some(last) = self.pending.iter().map(|pending| pending.at).max() {
            self.wait_until(last).await?;
        }
        for service in &mut self.environment.services {
            if service.leaving && service.condition == Condition::Up {
                service.witness.ends();
                service.app.kill()?;
                service.condition = Condition::Down;
            }
        }
        if self.environment.clone_is_good()? {
            self.environment.push_commit(true).await?;
        } else {
            self.environment.push(0).await?;
        }
        self.note("repaired".to_owned());
        Ok(())
    }

    /// Waits until all parts agree.
    async fn rest(&mut self, when: &str) {
        let (environment, since) = (&self.environment, Instant::now());
        let mut late = None;
        let rested = until_async("all to agree", REST, async || {
            let seen = match disagreement(environment).await {
                Ok(None) => return Ok(Observation::Done(())),
                Ok(Some(disagreement)) => disagreement,
                Err(error) => format!("{error:#}"),
            };
            if since.elapsed() > SOON {
                late.get_or_insert_with(|| seen.clone());
            }
            Ok(Observation::NotYet(seen))
        });
        let rested = rested.await;
        if let Some(late) = late {
            self.note(format!("after {} s the parts still disagreed: {late}", SOON.as_secs()));
        }
        match rested {
            Ok(()) => self.note(format!("at rest {when}")),
            Err(error) => self.outcome.violations.push(format!("the parts did not come to rest {when}: {error:#}")),
        }
    }

    fn judge(&mut self, watch: &Watch, script: &HistoryScript, lie: bool) {
        let seen = watch.seen();
        let mut lives: Vec<Life> = self.environment.witnesses.iter().map(|witness| witness.life().clone()).collect();
        if lie && let Some(first) = lives.first_mut() {
            falsify(first);
        }
        self.outcome.claims = seen.claims.len();
        self.outcome.read = seen.read;
        self.outcome.samples = lives.iter().map(|life| life.samples.len()).sum();
        for claim in &seen.claims {
            for life in &lives {
                self.compare(claim, life);
            }
        }
        self.outcome.publishes = published(&seen).len();
        if !script.tampers() {
            self.outcome.violations.extend(needless_publishes(&published(&seen), &self.environment.pushed));
        }
        if !self.outcome.violations.is_empty() {
            let scratch = keep_logs().map(|kept| kept.display().to_string()).unwrap_or_default();
            self.outcome.events.push(format!("logs, all below {scratch}:\n{}", self.environment.logs()));
            let markers = seen.markers.iter().map(|(at, marker)| format!("  marker {at} {marker:?}"));
            self.outcome.events.extend(markers);
        }
    }

    fn compare(&mut self, claim: &Claim, life: &Life) {
        let finding = life.judge(claim, &ALLOWANCES);
        let name = match finding {
            ClaimFinding::True => "true",
            ClaimFinding::Excused => "excused",
            ClaimFinding::Unclear => "unclear",
            ClaimFinding::False => "false",
        };
        *self.outcome.findings.entry(name).or_default() += 1;
        // One violation of each process is enough to read.
        let noticed = self.outcome.violations.iter().any(|violation| violation.contains(&life.name));
        if finding == ClaimFinding::False && !noticed {
            self.outcome.violations.push(format!("{claim}, but:\n{}", life.around(claim)));
        }
    }

    fn note(&mut self, line: String) {
        self.outcome.events.push(format!("{:>6} ms  {line}", self.started.elapsed().as_millis()));
    }
}

/// Returns the first disagreement between the parts after all faults are over, if there is one.
pub(crate) async fn disagreement(environment: &ChaosEnvironment) -> anyhow::Result<Option<String>> {
    let Some(marker) = environment.marker().await? else { return Ok(Some("nothing is published".to_owned())) };
    if Some(&marker.fingerprint) != environment.pushed.last() {
        return Ok(Some(format!("the marker says {marker}, and {:?} was pushed last", environment.pushed.last())));
    }
    let running: Vec<_> = environment.services.iter().filter(|service| service.condition != Condition::Down).collect();
    for service in &running {
        let runs = service.witness.latest();
        if runs.as_ref() != Some(&marker) {
            let runs = runs.map_or_else(|| "nothing".to_owned(), |runs| runs.to_string());
            return Ok(Some(format!("{} runs {runs}, and the marker says {marker}", service.app.pod().name())));
        }
    }
    status_disagrees(environment, &marker, running.len()).await
}

async fn status_disagrees(
    environment: &ChaosEnvironment,
    marker: &Publish,
    running: usize,
) -> anyhow::Result<Option<String>> {
    // The status must have a new date.
    let request = environment.ask().await?;
    let mut status = None;
    let handled = until_async("status to have a new date", Duration::from_secs(5), async || {
        let now = environment.namespace.workspace(WORKSPACE).await?.status.unwrap_or_default();
        let handled = now.last_handled_reconcile_at.as_ref() == Some(&request);
        status = Some(now);
        Ok(if handled { Observation::Done(()) } else { Observation::NotYet("an older one".to_owned()) })
    });
    handled.await?;
    let status = status.unwrap_or_default();
    let published = status.published.as_ref();
    let same = published.is_some_and(|published| {
        published.fingerprint == marker.fingerprint && published.updated_at.to_string() == marker.updated_at
    });
    let converged = status.is("Converged", "True");
    let fleet = status.fleet.clone().unwrap_or_default();
    let all = usize::try_from(fleet.applied)? == running && fleet.behind.is_empty();
    let conditions: Vec<String> = status.conditions.iter().map(|one| format!("{one:?}")).collect();
    Ok((!same || !converged || !all)
        .then(|| format!("{running} run {marker}, and status says {published:?} {fleet:?} {}", conditions.join(" "))))
}

/// Returns the fingerprints that the marker named, in order. One appears twice if it was published twice. An announcement
/// leaves the name as it is.
fn published(seen: &Observed) -> Vec<String> {
    let names = seen.markers.iter().filter_map(|(_, marker)| match marker {
        Some(Marker::Published { fingerprint, updated_at, .. }) => Some((fingerprint.clone(), *updated_at)),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.dedup_by_key(|(_, name)| *name);
    names.into_iter().map(|(fingerprint, _)| fingerprint).collect()
}

/// Returns what is wrong with the publishes. Only the operator wrote the marker, so it must have named the pushed
/// contents in order, and none twice in a row.
fn needless_publishes(published: &[String], pushed: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    if published.windows(2).any(|two| two[0] == two[1]) {
        wrong.push(format!("the marker was written without a change: {published:?}"));
    }
    let mut rest = pushed.iter();
    if !published.iter().all(|one| rest.any(|other| one == other)) {
        wrong.push(format!("the marker named {published:?}, and {pushed:?} was pushed"));
    }
    wrong
}

/// Falsifies the responses of a process, so that a violation can be seen.
fn falsify(life: &mut Life) {
    for sample in &mut life.samples {
        if let Some(publish) = &mut sample.publish {
            publish.fingerprint = "sha256:a-lie".to_owned();
        }
    }
}
