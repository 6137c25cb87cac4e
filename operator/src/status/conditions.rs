//! Derives the conditions, with one function for each. [`conditions`] lists them, and `Ready` follows from the others.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use rototo_api::analysis::AnalysisStatus;
use rototo_api::condition::{
    CONVERGED, LINT_PASSED, PUBLISHED, READY, RECONCILING, SOURCE_READY, STALE, STALLED, reason,
};
use rototo_api::marker::Gate;
use rototo_api::workspace::{RototoWorkspaceStatus, Straggler};
use rototo_protocol::fleet::{FleetView, RehearsalVerdict, RehearsalView, StageCounts, Verdict as Fleet};

use crate::marker::problem::PublishProblem;
use crate::source::candidate::LintVerdict;
use crate::status::input::{HeldReason, RolloutInput, SourceProblem, StatusInput};
use crate::status::short::{MESSAGE, REQUEST, bounded, short_fingerprint, short_revision};

/// The most bytes of the install that owns a marker map: two names of Kubernetes. Others write it.
const OWNER: usize = 127;

/// Returns the conditions of `status`, whose other fields are set.
pub(super) fn conditions(input: &StatusInput<'_>, status: &RototoWorkspaceStatus) -> Vec<Condition> {
    let source = source_ready(input);
    let lint = lint_passed(input, status);
    let published = published(input);
    let converged = converged(input);
    let stale = stale(input, status);
    let stalled = stalled(input);
    let held = held(input, status);
    let rehearsing = rehearsing(input, status);
    let reconciling = reconciling(input, rehearsing.as_ref(), &converged);
    let hindrances = [stalled.as_ref(), Some(&lint), held.as_ref(), rehearsing.as_ref(), Some(&published)];
    let ready = ready(input, &[hindrances.as_slice(), &[stale.as_ref(), Some(&converged)]].concat());
    let all = [
        (READY, Some(ready)),
        (RECONCILING, reconciling),
        (STALLED, stalled),
        (SOURCE_READY, Some(source)),
        (LINT_PASSED, Some(lint)),
        (PUBLISHED, Some(published)),
        (CONVERGED, Some(converged)),
        (STALE, stale),
    ];
    all.into_iter().filter_map(|(type_, verdict)| Some(verdict?.condition(type_, input, status))).collect()
}

/// The state of one condition.
#[derive(Clone, Debug)]
struct ConditionState {
    status: &'static str,
    /// This status keeps the workspace from being ready.
    hinders: bool,
    reason: &'static str,
    message: String,
}

impl ConditionState {
    fn well(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "True", hinders: false, reason, message: message.into() }
    }

    fn fails(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "False", hinders: true, reason, message: message.into() }
    }

    fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "Unknown", hinders: true, reason, message: message.into() }
    }

    /// Returns a condition that exists only while something is wrong.
    fn warns(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "True", hinders: true, reason, message: message.into() }
    }

    fn condition(self, type_: &str, input: &StatusInput<'_>, status: &RototoWorkspaceStatus) -> Condition {
        let before = input.previous.condition(type_);
        let since = before.filter(|before| before.status == self.status);
        Condition {
            type_: type_.to_owned(),
            status: self.status.to_owned(),
            reason: self.reason.to_owned(),
            message: bounded(&self.message, MESSAGE),
            observed_generation: status.observed_generation,
            last_transition_time: since.map_or(Time(input.now), |before| before.last_transition_time.clone()),
        }
    }
}

fn source_ready(input: &StatusInput<'_>) -> ConditionState {
    if let Some(error) = &input.source.error {
        return ConditionState::fails(error.reason, &error.message);
    }
    match input.source.candidate {
        Some(candidate) => match &candidate.revision {
            Some(revision) => ConditionState::well(reason::FETCHED, format!("the source is at {revision}")),
            None => ConditionState::well(reason::FETCHED, "the source has been read"),
        },
        None => failed_before(input)
            .unwrap_or_else(|| ConditionState::unknown(reason::NOT_POLLED, "the source has not been polled yet")),
    }
}

/// Returns the failure that an earlier operator process found. It holds until the source is polled again, unless it is known
/// to be that of another spec.
fn failed_before(input: &StatusInput<'_>) -> Option<ConditionState> {
    let is_other_spec = input.previous.observed_generation.is_some_and(|seen| Some(seen) != input.generation);
    let before = input.previous.condition(SOURCE_READY).filter(|before| before.status == "False" && !is_other_spec)?;
    let reason = reason::ALL.iter().find(|reason| **reason == before.reason)?;
    Some(ConditionState::fails(reason, &before.message))
}

fn lint_passed(input: &StatusInput<'_>, status: &RototoWorkspaceStatus) -> ConditionState {
    let Some(candidate) = input.source.candidate else {
        // The verdict that an earlier operator process found holds until the source is polled again.
        return match &status.rejected {
            Some(_) => {
                ConditionState::fails(reason::LINT_REFUSED, "the newest revision was refused: status.rejected says why")
            }
            None if input.published.is_some() => {
                ConditionState::well(reason::PASSED, "the published revision has no errors")
            }
            None => ConditionState::unknown(reason::NOT_LINTED, "no revision has been linted yet"),
        };
    };
    match &candidate.verdict {
        LintVerdict::Accepted => {
            let expired = match candidate.expired(input.now) {
                0 => String::new(),
                1 => "; 1 variable or rule has expired: `rototo lint --expired` shows it".to_owned(),
                many => format!("; {many} variables and rules have expired: `rototo lint --expired` lists them"),
            };
            ConditionState::well(reason::PASSED, format!("the newest revision has no errors{expired}"))
        }
        LintVerdict::Refused(refusal) => {
            let first = refusal.findings.first();
            let place = first.and_then(|finding| Some(format!("{}:{}", finding.path.as_ref()?, finding.line?)));
            let place = place.map_or_else(String::new, |place| format!("{place}: "));
            let rule = first.map_or("", |finding| &finding.rule);
            let message = first.map_or("", |finding| &finding.message);
            let more = (refusal.errors + refusal.warnings).saturating_sub(1);
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            let revision = candidate.revision.as_ref().map(ToString::to_string);
            let revision = revision.as_deref().map_or_else(|| "the source".to_owned(), short_revision);
            let kept = input.published.map_or("", |_| "; processes keep what was published before");
            ConditionState::fails(
                reason::LINT_REFUSED,
                format!("{revision} is refused: {place}{message} [{rule}]{more}{kept}"),
            )
        }
    }
}

/// Returns the reason why the newest revision, which lint accepts, is not published. It stands in `Ready` alone:
/// `Published` is about what the marker names.
fn held(input: &StatusInput<'_>, status: &RototoWorkspaceStatus) -> Option<ConditionState> {
    let held = status.held.as_ref()?;
    let (revision, release) = (short_revision(&held.revision), &held.release);
    let now = input.held.as_ref().map(|held| &held.reason);
    let named: Vec<_> = held.processes.iter().map(in_words).collect();
    let named = named.join(", ");
    let (reason, why) = match held.reason.as_str() {
        reason::REFUSED_IN_REHEARSAL => {
            (reason::REFUSED_IN_REHEARSAL, format!("is refused in its rehearsal by {named}, and is held"))
        }
        reason::REHEARSAL_INCOMPLETE => {
            let count = match now {
                Some(HeldReason::Incomplete { prepared, expected, .. }) => format!("{prepared} of {expected}"),
                _ => "too few".to_owned(),
            };
            (reason::REHEARSAL_INCOMPLETE, format!("is held: {count} processes have prepared it; missing: {named}"))
        }
        reason::HELD_BACK => {
            let why = match now {
                Some(HeldReason::TakenBack { gate: Gate::Aborted, .. }) => match &input.steering.aborted_by {
                    Some(by) => format!("by a person ({})", bounded(by, REQUEST)),
                    None => "by a person".to_owned(),
                },
                Some(HeldReason::TakenBack { gate: Gate::Refused, .. }) => {
                    format!("as a process refused it{}", in_brackets(&named))
                }
                Some(HeldReason::TakenBack { gate: Gate::Degraded, .. }) => {
                    format!("as an application that ran it became degraded{}", in_brackets(&named))
                }
                Some(HeldReason::TakenBack { gate: Gate::Restarted, .. }) => {
                    "as a container that ran it ended".to_owned()
                }
                Some(HeldReason::TakenBack { gate: Gate::Analysis, .. }) => match &held.analysis {
                    Some(analysis) => format!("as {}", failed_analysis(analysis)),
                    None => "as an analysis of it failed".to_owned(),
                },
                _ => "by a gate of its rollout".to_owned(),
            };
            (reason::HELD_BACK, format!("was rolled back {why}, and is held"))
        }
        _ => {
            let of = match now {
                Some(HeldReason::Shrinks(shrink)) => format!(" of {}", shrink.published),
                _ => String::new(),
            };
            (reason::SHRINK_HELD, format!("would remove {}{of} published variables and is held", held.removes))
        }
    };
    let again = if reason == reason::HELD_BACK { "try it again" } else { "publish it" };
    let message = format!("{revision} {why}; processes keep what was published before. To {again}: {release}");
    Some(ConditionState::fails(reason, message))
}

fn in_brackets(named: &str) -> String {
    if named.is_empty() { String::new() } else { format!(", {named}") }
}

fn failed_analysis(analysis: &AnalysisStatus) -> String {
    let AnalysisStatus { name, successful, failed, inconclusive, last, .. } = analysis;
    let last = last.as_deref().unwrap_or("unknown");
    format!(
        "its analysis {name} failed ({failed} of {} measurements failed, {inconclusive} were inconclusive; the last: {last})",
        u64::from(*successful) + u64::from(*failed) + u64::from(*inconclusive)
    )
}

/// Returns the state of `Ready` while the newest revision is on its way: it waits for processes to prepare it, or is not
/// published although nothing holds it. Like a held one it hinders `Ready` alone.
fn rehearsing(input: &StatusInput<'_>, status: &RototoWorkspaceStatus) -> Option<ConditionState> {
    let waits = input.rehearsal.filter(|rehearsal| rehearsal.verdict == RehearsalVerdict::Waiting);
    if waits.is_none() && !is_on_its_way(input, status) {
        return None;
    }
    let message = match waits {
        _ if let Some(error) = stopped(input) => {
            format!("the newest revision is not published before the source is read again: {}", error.message)
        }
        Some(RehearsalView { prepared, expected, .. }) => {
            format!("{prepared} of {expected} processes have prepared the newest revision")
        }
        None => "the newest revision is not published yet".to_owned(),
    };
    Some(ConditionState::fails(reason::REHEARSING, message))
}

/// Returns the failure of the source that keeps new content from being published, if there is one.
fn stopped<'a>(input: &'a StatusInput<'_>) -> Option<&'a SourceProblem> {
    input.source.error.as_ref().filter(|_| !input.source.confirmed)
}

/// Returns whether the source has other content than what is published, and nothing else in the status says why.
fn is_on_its_way(input: &StatusInput<'_>, status: &RototoWorkspaceStatus) -> bool {
    let newest = status.source.as_ref().and_then(|source| source.fingerprint.as_ref());
    let published = status.published.as_ref().map(|published| &published.fingerprint);
    let is_explained = status.rejected.is_some() || status.held.is_some() || status.rollout.is_some();
    let is_kept_back = input.spec.suspend || input.problem.is_some();
    published.is_some() && newest.is_some() && published != newest && !is_explained && !is_kept_back
}

fn in_words(process: &Straggler) -> String {
    let reason = process.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{} ({}{reason})", process.name, process.state)
}

fn published(input: &StatusInput<'_>) -> ConditionState {
    match (input.problem, input.published) {
        (Some(PublishProblem::Foreign { owner, claim }), _) => {
            let map = "the ConfigMap rototo-markers of this namespace belongs to";
            let message = match owner {
                Some(owner) => {
                    let owner = bounded(owner, OWNER);
                    format!(
                        "{map} the install {owner}: let one install serve this namespace; if that one is gone, take the \
                         map over: {claim}"
                    )
                }
                None => format!("{map} no install of the operator; to take it over: {claim}"),
            };
            ConditionState::fails(reason::FOREIGN_MARKERS, message)
        }
        (Some(PublishProblem::Refused(message)), _) => {
            ConditionState::fails(reason::PUBLISH_FAILED, format!("the API server refuses the marker: {message}"))
        }
        (Some(PublishProblem::Unavailable(message)), _) => ConditionState::fails(
            reason::PUBLISH_FAILED,
            format!("the marker could not be written, and is tried again: {message}"),
        ),
        (Some(PublishProblem::NotKept { fingerprint }), _) => ConditionState::fails(
            reason::PUBLISH_FAILED,
            format!(
                "the operator's disk has lost {}, which is to be published next: the source is read again",
                short_fingerprint(&fingerprint.to_string())
            ),
        ),
        (Some(PublishProblem::Lost), _) => ConditionState::fails(
            reason::SNAPSHOT_LOST,
            "the operator's disk has lost the published content and gets it from git again; until then new processes \
             wait",
        ),
        (None, Some(publish)) => {
            let fingerprint = short_fingerprint(&publish.fingerprint.to_string());
            let alone = if input.alone { "; no other replica of the operator has a copy of it yet" } else { "" };
            ConditionState::well(
                reason::PUBLISHED,
                format!("the marker names {fingerprint}, and its snapshot is served{alone}"),
            )
        }
        (None, None) if input.spec.suspend => {
            ConditionState::fails(reason::SUSPENDED, "nothing is published, and spec.suspend is set")
        }
        (None, None) => ConditionState::fails(reason::NOTHING_PUBLISHED, "no revision has been published yet"),
    }
}

/// Parts of sentences about a fleet.
struct FleetInWords {
    /// The number of processes that run what is published.
    count: String,
    /// The names of the processes that are behind, if there are any.
    named: String,
    /// The number of processes that are no longer waited for, if there are any.
    dropped: String,
}

fn fleet_in_words(view: &FleetView) -> FleetInWords {
    let total = view.expected.unwrap_or(view.processes);
    let behind: Vec<_> = view.behind.iter().map(|one| format!("{} ({})", one.name, one.state)).collect();
    FleetInWords {
        count: format!("{} of {total} processes run what is published", view.applied),
        named: if behind.is_empty() { String::new() } else { format!("; behind: {}", behind.join(", ")) },
        dropped: match view.lost {
            0 => String::new(),
            lost => format!("; {lost} that stopped reporting are no longer waited for, as nobody saw them end"),
        },
    }
}

/// Returns the claim that every process runs what is published. `Unknown` says that nobody knows. It does not keep the
/// workspace from being ready, because it says nothing against the claim.
fn converged(input: &StatusInput<'_>) -> ConditionState {
    let view = input.fleet;
    if let Some(rollout) = &input.rollout {
        return rolling_out(rollout);
    }
    let FleetInWords { count, named, dropped } = fleet_in_words(view);
    let unknown =
        |reason, message: String| ConditionState { hinders: false, ..ConditionState::unknown(reason, message) };
    let within = input.spec.converge_within();
    match view.verdict {
        _ if !input.selector_usable => {
            unknown(reason::SELECTOR_INVALID, "spec.fleet.selector is invalid, so no pods can be selected".to_owned())
        }
        Fleet::NothingPublished if !input.marker_is_known => {
            unknown(reason::RECOUNTING, "the operator has just started, and has not read the marker yet".to_owned())
        }
        Fleet::NothingPublished => unknown(reason::NOTHING_PUBLISHED, "there is nothing to converge on yet".to_owned()),
        Fleet::NoProcesses if view.processes == 0 => {
            unknown(reason::NO_PROCESSES, format!("no process follows this workspace{dropped}"))
        }
        Fleet::NoProcesses => {
            unknown(reason::NO_PROCESSES, format!("no process runs what is published yet{dropped}{named}"))
        }
        Fleet::Recounting => unknown(
            reason::RECOUNTING,
            format!(
                "the operator listens for {} s before it claims anything, as it has just started or held no lease: \
                 {count}",
                view.windows.recount.as_secs()
            ),
        ),
        Fleet::Unprovable if view.unaccounted > 0 => unknown(
            reason::UNPROVABLE,
            format!(
                "{count}; {} that were counted before the operator was restarted have not reported since",
                view.unaccounted
            ),
        ),
        Fleet::Unprovable if let Some(cause) = &input.pods_missing => {
            unknown(reason::UNPROVABLE, format!("{count}; pods that the operator does not know may run: {cause}"))
        }
        Fleet::Unprovable if view.no_room.is_some() => {
            let limit = view.no_room.map(|full| full.to_string()).unwrap_or_default();
            unknown(reason::UNPROVABLE, format!("{count}; not every process that reports is counted: {limit}"))
        }
        Fleet::Unprovable => unknown(
            reason::UNPROVABLE,
            format!("{count}; the others no longer report, and it is unknown whether they have ended{named}"),
        ),
        Fleet::Silent => {
            unknown(reason::SILENT, format!("{count}; the others had applied it and no longer report{named}"))
        }
        Fleet::Refused => {
            ConditionState::fails(reason::PROCESSES_REFUSE, format!("{count}, {} refuse it{named}", view.rejected))
        }
        Fleet::Progressing { .. } if input.behind_for.is_some_and(|time| time <= within) => {
            ConditionState::fails(reason::PROGRESSING, count)
        }
        Fleet::Progressing { .. } => {
            ConditionState::fails(reason::DEADLINE_EXCEEDED, format!("after more than {within:?}, {count}{named}"))
        }
        Fleet::Converged => {
            let millis = view.millis.and_then(|millis| millis.all);
            let took = millis.map_or_else(String::new, |millis| format!(", {millis} ms after it was detected"));
            ConditionState::well(
                reason::CONVERGED,
                format!("every process that counts runs what is published{took}{dropped}"),
            )
        }
    }
}

/// Returns the state of `Converged` while a part of the fleet runs the newest revision.
fn rolling_out(rollout: &RolloutInput) -> ConditionState {
    let RolloutInput { revision, stage, steps, queued, counts: StageCounts { stable, next }, .. } = rollout;
    let waits =
        queued.as_deref().map(|queued| format!("; {} waits for the end of this rollout", short_revision(queued)));
    ConditionState::fails(
        reason::ROLLING_OUT,
        format!(
            "step {} of {steps}: {} of {} processes run {}, and {} of {} what is published{}",
            u64::from(stage.step) + 1,
            next.applied,
            next.intended,
            short_revision(revision),
            stable.applied,
            stable.intended,
            waits.unwrap_or_default()
        ),
    )
}

fn stale(input: &StatusInput<'_>, status: &RototoWorkspaceStatus) -> Option<ConditionState> {
    let after = input.spec.stale_after();
    status.published.as_ref()?;
    // A confirmation by an earlier operator process counts too.
    let remembered = || {
        let source = input.previous.source.as_ref().filter(|_| !input.spec.suspend)?;
        if source.immutable {
            return input.source.unread_for.filter(|_| !input.source.current);
        }
        Some(input.now.duration_since(source.last_success.as_ref()?.0).unsigned_abs())
    };
    let ago = input.source.verified_ago.or_else(remembered)?;
    (ago > after).then(|| {
        let error = input.source.error.as_ref().map_or_else(String::new, |error| format!(": {}", error.message));
        ConditionState::warns(
            reason::SOURCE_NOT_CONFIRMED,
            format!("the source could not be confirmed for more than {after:?}{error}"),
        )
    })
}

fn stalled(input: &StatusInput<'_>) -> Option<ConditionState> {
    let error = input.source.error.as_ref().filter(|error| !error.transient)?;
    Some(ConditionState::warns(error.reason, &error.message))
}

fn reconciling(
    input: &StatusInput<'_>,
    rehearsing: Option<&ConditionState>,
    converged: &ConditionState,
) -> Option<ConditionState> {
    if input.spec.suspend {
        return None;
    }
    if !input.source.current {
        let message = match &input.source.error {
            None => "the source is being polled".to_owned(),
            Some(error) => format!("the spec has changed, and was not read since: {}", error.message),
        };
        return Some(ConditionState::warns(reason::POLLING, message));
    }
    // What waits for somebody to repair the source is not moving.
    if let Some(rehearsing) = rehearsing.filter(|_| stopped(input).is_none()) {
        return Some(ConditionState::warns(rehearsing.reason, &rehearsing.message));
    }
    let moving = input.rollout.is_some() || matches!(input.fleet.verdict, Fleet::Progressing { .. });
    moving.then(|| ConditionState::warns(converged.reason, &converged.message))
}

/// Derives `Ready` from the first condition that keeps the workspace from being ready, the most urgent one first.
fn ready(input: &StatusInput<'_>, in_order: &[Option<&ConditionState>]) -> ConditionState {
    let hindrance = in_order.iter().copied().flatten().find(|says| says.hinders);
    match hindrance {
        // Before the first read, the condition of the source says more than "nothing is published".
        Some(_) if input.published.is_none() && input.source.candidate.is_none() => {
            let source = source_ready(input);
            ConditionState {
                status: if source.status == "False" { "False" } else { "Unknown" },
                hinders: true,
                ..source
            }
        }
        Some(ConditionState { status: "Unknown", reason, message, .. }) => ConditionState::unknown(reason, message),
        Some(ConditionState { reason, message, .. }) => ConditionState::fails(reason, message),
        None if input.fleet.verdict == Fleet::Converged => {
            ConditionState::well(reason::CONVERGED, ready_message(input))
        }
        None => ConditionState::well(reason::PUBLISHED, ready_message(input)),
    }
}

fn ready_message(input: &StatusInput<'_>) -> String {
    let view = input.fleet;
    if input.spec.suspend {
        return "suspended; what was published runs".to_owned();
    }
    let unknown = !matches!(view.verdict, Fleet::Converged | Fleet::NoProcesses);
    match view.expected {
        Some(expected) if unknown => {
            format!("the newest revision is published; {} of {expected} processes are known to run it", view.applied)
        }
        Some(expected) => format!("the newest revision runs in {} of {expected} processes", view.applied),
        None if view.processes > 0 => format!("the newest revision runs in {} processes", view.applied),
        None => "the newest revision is published; no process follows it yet".to_owned(),
    }
}
