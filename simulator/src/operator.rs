//! Operators: the glue between the pure parts, as thin as the real one, in a world in which every step takes time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rototo_api::UpdatedAt;
use rototo_api::fleet::{ProcessState, Report, ReportResponse};
use rototo_protocol::Publish;
use rototo_protocol::fleet::{Fleet, FleetStart, FleetView, Moment, Pod, PodIdentity, Pods, Verdict};
use rototo_protocol::plan::{MapVersion, MarkerEntry, MarkerMap, MarkerPlan};
use rototo_protocol::publisher::{AcceptedPublish, Detection, PublishInput, Publisher};

use crate::violation::Invariant;
use crate::world::{Claim, MIN_HEARTBEAT, World, WorldEvent, content};

/// The answer to a request is waited for so long.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How often the source is asked when nobody pushes.
const INTERVAL: Duration = Duration::from_secs(5);
/// So long a lease is held without being renewed, by the holder's own clock.
const HELD: Duration = Duration::from_secs(8);
/// Status remembers so many publishes.
const HISTORY: usize = 10;

/// An operator process.
pub struct Operator {
    pub alive: bool,
    /// Which life of it: messages to an earlier one are lost.
    pub life: u64,
    /// The term in which it leads.
    term: Option<u64>,
    pub clock_offset: i64,
    pub fleet: Option<Fleet>,
    pub publisher: Publisher,
    /// The map as it knows it: from its watch, or from an answer.
    map: Option<(u64, MarkerEntry)>,
    pub pods: BTreeMap<String, Pod>,
    pub last_pod_event: Moment,
    candidate: Option<u8>,
    polled_at: Option<Moment>,
    polling: bool,
    poll_again: bool,
    named: Option<(u64, Moment)>,
    detection: Option<Detection>,
    /// A patch is under way.
    patching: Option<Publish>,
    writing_status: bool,
    /// Status as it knows it, and its version.
    status: (u64, Option<Claim>),
    armed: u64,
    next_at: Option<Moment>,
    // Known to the world for its checks.
    pub listening_since: Moment,
    pub turned_away: Moment,
    pub received_reports: BTreeMap<usize, ReceivedReport>,
    pub inherited: BTreeSet<usize>,
    pub dropped: BTreeSet<usize>,
    pub figures: BTreeMap<UpdatedAt, u64>,
    pub landed: BTreeMap<UpdatedAt, Members>,
}

/// The last report of a process that an operator has taken.
#[derive(Clone, Debug)]
pub struct ReceivedReport {
    sequence: u64,
    pub state: ProcessState,
    publish: Option<Publish>,
    pub received: Moment,
    pub first: Moment,
}

/// Who was known to an operator when it published.
#[derive(Clone, Debug)]
pub struct Members {
    pub members: Vec<usize>,
    pub detected: Moment,
}

impl ReceivedReport {
    pub fn drained(&self) -> bool {
        self.state == ProcessState::Draining
    }

    pub fn runs_nothing(&self) -> bool {
        self.publish.is_none() && matches!(self.state, ProcessState::Starting | ProcessState::Pending)
    }

    /// Whether it says that the process does not run this.
    pub fn says_otherwise(&self, publish: Publish) -> bool {
        let resolves = matches!(self.state, ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned);
        !(self.drained() || self.runs_nothing() || resolves && self.publish == Some(publish))
    }
}

impl Operator {
    pub fn new() -> Self {
        Self {
            alive: false,
            life: 0,
            term: None,
            clock_offset: 0,
            fleet: None,
            publisher: Publisher::default(),
            map: None,
            pods: BTreeMap::new(),
            last_pod_event: Moment::ZERO,
            candidate: None,
            polled_at: None,
            polling: false,
            poll_again: false,
            named: None,
            detection: None,
            patching: None,
            writing_status: false,
            status: (0, None),
            armed: 0,
            next_at: None,
            listening_since: Moment::ZERO,
            turned_away: Moment::ZERO,
            received_reports: BTreeMap::new(),
            inherited: BTreeSet::new(),
            dropped: BTreeSet::new(),
            figures: BTreeMap::new(),
            landed: BTreeMap::new(),
        }
    }

    fn observed(&self) -> Pods {
        Pods { by_uid: self.pods.clone() }
    }

    fn marker_map(&self) -> Option<MarkerMap> {
        let (version, marker) = self.map?;
        Some(MarkerMap::Ours { resource_version: version.to_string(), addressed: true, marker })
    }
}

impl World {
    pub fn start_operator(&mut self, operator: usize) {
        if self.operators[operator].alive {
            return;
        }
        let before = &self.operators[operator];
        let fresh =
            Operator { life: before.life + 1, clock_offset: before.clock_offset, alive: true, ..Operator::new() };
        self.operators[operator] = fresh;
        self.operators[operator].last_pod_event = self.now;
        for pod in 0..self.pods.len() {
            if self.pods[pod].exists {
                self.show_pod(operator, pod, true);
            }
        }
        self.show_map(operator);
    }

    pub fn stop_operator(&mut self, operator: usize) {
        self.operators[operator].alive = false;
        self.operators[operator].life += 1;
        self.take_lease_away();
    }

    pub fn take_lease_away(&mut self) {
        if let Some(operator) = self.lease.take() {
            let leader = &mut self.operators[operator];
            leader.term = None;
            leader.fleet = None;
            leader.publisher = Publisher::default();
            leader.patching = None;
            // Whoever leads next has looked since.
            (leader.candidate, leader.polled_at, leader.detection) = (None, None, None);
        }
    }

    /// An operator has won the lease: it knows what the API server says, and has heard nobody.
    pub fn give_lease(&mut self, operator: usize) {
        if self.lease.is_some() || !self.operators[operator].alive {
            return;
        }
        self.lease = Some(operator);
        self.terms += 1;
        let (now, term) = (self.now, self.terms);
        let status = self.api.status.clone();
        let wall = self.wall_of(operator);
        let version = self.api.status_version;
        let never_published = status.is_none() && self.api.marker == MarkerEntry::Nothing;
        let start = match &status {
            _ if never_published => FleetStart::New,
            Some(claim) => {
                let ago = wall.duration_since(claim.as_of);
                FleetStart::Known { processes: claim.counted, counted_ago: ago.try_into().unwrap_or_default() }
            }
            None => FleetStart::Known { processes: 0, counted_ago: Duration::ZERO },
        };
        let leader = &mut self.operators[operator];
        leader.term = Some(term);
        leader.fleet = Some(Fleet::new(start, MIN_HEARTBEAT, now));
        leader.publisher = Publisher::default();
        leader.inherited = status.iter().flat_map(|claim| claim.members.iter().copied()).collect();
        leader.status = (version, status);
        leader.received_reports.clear();
        leader.dropped.clear();
        leader.figures.clear();
        leader.landed.clear();
        leader.listening_since = now;
        leader.turned_away = now;
        leader.patching = None;
        leader.writing_status = false;
        leader.polling = false;
        // A figure that was shown before stays what it was.
        leader.figures = leader
            .status
            .1
            .iter()
            .flat_map(|claim| claim.history.iter())
            .filter_map(|(name, all)| Some((*name, (*all)?)))
            .collect();
        self.poll(operator);
        self.requeue(operator, Duration::from_millis(1));
    }

    fn wall_of(&self, operator: usize) -> Timestamp {
        let offset = SignedDuration::from_millis(self.operators[operator].clock_offset);
        self.wall().checked_add(offset).unwrap_or_default()
    }

    /// Whether the operator holds the lease, fresh by its own clock.
    fn leads(&self, operator: usize) -> bool {
        self.lease == Some(operator) && self.operators[operator].alive && self.now >= self.lapsed_until()
    }

    /// An operator that can't reach the API server for long lets its lease lapse.
    fn lapsed_until(&self) -> Moment {
        let cut = self.faults.operator_cut;
        if cut > self.now + HELD { cut } else { Moment::ZERO }
    }

    fn is_cut(&self) -> bool {
        self.now < self.faults.operator_cut
    }

    pub fn somebody_serves(&self) -> bool {
        self.operators.iter().any(|operator| operator.alive)
    }

    pub fn requeue_all_operators(&mut self) {
        for operator in 0..self.operators.len() {
            self.requeue(operator, Duration::from_millis(1));
        }
    }

    /// Asks for a reconcile, if none is due before.
    pub fn requeue(&mut self, operator: usize, delay: Duration) {
        let at = self.now + delay;
        let leader = &mut self.operators[operator];
        if leader.next_at.is_some_and(|next| next <= at && next >= self.now) {
            return;
        }
        leader.armed += 1;
        leader.next_at = Some(at);
        let (life, armed) = (leader.life, leader.armed);
        self.at(at, WorldEvent::Reconcile { operator, life, armed });
    }

    pub fn pushed(&mut self) {
        self.git.commit += 1;
        if let Some(leader) = self.lease {
            self.poll(leader);
        }
    }

    /// Asks the source, unless it is asked already; then once more afterwards.
    fn poll(&mut self, operator: usize) {
        if self.operators[operator].polling {
            self.operators[operator].poll_again = true;
            return;
        }
        self.operators[operator].polling = true;
        let began = self.now;
        let delay = Duration::from_millis(self.rng.u64(20..400));
        let (life, commit, content) = (self.operators[operator].life, self.git.commit, self.git.content);
        self.after(delay, WorldEvent::PollEnded { operator, life, began, commit, content });
    }

    pub fn poll_ended(&mut self, operator: usize, life: u64, began: Moment, commit: u64, content: u8) {
        let now = self.now;
        let leader = &mut self.operators[operator];
        if leader.life != life || leader.term.is_none() {
            return;
        }
        if leader.named.is_none_or(|(named, _)| named != commit) {
            leader.named = Some((commit, now));
        }
        let detected = leader.named.map_or(now, |(_, since)| since);
        leader.polling = false;
        leader.polled_at = Some(began);
        leader.candidate = Some(content);
        leader.detection = Some(Detection { detected, fetched: now, linted: now });
        if std::mem::take(&mut leader.poll_again) {
            self.poll(operator);
        }
        self.requeue(operator, Duration::ZERO);
    }

    pub fn show_map(&mut self, operator: usize) {
        let lag = Duration::from_millis(self.rng.u64(1..100));
        let at = (self.now + lag).max(self.faults.stale_map);
        let life = self.operators[operator].life;
        self.at(at, WorldEvent::MapSeen { operator, life });
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

    fn learn_map(&mut self, operator: usize) {
        let now = (self.api.map_version, self.api.marker);
        let known = &mut self.operators[operator].map;
        if known.is_none_or(|(version, _)| version < now.0) {
            *known = Some(now);
        }
    }

    pub fn reconcile_due(&mut self, operator: usize, life: u64, armed: u64) {
        let leader = &mut self.operators[operator];
        if leader.life != life || leader.armed != armed {
            return;
        }
        leader.next_at = None;
        self.reconcile(operator);
    }

    fn reconcile(&mut self, operator: usize) {
        if self.lease != Some(operator) || self.operators[operator].fleet.is_none() {
            return;
        }
        if !self.leads(operator) {
            // The lease has lapsed. When it is renewed, nothing is known of the time between.
            let until = self.faults.operator_cut;
            self.somebody_left = true;
            self.terms += 1;
            let term = self.terms;
            self.operators[operator].term = Some(term);
            let leader = &mut self.operators[operator];
            if let Some(fleet) = &mut leader.fleet {
                fleet.listening_interrupted(until);
            }
            leader.listening_since = until;
            return self.at(
                until + Duration::from_millis(5),
                WorldEvent::Reconcile {
                    operator,
                    life: self.operators[operator].life,
                    armed: self.operators[operator].armed,
                },
            );
        }
        let now = self.now;
        if self.operators[operator].map.is_none() {
            // The first lists have not come.
            return;
        }
        if self.operators[operator].polled_at.is_none_or(|asked| now >= asked + INTERVAL) {
            self.poll(operator);
        }
        if self.operators[operator].patching.is_none() && !self.is_cut() {
            self.publish(operator);
        }
        self.report_status(operator);
    }

    fn publish(&mut self, operator: usize) {
        let (now, wall) = (self.now, self.wall_of(operator));
        let leader = &mut self.operators[operator];
        let Some(map) = leader.marker_map() else { return };
        let Some(mut fleet) = leader.fleet.take() else { return };
        fleet.observe(leader.observed());
        let landed = leader.publisher.map_observed(&map, &mut fleet, now);
        let remembered = leader.status.1.as_ref().and_then(|claim| claim.published);
        let facts = PublishInput {
            accepted: leader.candidate.map(content),
            remembered,
            last_published_name: leader.status.1.as_ref().and_then(Claim::last_name),
            polled_at: leader.polled_at,
            suspended: false,
        };
        let plan = leader.publisher.decide(&fleet, map, facts, wall);
        let mut doubts = false;
        let mut patch = None;
        match plan {
            MarkerPlan::Wait => leader.publisher.marker_confirmed(None, &mut fleet, now),
            MarkerPlan::Keep(publish) => leader.publisher.marker_confirmed(Some(publish), &mut fleet, now),
            MarkerPlan::VerifyAgain => doubts = leader.publisher.doubt(now),
            MarkerPlan::Write { publish, at, reason } => {
                leader.publisher.begin_patch(publish, &at, reason, leader.detection, &fleet, now);
                leader.patching = Some(publish);
                let version = match at {
                    MapVersion::Version(version) => version.parse().ok(),
                    MapVersion::Missing => None,
                };
                patch = Some((version, publish));
            }
            MarkerPlan::Forbidden { .. } | MarkerPlan::Readdress { .. } => {}
        }
        leader.fleet = Some(fleet);
        if let Some(landed) = landed {
            self.note_landed(operator, &landed);
        }
        if doubts {
            self.poll(operator);
            // The watch may lag: the map is asked for.
            self.learn_map(operator);
            self.requeue(operator, Duration::from_millis(2));
        }
        if let Some((version, publish)) = patch {
            self.send_patch(operator, version, publish);
        }
    }

    fn send_patch(&mut self, operator: usize, version: Option<u64>, publish: Publish) {
        let lost = self.faults.lose_answer.take();
        let delay = lost.unwrap_or(Duration::from_millis(self.rng.u64(1..20)));
        let life = self.operators[operator].life;
        self.after(delay, WorldEvent::Patch { operator, life, version, publish, answered: lost.is_none() });
        if lost.is_some() {
            self.after(ANSWERS_WITHIN, WorldEvent::PatchAnswer { operator, life, accepted: None });
        }
    }

    pub fn patch_arrives(
        &mut self,
        operator: usize,
        life: u64,
        version: Option<u64>,
        publish: Publish,
        answered: bool,
    ) {
        let accepted = version == Some(self.api.map_version);
        if accepted {
            if self.api.last_name.is_some_and(|last| last >= publish.updated_at) {
                let what = format!("{} follows {:?}", crate::violation::name(publish), self.api.last_name);
                self.breaks(Invariant::NamesGrow, what);
            }
            self.api.last_name = Some(publish.updated_at);
            self.api.names.push(publish);
            self.write_marker(MarkerEntry::Published(publish));
        }
        if answered {
            let delay = Duration::from_millis(self.rng.u64(1..20));
            self.after(delay, WorldEvent::PatchAnswer { operator, life, accepted: Some(accepted) });
        }
    }

    pub fn patch_answered(&mut self, operator: usize, life: u64, accepted: Option<bool>) {
        let now = self.now;
        let leader = &mut self.operators[operator];
        if leader.life != life || leader.patching.is_none() {
            return;
        }
        let patched = leader.patching.take();
        if accepted == Some(true) {
            let observed = leader.observed();
            let landed = leader.fleet.as_mut().and_then(|fleet| {
                fleet.observe(observed);
                leader.publisher.accepted(fleet, now)
            });
            // The answer has the map as it was after the patch.
            let version = self.api.map_version;
            if let Some(publish) = patched
                && self.api.marker == MarkerEntry::Published(publish)
            {
                self.operators[operator].map = Some((version, MarkerEntry::Published(publish)));
            }
            if let Some(landed) = landed {
                self.note_landed(operator, &landed);
            }
        } else {
            // What has become of it is seen in the map.
            self.learn_map(operator);
        }
        self.requeue(operator, Duration::ZERO);
    }

    /// Who was known when a publish landed: each of them has to have applied it before it has a figure.
    fn note_landed(&mut self, operator: usize, landed: &AcceptedPublish) {
        let leader = &self.operators[operator];
        let lives = |index: &usize| self.processes[*index].alive && !self.processes[*index].handles.is_empty();
        let received_reports = leader
            .received_reports
            .iter()
            .filter(|(index, received_reports)| !received_reports.drained() && !leader.dropped.contains(index));
        let received_reports = received_reports.map(|(index, _)| *index);
        let members = received_reports.filter(lives).collect();
        let members = Members { members, detected: landed.times.detected };
        self.operators[operator].landed.insert(landed.publish.updated_at, members);
    }

    pub fn write_marker(&mut self, marker: MarkerEntry) {
        self.api.map_version += 1;
        self.api.marker = marker;
        for operator in 0..self.operators.len() {
            self.show_map(operator);
        }
        self.notify_processes();
    }

    pub fn write_marker_by_hand(&mut self, marker: MarkerEntry) {
        self.api.edited = true;
        // A name that nobody has written down, and that is overwritten, is known to nobody.
        self.api.last_name = self.api.status.as_ref().and_then(Claim::last_name);
        self.write_marker(marker);
    }

    pub fn edit_marker(&mut self, number: u8, later: bool) {
        let MarkerEntry::Published(publish) = self.api.marker else { return };
        let offset = if later { SignedDuration::from_secs(30) } else { SignedDuration::from_secs(-30) };
        let time = publish.updated_at.timestamp().checked_add(offset).unwrap_or_default();
        let edited = Publish { fingerprint: content(number), updated_at: UpdatedAt::after(None, time) };
        self.api.before_edit = Some(self.api.marker);
        self.write_marker_by_hand(MarkerEntry::Published(edited));
    }

    fn report_status(&mut self, operator: usize) {
        let (now, wall) = (self.now, self.wall_of(operator));
        let busy = self.operators[operator].turned_away;
        let leader = &mut self.operators[operator];
        let observed = leader.observed();
        let Some(fleet) = &mut leader.fleet else { return };
        fleet.turned_away(busy);
        fleet.observe(observed);
        let view = fleet.view(now);
        let next = view.next_change;
        self.check_view(operator, &view);
        let claim = self.claim(operator, &view, wall);
        self.log(|| {
            let millis = view.millis.and_then(|millis| millis.all);
            format!(
                "operator {operator}: {:?}, {} of {} processes, {} unaccounted, took {millis:?}",
                view.verdict, view.applied, view.processes, view.unaccounted
            )
        });
        let cut = self.is_cut();
        let leader = &mut self.operators[operator];
        let (version, known) = &leader.status;
        let same = known.as_ref().is_some_and(|known| {
            Claim { as_of: claim.as_of, members: claim.members.clone(), ..known.clone() } == claim
        });
        if !same && !leader.writing_status && !cut {
            leader.writing_status = true;
            let (life, version) = (leader.life, *version);
            let delay = self.delay();
            self.after(delay, WorldEvent::StatusPatch { operator, life, version, claim: Box::new(claim) });
        }
        let wake = next.unwrap_or(now + INTERVAL).min(now + INTERVAL).max(now + Duration::from_millis(1));
        self.requeue(operator, wake.saturating_sub(now));
    }

    fn claim(&self, operator: usize, view: &FleetView, as_of: Timestamp) -> Claim {
        let leader = &self.operators[operator];
        let published = leader.publisher.published();
        let mut history = leader.status.1.as_ref().map(|claim| claim.history.clone()).unwrap_or_default();
        if let Some(publish) = published {
            if history.first().is_none_or(|(name, _)| *name != publish.updated_at) {
                history.insert(0, (publish.updated_at, None));
                history.truncate(HISTORY);
            }
            if let (Some((_, figure)), Some(millis)) = (history.first_mut(), view.millis) {
                *figure = figure.or(millis.all);
            }
        }
        let counts = |(index, received_reports): (&usize, &ReceivedReport)| {
            let gone = received_reports.drained() || leader.dropped.contains(index) || !self.processes[*index].alive;
            (!gone).then_some(*index)
        };
        let still_unaccounted = leader
            .inherited
            .iter()
            .copied()
            .filter(|index| view.unaccounted > 0 && !leader.received_reports.contains_key(index));
        let members = leader.received_reports.iter().filter_map(counts).chain(still_unaccounted).collect();
        let converged = view.verdict == Verdict::Converged;
        let counted = (view.processes + view.unaccounted) as usize;
        Claim { published, converged, history, counted, members, as_of }
    }

    pub fn status_arrives(&mut self, operator: usize, life: u64, version: u64, claim: Claim) {
        let accepted = version == self.api.status_version;
        if accepted {
            self.api.status_version += 1;
            self.api.status = Some(claim.clone());
            let leader = self.lease.filter(|leader| *leader != operator || self.operators[operator].life != life);
            if let Some(leader) = leader {
                // The watch brings what somebody else has written.
                self.operators[leader].status = (self.api.status_version, self.api.status.clone());
                self.requeue(leader, Duration::from_millis(50));
            }
        }
        let answer = accepted.then(|| Box::new((self.api.status_version, claim)));
        let delay = self.delay();
        self.after(delay, WorldEvent::StatusAnswer { operator, life, claim: answer });
    }

    pub fn status_answered(&mut self, operator: usize, life: u64, claim: Option<(u64, Claim)>) {
        if self.operators[operator].life != life {
            return;
        }
        self.operators[operator].writing_status = false;
        let stored = (self.api.status_version, self.api.status.clone());
        let known = match claim {
            Some((version, claim)) if version == stored.0 => (version, Some(claim)),
            // The watch brings the object as it is.
            _ => stored,
        };
        self.operators[operator].status = known;
        self.requeue(operator, Duration::from_millis(20));
    }

    pub fn forge_status(&mut self) {
        let Some(status) = &mut self.api.status else { return };
        status.converged = true;
        self.api.status_version += 1;
        let stored = (self.api.status_version, self.api.status.clone());
        if let Some(leader) = self.lease {
            self.operators[leader].status = stored;
            self.requeue(leader, Duration::from_millis(20));
        }
    }

    pub fn report_arrives(&mut self, process: usize, handle: u64, report: &Report) {
        let now = self.now;
        let delay = self.delay();
        let refused = WorldEvent::Answer { process, handle, answer: None };
        let Some(operator) = self.lease.filter(|operator| self.leads(*operator)) else {
            return self.after(delay, refused);
        };
        if now < self.faults.busy {
            self.operators[operator].turned_away = now;
            return self.after(delay, refused);
        }
        let pod = self.processes[process].pod.map(|pod| self.pods[pod].uid.clone());
        let pod = pod.map(|uid| PodIdentity { name: uid.clone(), uid });
        let jitter = self.rng.f64();
        let leader = &mut self.operators[operator];
        let published = leader.publisher.published();
        let Some(fleet) = &mut leader.fleet else { return self.after(delay, refused) };
        let before = fleet.view(now).verdict;
        let taken = fleet.report(report, pod, now, jitter);
        let after = fleet.view(now).verdict;
        let answer = ReportResponse {
            fingerprint: published.map(|publish| publish.fingerprint.to_string()),
            updated_at: published.map(|publish| publish.updated_at),
            revision: None,
            verified_ms_ago: Some(0),
            stale_after_ms: 300_000,
            next_report_in_ms: u64::try_from(taken.next.as_millis()).unwrap_or(0),
            report_applied_within_ms: u64::try_from(taken.applied_within.as_millis()).unwrap_or(0),
            siblings: taken.siblings,
        };
        let received_reports = self.note_report(operator, process, report);
        self.log(|| format!("operator {operator} hears process {process}: {:?} {:?}", report.state, report.updated_at));
        if let (Some(received_reports), Some(publish)) = (received_reports, published) {
            self.check_report(before, after, &received_reports, publish);
        }
        if taken.news {
            self.requeue(operator, Duration::from_millis(20));
        }
        if self.is_lost() {
            return self.after(Duration::from_secs(2), WorldEvent::Answer { process, handle, answer: None });
        }
        self.after(delay, WorldEvent::Answer { process, handle, answer: Some(Box::new(answer)) });
    }

    fn note_report(&mut self, operator: usize, process: usize, report: &Report) -> Option<ReceivedReport> {
        let now = self.now;
        let sequence = report.sequence.unwrap_or(0);
        let known = self.operators[operator].received_reports.get(&process);
        if known.is_some_and(|known| known.sequence >= sequence) {
            return None;
        }
        let publish = report.fingerprint.as_ref().and_then(|text| text.parse().ok()).zip(report.updated_at);
        let publish = publish.map(|(fingerprint, updated_at)| Publish { fingerprint, updated_at });
        let first = known.map_or(now, |known| known.first);
        let received_reports = ReceivedReport { sequence, state: report.state, publish, received: now, first };
        self.operators[operator].received_reports.insert(process, received_reports.clone());
        self.operators[operator].dropped.remove(&process);
        Some(received_reports)
    }
}
