//! Checks of rollouts: who runs what, which step is left out, and what comes back although it was taken back.
//!
//! Each decision of an operator is compared with the marker that it replaces, with what that operator has heard, and with what
//! really happened in the pods.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rototo_api::fleet::ProcessState;
use rototo_api::marker::{Gate, Stage};
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::{Moment, Pod, PodObjectState};
use rototo_protocol::plan::MarkerEntry;
use rototo_protocol::rollout::{Action, Request, Step};
use rototo_protocol::stage::pod_hash;
use rototo_protocol::{Marked, Publish};

use crate::contents::{content, number};
use crate::rehearsals::DECIDES_WITHIN;
use crate::state::received_report::ReceivedReport;
use crate::state::record::Record;
use crate::state::taken_back::TakenBack;
use crate::state::world::World;
use crate::violation::{Invariant, name};

/// A decision about the marker, with all that it was made from.
pub struct RolloutChange {
    /// The marker as the map has it.
    pub before: Option<Marked>,
    /// The marker as the operator knew it.
    pub known: Option<Marked>,
    /// What patches without an answer, which may have happened, say.
    pub attempted: Vec<Marked>,
    pub after: Marked,
    pub steps: Vec<Step>,
    pub request: Option<Request>,
    /// The source has answered this operator.
    pub source_known: bool,
    pub suspended: bool,
    /// Newer content waits for the end of the rollout.
    pub queues: bool,
    /// A marker that somebody else has changed is put back.
    pub puts_back: bool,
    /// The operator's clock.
    pub wall: Timestamp,
}

impl RolloutChange {
    /// Returns what a person asks for about this announced publish.
    fn asked_about(&self, next: Publish) -> Option<Action> {
        self.request?.about(next.updated_at)
    }

    /// Returns whether a person has the publish promoted that the marker announces, or announced as the operator knew it.
    pub fn is_promoted(&self) -> bool {
        let announced = [self.before, self.known].into_iter().flatten().filter_map(|marked| marked.next);
        announced.into_iter().any(|next| self.asked_about(next) == Some(Action::Promote))
    }
}

impl World {
    /// Returns whether a process is in a stage with this threshold.
    pub fn is_below(&self, process: usize, next: Publish, below: u64) -> bool {
        let process = &self.processes[process];
        let pod = process.pod.map(|pod| self.pods[pod].uid.as_str()).filter(|_| process.prepares);
        pod.is_some_and(|uid| pod_hash(next.fingerprint, uid) < below)
    }

    /// Returns what a process should run by what a marker says.
    pub fn should_run(&self, process: usize, marked: &Marked) -> Publish {
        match marked.next.zip(marked.stage) {
            Some((next, stage)) if self.is_below(process, next, stage.below) => next,
            _ => marked.publish,
        }
    }

    /// Checks what an operator decides about the marker.
    pub fn check_rollout(&mut self, operator: usize, change: &RolloutChange) {
        let forget = self.operators[operator].record.as_ref().map(|record| record.fleet.windows().forget);
        forget.into_iter().for_each(|forget| self.note_dropped(operator, forget));
        self.check_comes_back(operator, change);
        if let Err((invariant, what)) =
            self.is_accepted(operator, change).and_then(|()| self.keeps_rollout(operator, change))
        {
            return self.breaks(invariant, what);
        }
        let RolloutChange { before: Some(before), after, .. } = change else { return };
        let goes_on = before.next.is_some() && before.next == after.next && before.publish == after.publish;
        if goes_on && before.stage.is_some_and(|stage| after.stage.is_none_or(|after| after.below < stage.below)) {
            let what = format!("the stage {:?} becomes {:?}", before.stage, after.stage);
            return self.breaks(Invariant::StageGrows, what);
        }
        let decision = self.decided(operator, before, change);
        if let Err((invariant, what)) = decision {
            self.breaks(invariant, what);
        }
    }

    /// Checks that nothing new is announced, staged, or published that the rules of the present spec have not accepted.
    fn is_accepted(&self, operator: usize, change: &RolloutChange) -> Result<(), (Invariant, String)> {
        let Some(record) = &self.operators[operator].record else { return Ok(()) };
        let RolloutChange { before, known, after, .. } = change;
        let markers = || [*before, *known].into_iter().flatten();
        let published = markers().any(|marked| marked.publish.fingerprint == after.publish.fingerprint);
        let staged = |next: Publish| markers().any(|marked| marked.next == Some(next) && marked.stage == after.stage);
        // What status remembers was published before.
        let claim = record.status.1.as_ref();
        let remembered = claim.and_then(|claim| claim.published).map(|publish| publish.fingerprint);
        let publishes = (!published && remembered != Some(after.publish.fingerprint)).then_some(after.publish);
        // So is what status remembers as rolled out where the marker is lost.
        let lost = before.is_none() && known.is_none();
        let rolls_out = |next: Publish| lost && claim.and_then(|claim| claim.rollout) == Some(next).zip(after.stage);
        let mut goes_on = publishes.into_iter().chain(after.next.filter(|next| !staged(*next) && !rolls_out(*next)));
        // An operator that starts does not know by which rules the rollout began for whose end newer content waits.
        let inherited = |publish: Publish| {
            let of_content = |next: Publish| next.fingerprint == publish.fingerprint;
            let is_next = markers().any(|marked| marked.next.is_some_and(of_content));
            change.queues && is_next && record.reads_marker_since >= Some(self.api.requests.spec_since)
        };
        let spec = self.api.requests.spec;
        let other = goes_on.find(|publish| !record.source.has_accepted(*publish, spec) && !inherited(*publish));
        let Some(other) = other else { return Ok(()) };
        Err((Invariant::OnlyWhatTheSpecAccepts, format!("{} goes on, which the spec has not accepted", name(other))))
    }

    /// Checks that a marker that somebody has removed or changed is put back with its rollout, under the announced name.
    fn keeps_rollout(&self, operator: usize, change: &RolloutChange) -> Result<(), (Invariant, String)> {
        let Some(record) = &self.operators[operator].record else { return Ok(()) };
        // An operator that starts after somebody has removed the marker knows its status.
        let remembered = || {
            let claim = record.status.1.as_ref().filter(|_| change.before.is_none())?;
            let (next, stage) = claim.rollout?;
            Some(Marked { next: Some(next), stage: Some(stage), held: claim.held, ..claim.published?.into() })
        };
        let Some(known) = change.known.or_else(remembered).filter(|_| change.puts_back) else { return Ok(()) };
        let Some((next, stage)) = known.next.zip(known.stage) else { return Ok(()) };
        let source = record.source.publishable(record.candidate, self.api.requests.spec).map(content);
        // Nobody queues behind an announcement that somebody else has changed, or that status alone remembers.
        let queues =
            change.queues && change.known.is_some() && change.before.is_none_or(|before| before.next == known.next);
        let stays = !change.source_known || queues || source == Some(next.fingerprint);
        let changes = next.fingerprint != known.publish.fingerprint && known.held.is_none();
        let asked = matches!(change.asked_about(next), Some(Action::Abort | Action::Promote));
        // An earlier decision stands in the way.
        let named = !change.attempted.is_empty();
        // What says that a workspace is gone has a later name.
        let named = named || self.api.workspaces > 1;
        if !stays || !changes || asked || named || change.suspended || change.steps.is_empty() {
            return Ok(());
        }
        // Whether it may be published by now is another question.
        let is_over = change.before.is_some() && change.after.publish.fingerprint == next.fingerprint;
        if is_over || (change.after.next, change.after.stage) == (Some(next), Some(stage)) {
            return Ok(());
        }
        let what = format!("the marker is put back without the rollout of {}", name(next));
        Err((Invariant::PutBackKeepsTheRollout, what))
    }

    fn decided(&self, operator: usize, before: &Marked, change: &RolloutChange) -> Result<(), (Invariant, String)> {
        let RolloutChange { known, after, steps, .. } = change;
        let stage = before.next.zip(before.stage);
        let was_held = [before.held, known.and_then(|known| known.held)];
        if let Some((held, gate)) = after.held.filter(|held| !was_held.contains(&Some(*held))) {
            // A patch without an answer said so, and was checked when it was decided.
            if change.attempted.iter().any(|marked| marked.held == after.held) {
                return Ok(());
            }
            return match stage {
                Some((next, stage)) if next == held => self.had_reason(operator, gate, next, stage, change),
                None if gate == Gate::Aborted && change.asked_about(held) != Some(Action::Abort) => {
                    Err((Invariant::TakenBackForReason, format!("{} is taken back, and nobody asked", name(held))))
                }
                _ => Ok(()),
            };
        }
        let withdrawn = before.publish == after.publish && before.next != after.next;
        let queues = change.queues && !change.suspended && *known == Some(*before);
        let newest = self.operators[operator].record.as_ref().and_then(|record| record.candidate).map(content);
        let still_there = |next: Publish| newest == Some(next.fingerprint) || newest.is_none();
        // A stage of what was taken back was written by somebody else.
        let is_held = |next: Publish| before.held.is_some_and(|(held, _)| held.fingerprint == next.fingerprint);
        let changes = |next: Publish| next.fingerprint != before.publish.fingerprint;
        let rolled_out = stage.filter(|(next, _)| queues && changes(*next) && !is_held(*next));
        if let Some((next, _)) = rolled_out.filter(|_| withdrawn) {
            let what = format!("the rollout of {} ends for {:?}", name(next), after.next.map(name));
            return Err((Invariant::NewerContentWaits, what));
        }
        let goes = before.next.filter(|next| withdrawn && changes(*next) && !is_held(*next) && still_there(*next));
        let refused = goes.is_some_and(|next| self.api.requests.refused == Some(number(next.fingerprint)));
        if let Some(next) = goes.filter(|_| !refused && !change.suspended && *known == Some(*before)) {
            let what = format!("{} is announced no more, and the source has it", name(next));
            return Err((Invariant::AnnouncementStays, what));
        }
        let published = known.or(Some(*before)).map(|known| known.publish.fingerprint);
        // What the marker says already is adopted, and not published.
        let says = |fingerprint| published == Some(fingerprint) || before.publish.fingerprint == fingerprint;
        let publishes = !says(after.publish.fingerprint);
        // What somebody has changed is put back.
        let put_back = known.and_then(|known| known.next.zip(known.stage));
        let enters =
            after.next.zip(after.stage).filter(|entered| Some(*entered) != stage && Some(*entered) != put_back);
        let gate = stage.filter(|(next, _)| changes(*next));
        let gate = gate.and_then(|(next, stage)| self.failing_gate(operator, next, stage));
        let promoted = change.is_promoted();
        let source = self.operators[operator].record.as_ref().and_then(|record| record.candidate).map(content);
        // The gates of an announcement that somebody else wrote count from the decision after the one that learns of it.
        let is_known = known.is_none_or(|known| known.next == before.next);
        let stays = |next: Publish| after.next == Some(next) && (change.queues || source == Some(next.fingerprint));
        let stays = stage.is_some_and(|(next, _)| stays(next));
        let stays = stays && is_known;
        if let Some(gate) = gate.filter(|_| !promoted && !self.clock_jumped && (stays || publishes)) {
            return Err((Invariant::GateHolds, format!("the rollout goes on, although {gate}")));
        }
        if publishes {
            return self.may_be_published(operator, before, change);
        }
        let Some((next, entered)) = enters else { return Ok(()) };
        let of_next = stage.filter(|(announced, _)| *announced == next).map(|(_, stage)| stage);
        self.may_enter(operator, next, of_next, entered, change)?;
        self.takes_the_pods(operator, next, of_next, entered, steps)
    }

    /// Checks that content with steps reaches everybody only after the last one, and under its announced name.
    fn may_be_published(
        &self,
        operator: usize,
        before: &Marked,
        change: &RolloutChange,
    ) -> Result<(), (Invariant, String)> {
        let RolloutChange { after, steps, .. } = change;
        let publish = after.publish;
        let announced = before.next.filter(|next| next.fingerprint == publish.fingerprint);
        let edited = self.api.edited || self.api.announcement_edited;
        if announced.is_some_and(|next| next != publish) && !edited {
            let what = format!("{} is published as {}", announced.map(name).unwrap_or_default(), name(publish));
            return Err((Invariant::PromotedUnderItsName, what));
        }
        let skips = |why: String| Err((Invariant::GateHolds, format!("{} is published {why}", name(publish))));
        if announced.and_then(|next| change.asked_about(next)) == Some(Action::Hold) {
            return skips("although a person holds it".to_owned());
        }
        if steps.is_empty() || change.is_promoted() {
            return Ok(());
        }
        let Some((next, stage)) = announced.zip(before.stage) else { return skips("without a stage".to_owned()) };
        if (stage.step as usize) + 1 < steps.len() {
            return skips(format!("at step {} of {}", stage.step, steps.len()));
        }
        self.step_is_over(operator, next, stage, change).or_else(skips)
    }

    /// Checks that a stage is the next one, and that its time has come.
    fn may_enter(
        &self,
        operator: usize,
        next: Publish,
        before: Option<Stage>,
        entered: Stage,
        change: &RolloutChange,
    ) -> Result<(), (Invariant, String)> {
        let skips = |why: String| Err((Invariant::GateHolds, format!("step {} begins {why}", entered.step)));
        if change.asked_about(next) == Some(Action::Hold) {
            return skips("although a person holds it".to_owned());
        }
        if let Some(since) = self.recounts_since(operator) {
            return skips(format!("although the operator listens since {} ms", since.as_millis()));
        }
        if self.is_selector_broken() {
            return skips("although nobody knows which pods should follow".to_owned());
        }
        match before {
            None if entered.step > 0 => skips("first".to_owned()),
            None => Ok(()),
            Some(before) if entered.step == before.step => Ok(()),
            Some(before) if entered.step != before.step + 1 => skips(format!("after step {}", before.step)),
            Some(before) => self.step_is_over(operator, next, before, change).or_else(skips),
        }
    }

    /// Returns an error if a step is not over.
    fn step_is_over(&self, operator: usize, next: Publish, stage: Stage, change: &RolloutChange) -> Result<(), String> {
        if let Some(since) = self.recounts_since(operator) {
            return Err(format!("although the operator listens since {} ms", since.as_millis()));
        }
        if self.is_selector_broken() && change.asked_about(next) != Some(Action::PromoteStep(stage.step)) {
            return Err("although nobody knows which pods should follow".to_owned());
        }
        if change.asked_about(next) == Some(Action::PromoteStep(stage.step)) {
            return Ok(());
        }
        match change.steps.get(stage.step as usize) {
            None => Ok(()),
            Some(Step::Pause(None)) => Err("although a person has to say so".to_owned()),
            Some(Step::Pause(Some(time))) => {
                let over = SignedDuration::try_from(*time).ok().and_then(|time| stage.since.checked_add(time).ok());
                let over = over.is_some_and(|over| over <= change.wall);
                if over { Ok(()) } else { Err("before the pause is over".to_owned()) }
            }
            Some(Step::Pods(_) | Step::Weight(_)) => self.runs_in_stage(operator, next, stage),
        }
    }

    /// Returns an error if a process of the stage does not run its content, or can't be known to.
    fn runs_in_stage(&self, operator: usize, next: Publish, stage: Stage) -> Result<(), String> {
        let leader = &self.operators[operator];
        let Some(record) = &leader.record else { return Ok(()) };
        let mut able = self.able_pods(operator, record);
        // The operator may not have learned of an end, and then no other process of the pod has to be waited for.
        let ended = |pod: usize| {
            let mut of_pod = record.received_reports.iter().filter(|(one, _)| self.processes[**one].pod == Some(pod));
            of_pod.any(|(one, said)| !self.processes[*one].alive && !said.drained())
        };
        let in_stage = |pod: usize| pod_hash(next.fingerprint, &self.pods[pod].uid) < stage.below;
        able.retain(|pod| in_stage(*pod) && !ended(*pod));
        let reported = |pod: usize| record.received_reports.keys().any(|one| self.processes[*one].pod == Some(pod));
        if let Some(pod) = able.iter().copied().find(|pod| !reported(*pod)) {
            return Err(format!("although nobody has heard pod {pod}"));
        }
        for (index, said) in &record.received_reports {
            let process = &self.processes[*index];
            let counts = process.alive && !process.handles.is_empty() && !said.drained();
            let dropped = record.dropped.contains(index);
            let passes = self.is_anyway(Some(number(next.fingerprint))) && said.state == ProcessState::Rejected;
            if counts && !dropped && !passes && self.is_below(*index, next, stage.below) && said.says_otherwise(next) {
                return Err(format!("although process {index} said last that it is {:?}", said.state));
            }
        }
        Ok(())
    }

    /// Checks that a step takes as many pods as it says: no more than one for `pods: 1`, and one at least.
    fn takes_the_pods(
        &self,
        operator: usize,
        next: Publish,
        before: Option<Stage>,
        entered: Stage,
        steps: &[Step],
    ) -> Result<(), (Invariant, String)> {
        let Some(record) = &self.operators[operator].record else { return Ok(()) };
        // The operator may not have learned of an end.
        let unclear = |(index, said): (&usize, &ReceivedReport)| {
            !said.drained() && (!self.processes[*index].alive || record.dropped.contains(index))
        };
        if record.received_reports.iter().any(unclear) {
            return Ok(());
        }
        let able = self.able_pods(operator, record);
        let taken =
            |below: u64| able.iter().filter(|pod| pod_hash(next.fingerprint, &self.pods[**pod].uid) < below).count();
        let (now, earlier) = (taken(entered.below), taken(before.map_or(0, |before| before.below)));
        let begun = steps.get(..=entered.step as usize).unwrap_or(steps);
        let wanted = match begun.iter().rev().find(|step| !matches!(step, Step::Pause(_))) {
            None => earlier..=earlier,
            Some(Step::Pods(count)) => {
                let wanted = earlier.max(able.len().min(*count as usize));
                wanted..=wanted
            }
            Some(Step::Weight(0)) => earlier..=earlier,
            Some(Step::Weight(100)) => able.len()..=able.len(),
            _ => earlier.max(able.len().min(1))..=able.len(),
        };
        // A pause changes nothing, unless the pods of the stage are gone.
        let pauses = matches!(steps.get(entered.step as usize), Some(Step::Pause(_)));
        if wanted.contains(&now) || pauses && now == earlier {
            return Ok(());
        }
        let what = format!("step {} takes {now} of {} pods, and had {earlier}", entered.step, able.len());
        Err((Invariant::StepTakesItsPods, what))
    }

    /// Returns the selected pods, as the operator sees them, with a process that can be in a stage or with none that was heard.
    fn able_pods(&self, operator: usize, record: &Record) -> Vec<usize> {
        let able = |pod: usize| {
            let mut reported = record.received_reports.iter().filter(|(one, said)| {
                self.processes[**one].pod == Some(pod) && self.processes[**one].alive && !said.drained()
            });
            let first = reported.next();
            first.is_none_or(|(one, _)| {
                self.processes[*one].prepares || reported.any(|(one, _)| self.processes[*one].prepares)
            })
        };
        let known = |pod: usize| self.operators[operator].pods.get(&self.pods[pod].uid);
        let expected = |pod: usize| known(pod).is_some_and(|known: &Pod| known.selected && known.runs());
        (0..self.pods.len()).filter(|pod| expected(*pod) && able(*pod)).collect()
    }

    /// Returns since when an operator listens that can't know all processes yet.
    fn recounts_since(&self, operator: usize) -> Option<Moment> {
        let record = self.operators[operator].record.as_ref()?;
        let recounts = record.recounts && self.now < record.listening_since + record.fleet.windows().recount;
        recounts.then_some(record.listening_since)
    }

    /// Returns what an operator has heard that has to end a rollout.
    fn failing_gate(&self, operator: usize, next: Publish, stage: Stage) -> Option<String> {
        let record = self.operators[operator].record.as_ref()?;
        let refuses = |index: &usize| {
            let (process, said) = (&self.processes[*index], &record.received_reports[index]);
            let counts = process.alive && !process.handles.is_empty() && !record.dropped.contains(index);
            counts
                && self.is_below(*index, next, stage.below)
                && said.state == ProcessState::Rejected
                && said.publish == Some(next)
                && !self.is_anyway(Some(number(next.fingerprint)))
        };
        if let Some(index) = record.received_reports.keys().find(|index| refuses(index)) {
            return Some(format!("process {index} refuses {}", name(next)));
        }
        let since = self.api.stage_since;
        let broken = self.is_selector_broken();
        let ended = (0..self.pods.len()).filter(|_| !broken).find(|pod| {
            let truth = &self.pods[*pod];
            let known = self.operators[operator].pods.get(&truth.uid);
            let seen = known
                .filter(|known| known.selected && !known.terminating && known.object_state == PodObjectState::Exists);
            let ended = seen.and_then(|known| known.containers.first()?.ended);
            let is_last = ended.is_some_and(|ended| Some(ended.at) == truth.ended) && truth.ended_since >= since;
            is_last && pod_hash(next.fingerprint, &truth.uid) < stage.below
        });
        ended.map(|pod| format!("the container of pod {pod} ended at {} ms", self.pods[pod].ended_since.as_millis()))
    }

    /// Checks that content is taken back for what happened, and for nothing else.
    fn had_reason(
        &self,
        operator: usize,
        gate: Gate,
        next: Publish,
        stage: Stage,
        change: &RolloutChange,
    ) -> Result<(), (Invariant, String)> {
        let Some(record) = &self.operators[operator].record else { return Ok(()) };
        let refuses = || {
            record.received_reports.values().any(|said| {
                said.refuses(next.fingerprint)
                    || said.state == ProcessState::Rejected
                        && said.publish.is_none_or(|publish| publish.fingerprint == next.fingerprint)
            })
        };
        // The kubelet says in whole seconds when a container ended.
        let began = stage.since.checked_sub(SignedDuration::from_secs(1)).unwrap_or(stage.since);
        let ended = || {
            let ends = self.pods.iter().filter(|pod| pod_hash(next.fingerprint, &pod.uid) < stage.below);
            ends.filter_map(|pod| pod.ended).any(|end| end > began)
        };
        let had = match gate {
            Gate::Refused => refuses(),
            Gate::Restarted => self.clock_jumped || ended(),
            Gate::Aborted => change.asked_about(next) == Some(Action::Abort),
            // No history has metrics, or applications that become degraded.
            Gate::Analysis | Gate::Degraded | Gate::Other => false,
        };
        if had {
            return Ok(());
        }
        Err((Invariant::TakenBackForReason, format!("{} is taken back by the gate {gate:?}, for nothing", name(next))))
    }

    /// Checks that nothing is announced or published that was taken back, and that nothing has released.
    fn check_comes_back(&mut self, operator: usize, change: &RolloutChange) {
        let known = change.known.or(change.before).map(|known| known.publish.fingerprint);
        let record = self.operators[operator].record.as_ref();
        let Some(began) = record.and_then(|record| record.reads_marker_since) else { return };
        // A decision on an older map has no effect.
        if change.before.is_none_or(|before| self.api.marker != MarkerEntry::Published(before)) {
            return;
        }
        // What somebody has announced by hand stays until the source has answered: until then nobody knows what is right.
        if change.before == Some(change.after) && !change.source_known {
            return;
        }
        let named = change.after.next.into_iter().chain([change.after.publish]);
        for publish in named.filter(|publish| Some(publish.fingerprint) != known) {
            let taken_back = self.api.taken_back.get(&publish.fingerprint);
            let Some(taken_back) = taken_back.filter(|taken_back| !taken_back.is_retried()) else { continue };
            // Whoever starts after an edit of the marker can't know what it said before.
            let forgotten = taken_back.edited().is_some_and(|edited| began + Duration::from_millis(500) >= edited);
            let unknown = taken_back.edited().is_some() && change.known.is_none_or(|known| known.held.is_none());
            if !(forgotten && unknown) {
                let what =
                    format!("{} comes back, which was taken back as {}", name(publish), name(taken_back.publish()));
                return self.breaks(Invariant::TakenBackStays, what);
            }
        }
    }

    /// Notes what a write that the API server has accepted takes back, of an operator for which this content is the newest.
    pub fn note_taken_back(&mut self, marked: Marked, newest: Option<u8>) {
        // What follows newer content is a new change, also if it is the same content.
        let newest = content(newest.unwrap_or(self.git.content));
        let is_newest = |fingerprint| fingerprint == newest && fingerprint == content(self.git.content);
        let Some((held, _)) = marked.held.filter(|(held, _)| is_newest(held.fingerprint)) else { return };
        let known = self.api.taken_back.get(&held.fingerprint);
        if known.is_none_or(|known| known.publish() != held) {
            let retry = Request { action: Action::Retry, of: held.updated_at };
            let retried = self.api.requests.asked == Some(retry);
            self.api.taken_back.insert(held.fingerprint, TakenBack::new(held, retried));
        }
    }

    /// Notes that an operator learns of a content of the source: whatever else was taken back may come again.
    pub fn note_source(&mut self, found: Fingerprint) {
        self.api.taken_back.retain(|taken_back, _| *taken_back == found);
    }

    /// Notes that a person asks for content again that was taken back.
    pub fn note_retry(&mut self, request: Request) {
        if request.action == Action::Retry {
            for taken_back in self.api.taken_back.values_mut() {
                taken_back.note_retry(request.of);
            }
        }
    }

    /// Notes that somebody edits the marker by hand.
    pub fn note_edit(&mut self) {
        self.note_edit_beside(None);
    }

    /// Notes that somebody edits the marker by hand, while this publish is known as taken back elsewhere.
    pub fn note_edit_beside(&mut self, remembered: Option<Publish>) {
        let now = self.now;
        for taken_back in self.api.taken_back.values_mut().filter(|one| Some(one.publish()) != remembered) {
            taken_back.note_edit(now);
        }
    }

    /// Checks that a rollout goes on when its pause is over, if nothing and nobody is in its way.
    pub fn check_rollout_goes_on(&mut self) {
        let MarkerEntry::Published(Marked { next: Some(next), stage: Some(stage), .. }) = self.api.marker else {
            return;
        };
        let refused = self.api.requests.refused == Some(self.git.content);
        let goes_on = (self.queues || next.fingerprint == content(self.git.content)) && !refused;
        let Some(operator) = self.lease.filter(|_| goes_on && self.api.workspace.is_some()) else { return };
        let Some(record) = self.operators[operator].record.as_ref().filter(|record| record.patching.is_none()) else {
            return;
        };
        let step = self.api.requests.steps.list().get(stage.step as usize).copied();
        let Some(Step::Pause(Some(pause))) = step else { return };
        let held = self.asked_about(next) == Some(Action::Hold) || self.is_suspended() || self.clock_jumped;
        let since = self.undisturbed_since(record).max(self.api.marker_since);
        if !held && self.now > since + pause + record.fleet.windows().recount + DECIDES_WITHIN {
            let what = format!("step {} of {} does not end since {} ms", stage.step, name(next), since.as_millis());
            self.breaks(Invariant::RolloutGoesOn, what);
        }
    }

    /// Returns whether the rollout of the newest content may still be under way, or over without a publish, when everything
    /// rests: it was taken back, or a person has to say how it goes on, or the end of a process of the stage can't be seen.
    pub fn may_be_staged_at_rest(&self) -> bool {
        let MarkerEntry::Published(marked) = self.api.marker else { return false };
        let newest = content(self.git.content);
        if marked.held.is_some_and(|(held, _)| held.fingerprint == newest) {
            return true;
        }
        let waits = self.queues && marked.stage.is_some();
        if marked.next.is_none_or(|next| next.fingerprint != newest && !waits) {
            return false;
        }
        let holds = marked.next.and_then(|next| self.asked_about(next)) == Some(Action::Hold);
        let Some(stage) = marked.stage else { return holds };
        match self.api.requests.steps.list().get(stage.step as usize) {
            Some(Step::Pause(None)) => true,
            // A clock that was set back prolongs a pause.
            Some(Step::Pause(Some(_))) => holds || self.clock_jumped,
            Some(Step::Pods(_) | Step::Weight(_)) => {
                holds || (0..self.processes.len()).any(|process| self.ends_unseen(process))
            }
            None => holds,
        }
    }
}
