//! From the source to the marker: looks, decides, sends the patch, and learns what has become of it.

use std::time::Duration;

use rototo_protocol::fleet::{Moment, RehearsalMode, RehearsalRules};
use rototo_protocol::plan::{MapVersion, MarkerEntry, MarkerPlan, WriteReason};
use rototo_protocol::publisher::{AcceptedPublish, Detection, PublishInput};
use rototo_protocol::{Marked, Publish};

use super::INTERVAL;
use crate::contents::{content, number};
use crate::rollouts::RolloutChange;
use crate::state::claim::Claim;
use crate::state::event::Event;
use crate::state::record::{Members, Record};
use crate::state::world::World;
use crate::violation::{Invariant, marker, name};

/// The beginning of a poll, the commit and content that it found, and the rules of the spec.
type PollResult = (Moment, Option<(u64, u8)>, (u64, Option<u8>));

/// The answer to a request is waited for so long.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// A git host that does not answer is given up after so long, and asked again after as long.
const TIMES_OUT: Duration = Duration::from_secs(2);

impl World {
    pub fn pushed(&mut self) {
        self.git.commit += 1;
        if let Some(leader) = self.lease {
            self.poll(leader);
        }
    }

    pub fn poll_if_due(&mut self, operator: usize) {
        let Some(record) = &self.operators[operator].record else { return };
        let due = record.polled_at.is_none_or(|asked| self.now >= asked + INTERVAL);
        if due && self.now >= record.asks_at {
            self.poll(operator);
        }
    }

    /// Asks the source, unless it is asked already; then once more afterwards.
    pub fn poll(&mut self, operator: usize) {
        let suspended = self.is_suspended();
        let Some(record) = self.operators[operator].record.as_mut().filter(|_| !suspended) else { return };
        if record.polling {
            record.poll_again = true;
            return;
        }
        record.polling = true;
        let began = self.now;
        let delay = Duration::from_millis(self.rng.u64(20..400));
        let number = record.number;
        let found = (began >= self.faults.git_away).then_some((self.git.commit, self.git.content));
        let rules = (self.api.requests.spec, self.api.requests.refused);
        let delay = if found.is_some() { delay } else { delay + TIMES_OUT };
        self.after(delay, Event::PollEnded { operator, record: number, began, found, rules });
    }

    pub fn poll_ended(&mut self, operator: usize, record: u64, (began, found, rules): PollResult) {
        let now = self.now;
        let Some(record) = self.record_of(operator, record) else { return };
        let Some((commit, found)) = found else {
            record.polling = false;
            record.poll_again = false;
            // It is asked again a while after the failure.
            record.asks_at = now + TIMES_OUT;
            return self.requeue(operator, TIMES_OUT);
        };
        if record.named.is_none_or(|(named, _)| named != commit) {
            record.named = Some((commit, now));
        }
        let detected = record.named.map_or(now, |(_, since)| since);
        record.polling = false;
        record.polled_at = Some(began);
        let (spec, refused) = rules;
        if refused == Some(found) {
            record.source.is_refused(spec, found);
            record.asks_at = now + TIMES_OUT;
            if std::mem::take(&mut record.poll_again) {
                self.poll(operator);
            }
            return self.requeue(operator, Duration::ZERO);
        }
        record.source.answers(spec, found, record.publisher.marked());
        record.candidate = Some(found);
        record.detection = Some(Detection { detected, fetched: now, linted: now });
        if std::mem::take(&mut record.poll_again) {
            self.poll(operator);
        }
        self.note_source(content(found));
        self.requeue(operator, Duration::ZERO);
    }

    pub fn show_map(&mut self, operator: usize) {
        let lag = Duration::from_millis(self.rng.u64(1..100));
        let at = (self.now + lag).max(self.faults.stale_map);
        let life = self.operators[operator].life;
        self.at(at, Event::MapSeen { operator, life });
    }

    pub fn map_seen(&mut self, operator: usize, life: u64) {
        if self.operators[operator].life != life {
            return;
        }
        if self.now < self.faults.stale_map {
            return self.show_map(operator);
        }
        self.learn_map(operator);
        self.requeue(operator, Duration::ZERO);
    }

    pub fn learn_map(&mut self, operator: usize) {
        let now = (self.api.map_version, self.api.marker);
        let known = &mut self.operators[operator].map;
        if known.is_none_or(|(version, _)| version < now.0) {
            *known = Some(now);
        }
    }

    /// Has an operator take over the map once in each term: its watch may lag behind what the leader before has written, and
    /// writes of that leader may be under way.
    fn take_over(&mut self, operator: usize) {
        let (term, leader) = (Some(self.terms), &mut self.operators[operator]);
        let writes = leader.record.as_ref().is_some_and(|record| record.patching.is_some());
        if leader.took_over_in != term && !writes {
            leader.took_over_in = term;
            self.api.map_version += 1;
            self.learn_map(operator);
        }
    }

    /// Returns the content that an operator brings to the fleet: that of a rollout for whose end newer content waits, or else
    /// the newest.
    pub fn target(&self, operator: usize) -> Option<u8> {
        let record = self.operators[operator].record.as_ref()?;
        let (_, _, queues) = self.source_of(operator);
        let rolling = record.publisher.marked().filter(|marked| queues && marked.stage.is_some());
        rolling.and_then(|marked| marked.next).map(|next| number(next.fingerprint)).or(record.candidate)
    }

    /// Returns the content that an operator may publish, whether it is known what the source has, and whether newer content
    /// waits for the end of a rollout.
    pub fn source_of(&self, operator: usize) -> (Option<u8>, bool, bool) {
        let Some(record) = &self.operators[operator].record else { return (None, false, false) };
        let (spec, marked, newest) = (self.api.requests.spec, record.publisher.marked(), record.candidate);
        let source = &record.source;
        let known = source.is_known(newest, spec, marked);
        (source.publishable(newest, spec), known, self.queues && source.is_awaited(spec, marked))
    }

    pub fn publish(&mut self, operator: usize) {
        let (now, wall, broken) = (self.now, self.wall_of(operator), self.is_selector_broken());
        let target = self.target(operator);
        let (rules, anyway) = (self.rules_of(target), self.is_anyway(target));
        let (steps, request, suspended) =
            (self.api.requests.steps.list(), self.api.requests.asked, self.is_suspended());
        self.take_over(operator);
        let leader = &mut self.operators[operator];
        let (Some(map), observed) = (leader.marker_map(), leader.observed(broken)) else { return };
        let before = map.marked();
        let Some(record) = leader.record.as_mut().filter(|record| record.patching.is_none()) else { return };
        record.fleet.observe(observed);
        record.reads_marker_since.get_or_insert(now);
        let Record { fleet, publisher, .. } = record;
        let landed = publisher.map_observed(&map, fleet, now);
        let (accepted, candidate_known, queues) = self.source_of(operator);
        let Some(record) = self.operators[operator].record.as_mut() else { return };
        let Record { fleet, publisher, .. } = record;
        let remembered_held = record.status.1.as_ref().and_then(|claim| claim.held);
        let remembered_rollout = record.status.1.as_ref().and_then(|claim| claim.rollout);
        let remembered = record.status.1.as_ref().and_then(|claim| claim.published);
        let input = PublishInput {
            accepted: accepted.map(content),
            remembered,
            remembered_held,
            remembered_rollout,
            last_published_name: record.status.1.as_ref().and_then(Claim::last_name),
            polled_at: record.polled_at,
            candidate_known,
            suspended,
            rehearsal: rules,
            steps: &steps,
            analyses: &[],
            request,
            anyway,
            queues,
        };
        let attempted = publisher.attempted().collect();
        let plan = publisher.decide(fleet, map, input, now, wall);
        let mut doubts = false;
        let mut patch = None;
        let names = |kept: Marked, candidate| {
            let named = [Some(kept.publish), kept.next, kept.held.map(|(held, _)| held)];
            named.into_iter().flatten().any(|named| named.fingerprint == content(candidate))
        };
        let waits = |kept: Marked| queues && kept.stage.is_some();
        let strays = !suspended
            && matches!(plan, MarkerPlan::Keep(kept) if !waits(kept)
                && accepted.is_some_and(|candidate| !names(kept, candidate)));
        let (known, source_known) = (publisher.marked(), candidate_known);
        let (mut publishes, mut decided, mut puts_back) = (None, None, false);
        match plan {
            MarkerPlan::Wait => publisher.marker_confirmed(None, fleet, now),
            MarkerPlan::Keep(marked) => {
                decided = Some(marked);
                publisher.marker_confirmed(Some(marked), fleet, now);
            }
            MarkerPlan::VerifyAgain => doubts = publisher.doubt(now),
            MarkerPlan::Write { marked, at, reason } => {
                publisher.begin_patch(marked, &at, reason, record.detection, fleet, now);
                record.patching = Some(marked);
                record.announcements.extend(marked.next.map(|next| next.updated_at));
                publishes = (reason != WriteReason::Announcement).then_some(marked.publish);
                puts_back = reason == WriteReason::PutBack;
                let version = match at {
                    MapVersion::Version(version) => version.parse().ok(),
                    MapVersion::Missing => None,
                };
                decided = Some(marked);
                patch = Some((version, marked));
            }
            MarkerPlan::Forbidden { .. } | MarkerPlan::Readdress { .. } => {}
        }
        if let Some(landed) = landed {
            self.note_landed(operator, &landed);
        }
        self.note_staged(operator);
        if strays {
            self.breaks(Invariant::OldTermsLeaveNoTrace, "the operator keeps what its source does not say".to_owned());
        }
        if puts_back {
            self.check_put_back(operator);
        }
        if doubts {
            self.poll(operator);
            // The watch may lag: the map is asked for.
            self.learn_map(operator);
            self.requeue(operator, Duration::from_millis(2));
        }
        let change = decided.map(|after| RolloutChange {
            before,
            known,
            attempted,
            after,
            steps,
            request,
            source_known,
            suspended,
            queues,
            puts_back,
            wall,
        });
        let promoted = change.as_ref().is_some_and(RolloutChange::is_promoted);
        if let Some(publish) = publishes.filter(|_| !promoted) {
            // What a stage runs has passed its rehearsal, and only refusals still count.
            let announces = |next: Publish| next.fingerprint == publish.fingerprint;
            let staged = before.is_some_and(|before| before.stage.is_some() && before.next.is_some_and(announces));
            let mode =
                if staged && rules.mode == RehearsalMode::Require { RehearsalMode::BestEffort } else { rules.mode };
            self.check_rehearsed(operator, publish, RehearsalRules { mode, ..rules });
        }
        if let Some(change) = change {
            let after = change.after;
            let of_next = |marked: Option<Marked>| {
                marked.is_some_and(|marked| marked.stage.is_some() && marked.next == after.next)
            };
            let staged = of_next(before) || of_next(known);
            if let Some(next) = after.next.filter(|_| after.stage.is_some() && !staged) {
                self.check_rehearsed(operator, next, rules);
            }
            self.check_rollout(operator, &change);
        }
        if let Some((version, marked)) = patch {
            self.send_patch(operator, version, marked);
        }
    }

    fn send_patch(&mut self, operator: usize, version: Option<u64>, marked: Marked) {
        let Some(record) = self.operators[operator].record.as_ref().map(|record| record.number) else { return };
        self.log(|| format!("operator {operator} writes the marker: {}", marker(marked)));
        let lost = self.faults.lose_answer.take();
        let delay = lost.unwrap_or(Duration::from_millis(self.rng.u64(1..20)));
        self.after(
            delay,
            Event::Patch { operator, record, version, marked: Box::new(marked), answered: lost.is_none() },
        );
        if lost.is_some() {
            self.after(ANSWERS_WITHIN, Event::PatchAnswer { operator, record, accepted: None });
        }
    }

    pub fn patch_arrives(
        &mut self,
        operator: usize,
        record: u64,
        version: Option<u64>,
        marked: Marked,
        answered: bool,
    ) {
        let accepted = version == Some(self.api.map_version);
        if accepted {
            self.api.written_late |=
                self.operators[operator].record.is_some() && self.record_of(operator, record).is_none();
            self.check_names(marked);
            let newest = self.record_of(operator, record).and_then(|record| record.candidate);
            self.note_taken_back(marked, newest);
            self.write_marker(MarkerEntry::Published(marked));
        }
        if answered {
            let delay = Duration::from_millis(self.rng.u64(1..20));
            self.after(delay, Event::PatchAnswer { operator, record, accepted: Some(accepted) });
        }
    }

    /// Checks that the names of a write are later than all before.
    fn check_names(&mut self, marked: Marked) {
        let Marked { publish, next, .. } = marked;
        let before = match self.api.marker {
            MarkerEntry::Published(before) => Some(before),
            MarkerEntry::Nothing | MarkerEntry::Removed(_) | MarkerEntry::Unreadable => None,
        };
        let announced = before.and_then(|before| before.next);
        if before.is_none_or(|before| before.publish != publish) {
            // What is put back beside an announcement comes before it.
            let stays = announced == Some(publish) || announced == next;
            let follows = self.api.last_name.max(announced.map(|next| next.updated_at).filter(|_| !stays));
            if follows.is_some_and(|last| last >= publish.updated_at) {
                self.breaks(Invariant::NamesGrow, format!("{} follows {follows:?}", name(publish)));
            }
            self.api.last_name = Some(publish.updated_at);
            self.api.names.push(publish);
        }
        let Some(next) = next.filter(|next| announced != Some(*next)) else { return };
        // A name that was withdrawn is known to nobody. An announcement that somebody has changed keeps its name.
        let edited = self.api.edited || self.api.announcement_edited;
        if edited && self.api.announced.contains(&next) {
            return;
        }
        let forgotten = self.clock_jumped || edited;
        let withdrawn = self.api.last_announced.filter(|_| !forgotten);
        let follows = withdrawn.max(announced.map(|next| next.updated_at)).max(Some(publish.updated_at));
        if follows >= Some(next.updated_at) {
            self.breaks(Invariant::NamesGrow, format!("{} is announced after {follows:?}", name(next)));
        }
        self.api.last_announced = Some(next.updated_at);
    }

    pub fn patch_answered(&mut self, operator: usize, record: u64, accepted: Option<bool>) {
        let now = self.now;
        let observed = self.operators[operator].observed(self.is_selector_broken());
        let Some(record) = self.record_of(operator, record) else { return };
        let Some(patched) = record.patching.take() else { return };
        record.patched = now;
        if accepted == Some(true) {
            record.fleet.observe(observed);
            let landed = record.publisher.accepted(&mut record.fleet, now);
            // The answer has the map as it was after the patch.
            let version = self.api.map_version;
            if self.api.marker == MarkerEntry::Published(patched) {
                self.operators[operator].map = Some((version, MarkerEntry::Published(patched)));
            }
            if let Some(landed) = landed {
                self.note_landed(operator, &landed);
            }
            self.note_staged(operator);
        } else {
            // What has become of it is seen in the map.
            self.learn_map(operator);
        }
        self.requeue(operator, Duration::ZERO);
    }

    /// Notes the processes that were known when a publish landed: all of them must apply it before it has a figure.
    fn note_landed(&mut self, operator: usize, landed: &AcceptedPublish) {
        let Some(record) = &mut self.operators[operator].record else { return };
        let lives = |index: &usize| self.processes[*index].alive && !self.processes[*index].handles.is_empty();
        let counted = record.received_reports.iter();
        let counted = counted.filter(|(index, last_report)| !last_report.drained() && !record.dropped.contains(index));
        let members = counted.map(|(index, _)| *index).filter(lives).collect();
        let members = Members { members, detected: landed.times.detected, learned: self.now, staged: false };
        record.landed.insert(landed.publish.updated_at, members);
    }

    /// Notes that what is published does not have to reach everybody any more.
    fn note_staged(&mut self, operator: usize) {
        let Some(record) = self.operators[operator].record.as_mut().filter(|record| record.fleet.is_staged()) else {
            return;
        };
        let published = record.publisher.published().map(|publish| publish.updated_at);
        if let Some(landed) = published.and_then(|name| record.landed.get_mut(&name)) {
            landed.staged = true;
        }
    }
}
