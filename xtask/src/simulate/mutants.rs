//! Faults to put into the decision code: each is a mistake that somebody could make, and that a history must find.
//! `rehearsals` has those of rehearsals, `rollouts` those of their steps, and `deadlines` those of time.

mod deadlines;
mod rehearsals;
mod rollouts;

/// A fault: in one file, one text is put in the place of another.
pub struct Mutant {
    pub name: &'static str,
    pub file: &'static str,
    pub instead_of: &'static str,
    pub put: &'static str,
}

const fn mutant(name: &'static str, file: &'static str, instead_of: &'static str, put: &'static str) -> Mutant {
    Mutant { name, file, instead_of, put }
}

const FLEET: &str = "protocol/src/fleet/mod.rs";
const VERDICT: &str = "protocol/src/fleet/verdict.rs";
const PROCESS: &str = "protocol/src/fleet/process.rs";
const COHORT: &str = "protocol/src/fleet/cohort.rs";
const HANDOVER: &str = "protocol/src/fleet/handover.rs";
const PODS: &str = "protocol/src/fleet/pods.rs";
const VIEW: &str = "protocol/src/fleet/view.rs";
const PLAN: &str = "protocol/src/plan.rs";
const PUBLISHER: &str = "protocol/src/publisher.rs";
const WINDOWS: &str = "protocol/src/windows.rs";
const FOLLOWER: &str = "protocol/src/follower/mod.rs";
const REPORTED_STATE: &str = "protocol/src/follower/reported_state.rs";
const REPORTING: &str = "protocol/src/follower/reporting.rs";
/// The simulated edges, which are as thin as the real ones.
const OPERATOR_EDGE: &str = "simulator/src/operator/mod.rs";
const RECORD_EDGE: &str = "simulator/src/operator/record.rs";
const PUBLISHING_EDGE: &str = "simulator/src/operator/publishing.rs";
const STATUS_EDGE: &str = "simulator/src/operator/status.rs";
const WORKSPACE_EDGE: &str = "simulator/src/operator/workspace.rs";
const PROCESS_EDGE: &str = "simulator/src/state/process.rs";

/// Returns all faults. Their numbers stay when one is added at the end.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter().chain(rehearsals::MUTANTS).chain(rollouts::MUTANTS).chain(deadlines::MUTANTS)
}

const MUTANTS: &[Mutant] = &[
    // The verdict.
    mutant(
        "a verdict is latched once it was reached",
        VIEW,
        "verdict: self.verdict(now),",
        "verdict: if self.millis().is_some_and(|millis| millis.all.is_some()) { Verdict::Converged } else { self.verdict(now) },",
    ),
    mutant(
        "an empty fleet has converged",
        VERDICT,
        "None if !applied => Verdict::NoProcesses,",
        "None if !applied => Verdict::Converged,",
    ),
    mutant("a silent process has converged", VERDICT, "None if silent => Verdict::Silent,", ""),
    mutant("what nobody can know is claimed", VERDICT, "None if unprovable => Verdict::Unprovable,", ""),
    mutant("a recount claims", VERDICT, "None if self.recounting => Verdict::Recounting,", ""),
    mutant("a refusal is overlooked", VERDICT, "return Verdict::Refused;", "continue;"),
    mutant(
        "a process that runs nothing yet is starting for ever",
        PROCESS,
        "later && nothing && self.last_report.publish.is_none() && now < self.follows_since + windows.grace",
        "later && nothing && now < self.follows_since + windows.grace * 1000",
    ),
    mutant("pods that are not heard don't count", VERDICT, "if !self.recounting {", "if false {"),
    mutant(
        "a new pod never counts before it reports",
        VERDICT,
        "(now >= late).then_some(late.max(goal.since))",
        "None",
    ),
    mutant(
        "a pod that was never heard and vanished is forgotten",
        VERDICT,
        "unprovable |= self.vanished_unreported(now).next().is_some() || self.unaccounted() > 0;",
        "unprovable |= self.unaccounted() > 0;",
    ),
    mutant(
        "processes that were counted before a restart are forgotten",
        VERDICT,
        "unprovable |= self.vanished_unreported(now).next().is_some() || self.unaccounted() > 0;",
        "unprovable |= self.vanished_unreported(now).next().is_some();",
    ),
    mutant(
        "a drained pod is excused also when its container runs anew",
        PROCESS,
        ".all(|end| end.is_ok_and(|end| end <= drained_at))",
        ".all(|end| end.is_ok())",
    ),
    // Who counts.
    mutant(
        "a neighbour that started later makes a process leave",
        PROCESS,
        "        if !silent {\n            return Liveness::Live;",
        "        if silent && id.pod.is_some() && self.of_pod(id.pod.as_deref()).any(|(_, one)| one.follows_since > process.follows_since) {\n            return Liveness::Left;\n        }\n        if !silent {\n            return Liveness::Live;",
    ),
    mutant(
        "a silent process of a running pod is dropped after a while",
        PROCESS,
        "return Liveness::Silent;",
        "return if now < self.drops_at(process) { Liveness::Silent } else { Liveness::Dropped };",
    ),
    mutant("silence is the end", PROCESS, "return Liveness::Silent;", "return Liveness::Left;"),
    mutant(
        "a process of no pod leaves when it is silent",
        PROCESS,
        "if now < self.drops_at(process) { Liveness::Unprovable } else { Liveness::Dropped }",
        "Liveness::Dropped",
    ),
    mutant(
        "a seen end outweighs a later report",
        PROCESS,
        "end.is_some_and(|seen| seen >= process.last_report_at || silent)",
        "end.is_some()",
    ),
    mutant("time in which reports were turned away counts as silence", PROCESS, ".max(self.turned_away)", ""),
    mutant(
        "the name of a publish is not looked at",
        PROCESS,
        "resolves && self.last_report.publish.as_ref() == Some(publish)",
        "resolves && self.last_report.publish.is_some_and(|runs| runs.fingerprint == publish.fingerprint)",
    ),
    mutant(
        "a process that works on something has applied it",
        PROCESS,
        "ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned);\n        resolves",
        "ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned | ProcessState::Rejected);\n        resolves",
    ),
    mutant(
        "a pod that terminates runs nothing",
        PODS,
        "self.object_state == PodObjectState::Exists",
        "self.object_state == PodObjectState::Exists && !self.terminating",
    ),
    mutant(
        "a pod runs as long as it exists",
        PODS,
        "&& self.containers.iter().any(|container| container.running && container.expected)",
        "",
    ),
    mutant(
        "a pod that vanished has ended",
        PODS,
        "if let PodObjectState::Ended { seen } = self.object_state {",
        "if let PodObjectState::Ended { seen } | PodObjectState::Vanished { seen } = self.object_state {",
    ),
    mutant(
        "the end of any run of a container ends its process",
        PODS,
        "Some(started) => (started < end.at).then_some(end.seen),",
        "Some(_) => Some(end.seen),",
    ),
    mutant(
        "a container that ends takes every process of its pod along",
        PODS,
        "let ends: Option<Vec<Moment>> = ran.map(ended).collect();\n                ends?.into_iter().max()",
        "ran.filter_map(ended).max()",
    ),
    // Reports.
    mutant(
        "the word of an end is taken out of order",
        FLEET,
        "is_some_and(|(this, last)| this <= last) {",
        "is_some_and(|(this, last)| this <= last && report.state != ProcessState::Draining) {",
    ),
    mutant(
        "reports are taken as they arrive",
        FLEET,
        "is_some_and(|(this, last)| this <= last) {",
        "is_some_and(|(this, last)| this < last && this > last) {",
    ),
    mutant(
        "a process is known by its own name alone",
        FLEET,
        "ProcessId { pod: pod.as_ref().map(|pod| pod.uid.clone()), process: report.process.clone() }",
        "ProcessId { pod: None, process: report.process.clone() }",
    ),
    mutant(
        "who has applied an older publish has applied the next",
        FLEET,
        "process.applied = process.runs(&publish).then_some(now);",
        "process.applied = process.applied.or(process.runs(&publish).then_some(now));",
    ),
    mutant(
        "who has applied the publish runs it for ever",
        FLEET,
        "if process.applied.take().is_some() {",
        "if process.applied.is_some() {",
    ),
    mutant(
        "a witness may speak of any namespace",
        FLEET,
        "if about.namespace != own.namespace || about == own {",
        "if about == own {",
    ),
    mutant(
        "a sibling that lives is taken for gone",
        FLEET,
        "(testimony.fate == Testified::Gone).then_some(now)",
        "Some(now)",
    ),
    // Clients of other versions.
    mutant(
        "a state that is not known says that the publish runs",
        PROCESS,
        "ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned);\n        resolves",
        "ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned | ProcessState::Unknown);\n        resolves",
    ),
    mutant(
        "of an older client only the first report is taken",
        FLEET,
        "report.sequence.zip(process.sequence).is_some_and(|(this, last)| this <= last)",
        "!new && report.sequence <= process.sequence",
    ),
    mutant(
        "the end of any run of a container ends a process of an older client",
        PODS,
        "None => (end.seen > last_report_at).then_some(end.seen),",
        "None => Some(end.seen),",
    ),
    // Namesakes.
    mutant(
        "a namesake of a workspace that was removed has no processes",
        RECORD_EDGE,
        "leader.record.is_none() && !leader.swept && !leader.has_predecessor;",
        "leader.record.is_none() && !leader.has_predecessor;",
    ),
    mutant(
        "a workspace without a status was never there before",
        RECORD_EDGE,
        "&& !leader.swept && !leader.has_predecessor;",
        "&& !leader.swept;",
    ),
    mutant(
        "a process whose reports fail tries again more rarely than a recount lasts",
        REPORTING,
        "cap: REPORT_BACKOFF.cap.min(heartbeat)",
        "cap: REPORT_BACKOFF.cap.max(heartbeat)",
    ),
    mutant(
        "a handover leaves a process out",
        HANDOVER,
        "let processes = self.processes.iter().map(",
        "let processes = self.processes.iter().skip(1).map(",
    ),
    mutant(
        "a handover passes a recount on as knowledge",
        HANDOVER,
        "if self.recounting || self.no_room_until(now).is_some() {",
        "if self.processes.len() > 1_000_000 {",
    ),
    mutant(
        "a handover makes every report a new one",
        HANDOVER,
        "let last_report_at = before(sent, evidence.reported_ms_ago);",
        "let last_report_at = sent;",
    ),
    mutant(
        "the evidence of any earlier leader counts",
        HANDOVER,
        "sender.is_some_and(|sender| sender.checked_add(1) == own)",
        "sender.is_some_and(|sender| own.is_some_and(|own| sender < own))",
    ),
    mutant(
        "what is known of a workspace is known of its namesake",
        OPERATOR_EDGE,
        "leader.record.as_ref().is_none_or(|record| record.uid != uid)",
        "leader.record.is_none()",
    ),
    // Recounts.
    mutant(
        "a recount ends with the first report",
        FLEET,
        "if self.recounting && now >= self.listening_since + self.windows().recount {",
        "if self.recounting && !self.processes.is_empty() {",
    ),
    mutant("a recount is shorter than a heartbeat", WINDOWS, "recount: heartbeat * 4,", "recount: heartbeat / 4,"),
    mutant(
        "a lapse of the lease is no recount",
        FLEET,
        "        self.listening_since = now;\n        self.recounting = true;",
        "        self.listening_since = now;",
    ),
    mutant(
        "a recount is as long as a small fleet asks for",
        FLEET,
        "Windows::of(self.processes.len().max(before), self.min_heartbeat)",
        "Windows::of(before.min(0), self.min_heartbeat)",
    ),
    mutant(
        "whoever starts during a recount stands in for one that is missing",
        FLEET,
        "attendance.surely_covers(counted_ago) != Some(false)",
        "now > Moment::ZERO",
    ),
    // Figures.
    mutant(
        "only processes that report in time are of the cohort",
        COHORT,
        "self.liveness(id, process, now).counts());\n        let processes",
        "self.liveness(id, process, now) == Liveness::Live);\n        let processes",
    ),
    mutant("a member that is forgotten has applied", COHORT, "None => lost = true,", "None => *applied = Some(now),"),
    mutant(
        "a member that left is left out of the figure",
        COHORT,
        "lost |= applied.is_none() && !self.liveness(id, process, now).counts();",
        "if applied.is_none() && !self.liveness(id, process, now).counts() { *applied = Some(Moment::ZERO); }",
    ),
    mutant(
        "a publish that is adopted again loses its cohort",
        FLEET,
        "if self.goal.as_ref().is_none_or(|goal| goal.publish != publish) {",
        "if self.goal.is_some() || self.goal.is_none() {",
    ),
    mutant(
        "a figure counts from the answer of the API server",
        PUBLISHER,
        "let times = PublishTimes { detected, fetched, linted, published: now };",
        "let times = PublishTimes { detected: detected.max(now), fetched, linted, published: now };",
    ),
    mutant(
        "a process is believed to have applied a publish when it was made",
        FLEET,
        "let at = now.checked_sub(ago.unwrap_or_default()).unwrap_or(since).max(since).min(now);",
        "let at = since.min(now.max(ago.unwrap_or_default()));",
    ),
    // Publishing.
    mutant(
        "a publish exists when its patch is sent",
        PUBLISHER,
        "    pub fn published(&self) -> Option<Publish> {\n        self.marked",
        "    pub fn published(&self) -> Option<Publish> {\n        self.attempted().next_back().or(self.marked)",
    ),
    mutant(
        "the marker is patched whatever it says by then",
        PUBLISHING_EDGE,
        "let accepted = version == Some(self.api.map_version);",
        "let accepted = version.is_some();",
    ),
    mutant(
        "a patch whose answer got lost is forgotten",
        PUBLISHER,
        "let shown = self.attempts.iter().position(|attempt| attempt.marked == marked)?;",
        "let shown = self.attempts.iter().position(|attempt| attempt.marked == marked && now == Moment::MAX)?;",
    ),
    mutant(
        "a lost patch is sent again under another name",
        PLAN,
        "again.filter(|again| again.fingerprint == fingerprint && Some(again.updated_at) > seen);",
        "again.filter(|again| again.fingerprint != fingerprint && Some(again.updated_at) > seen);",
    ),
    mutant(
        "names follow the marker alone",
        PLAN,
        "let last = last.max(*last_published_name).max(believable);",
        "let last = seen.max(believable).max(last.min(None)).max(last_published_name.min(None));",
    ),
    mutant(
        "an edit that was undone leaves no trace",
        PLAN,
        "let tampered = edited || observed.unknown(published).is_some();",
        "let tampered = edited && published.is_some() && observed.unknown(published).is_none();",
    ),
    mutant(
        "a marker that was removed stays away",
        PLAN,
        "let right = accepted.or(promoted.or(known).map(|right| right.fingerprint));",
        "let right = accepted.filter(|_| published.is_some() || known.is_none());",
    ),
    mutant(
        "a late write of a dead operator is put back",
        PLAN,
        "published == known || right == Some(published.fingerprint) && published.updated_at > known.updated_at",
        "published == known",
    ),
    mutant(
        "a status that somebody else wrote is not repaired",
        STATUS_EDGE,
        "record.status = stored;\n            self.requeue",
        "record.status.0 = stored.0;\n            self.requeue",
    ),
    // Processes.
    mutant(
        "a process reports before it has swapped",
        REPORTED_STATE,
        "None => says(ProcessState::Pending, running, self.fetch_trouble().map(|fault| fault.code)),",
        "None => says(ProcessState::Applied, Some(*desired), self.fetch_trouble().map(|fault| fault.code)),",
    ),
    mutant(
        "an older name from the watch is ignored",
        FOLLOWER,
        "    fn observe_marker(&mut self, marker: ObservedMarker) {\n",
        "    fn observe_marker(&mut self, marker: ObservedMarker) {\n        let known = self.desired.publish().map(|known| known.updated_at);\n        if let ObservedMarker::Published(publish) = &marker && known.is_some_and(|known| publish.publish.updated_at < known) {\n            return;\n        }\n",
    ),
    mutant(
        "content that nobody waits for any more is swapped in",
        FOLLOWER,
        "if self.fetch.take_if(|fetch| fetch.fingerprint == fingerprint).is_none() {\n            return;\n        }\n        match self.desired.publish().filter(|desired| desired.fingerprint == fingerprint) {\n            Some(publish) => {",
        "if self.fetch.take().is_none() {\n            return;\n        }\n        match self.desired.publish() {\n            Some(publish) => {",
    ),
    mutant(
        "a copy from the disk replaces what the marker names",
        FOLLOWER,
        "if self.desired == Desired::NotListed && self.running.is_none() {\n            self.running = Some(publish);",
        "if self.desired != Desired::NotListed || self.running.is_none() {\n            self.running = Some(publish);",
    ),
    mutant(
        "another publish of the same name runs",
        FOLLOWER,
        "if running.fingerprint == desired.fingerprint && *running != desired {",
        "if *running != desired {",
    ),
    mutant(
        "a new name is taken by the report alone",
        FOLLOWER,
        "            actions.push(FollowerAction::Rename { publish: desired, revision: None });",
        "",
    ),
    mutant(
        "a refusal is for ever, whatever is published",
        FOLLOWER,
        "self.refused.as_ref().filter(|refused| refused.publish == desired)",
        "self.refused.as_ref().filter(|refused| refused.publish != desired || refused.publish == desired)",
    ),
    mutant(
        "a watch that missed a change is trusted",
        FOLLOWER,
        "            actions.push(FollowerAction::RestartWatch);",
        "",
    ),
    mutant(
        "a heartbeat that failed was the last",
        REPORTING,
        "self.due = tick.now + delay(&fault, self.backoff(), self.failures, tick);",
        "self.due = tick.now + delay(&fault, self.backoff(), self.failures, tick) + Duration::from_secs(1_000_000);",
    ),
    mutant(
        "the best of several handles speaks for a process",
        REPORTED_STATE,
        ".max_by_key(|reported| severity(reported.state))?",
        ".min_by_key(|reported| severity(reported.state))?",
    ),
    mutant(
        "the newest publish of several handles speaks for a process",
        REPORTED_STATE,
        ".min_by_key(|publish| publish.map(|publish| publish.updated_at)).flatten();",
        ".max_by_key(|publish| publish.map(|publish| publish.updated_at)).flatten();",
    ),
    mutant(
        "each handle that closes takes its process along",
        PROCESS_EDGE,
        "self.handles.is_empty().then_some((closed.id, now))",
        "Some((closed.id, now))",
    ),
];
