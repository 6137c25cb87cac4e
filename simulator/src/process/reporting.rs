//! The reports of a process, and the responses to them.

use std::time::Duration;

use rototo_api::fleet::{Pid, ProcessState, Report, ReportResponse, SiblingState, Testimony};
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{FollowerEvent as Happened, ReportedNext, ReportedState, combine, next_drained_report};

use crate::script::Client;
use crate::state::event::Event;
use crate::state::handle::Handle;
use crate::state::world::World;

impl World {
    /// Sends a report of all handles of a process, on behalf of one of them.
    pub fn report(&mut self, process: usize, id: u64) {
        let now = self.now;
        let one = &self.processes[process];
        // The handles of an older client each speak for themselves.
        let speaks = |handle: &&Handle| one.client != Client::Older || handle.id == id;
        let reported_states: Vec<_> = one.handles.iter().filter(speaks).map(|handle| handle.reported(now)).collect();
        let Some(reported) = combine(&reported_states) else { return };
        let (state, publish) = match reported.state {
            // A newer client has another name for being on the way, and names what it works on.
            ProcessState::Starting | ProcessState::Pending if one.client == Client::Newer => {
                let shown = one.handles.iter().find(|handle| handle.id == id).and_then(Handle::shown);
                (ProcessState::Unknown, shown)
            }
            state => (state, reported.publish),
        };
        let applied = publish.and_then(|publish| one.applied_at(publish));
        let ago = applied.map(|at| now.saturating_sub(at));
        self.send(process, id, &ReportedState { state, publish, ..reported }, ago);
    }

    pub fn send(&mut self, process: usize, id: u64, reported: &ReportedState, ago: Option<Duration>) {
        let now = self.now;
        let asked = std::mem::take(&mut self.processes[process].asked);
        let siblings = asked.into_iter().map(|pid| Testimony { pid, fate: self.fate_of(pid) }).collect();
        let name = format!("process-{}", self.number_in_pod(process));
        let one = &mut self.processes[process];
        one.sequence += 1;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let oldest = Report {
            process: name,
            version: String::new(),
            engine_level: 1,
            fingerprint: reported.publish.map(|publish| publish.fingerprint.to_string()),
            updated_at: reported.publish.map(|publish| publish.updated_at),
            state: reported.state,
            applied_ms_ago: ago.map(millis),
            ..Report::default()
        };
        let report = match one.client {
            Client::Older => oldest,
            Client::Current | Client::Newer => Report {
                sequence: Some(one.sequence),
                handles: u32::try_from(one.handles.len()).ok(),
                container: Some("app".to_owned()).filter(|_| process.is_multiple_of(2)),
                started_ms_ago: Some(millis(now.saturating_sub(one.started))),
                opened_ms_ago: Some(millis(now.saturating_sub(one.follows_since()))),
                drained_ms_ago: one.drained().map(|(_, at)| millis(now.saturating_sub(at))),
                started_at: Some(one.started_at),
                pid: one.pid(process),
                siblings,
                prepares: reported.prepares,
                next: reported.next.map(ReportedNext::to_preparation),
                ..oldest
            },
        };
        self.log(|| {
            format!("process {process} reports {:?} {:?}", reported.state, reported.publish.map(crate::violation::name))
        });
        let cut = now < self.processes[process].cut_from_operator;
        if cut || self.is_lost() {
            return self.after(Duration::from_secs(2), Event::Answer { process, handle: id, answer: None });
        }
        let delay = self.delay();
        if self.network_faults > 10 && self.rng.u8(0..8) == 0 {
            // No report is under way for longer than a recount lasts, as its sender has given it up by then.
            let again = self.delay();
            self.after(again, Event::Report { process, handle: u64::MAX, report: Box::new(report.clone()) });
        }
        self.after(delay, Event::Report { process, handle: id, report: Box::new(report) });
    }

    /// Processes of different pods have the same names: only together with the pod they mean one.
    fn number_in_pod(&self, process: usize) -> usize {
        let pod = self.processes[process].pod;
        self.processes[..process].iter().filter(|other| other.pod == pod).count()
    }

    fn fate_of(&self, pid: Pid) -> SiblingState {
        let index = usize::try_from(pid.pid).unwrap_or(1).saturating_sub(1);
        if self.processes.get(index).is_some_and(|process| process.alive) {
            SiblingState::Alive
        } else {
            SiblingState::Gone
        }
    }

    pub fn answer_arrives(&mut self, process: usize, handle: u64, answer: Option<Box<ReportResponse>>) {
        if !self.processes[process].alive {
            return;
        }
        if self.handle_of(process, handle).is_none() {
            return self.repeat_drained_after(process, handle, answer.as_deref());
        }
        let kept = answer.clone();
        if !self.awake(process, || Event::Answer { process, handle, answer: kept }) {
            return;
        }
        match answer {
            Some(answer) => {
                self.processes[process].asked.clone_from(&answer.siblings);
                self.happens(process, handle, Happened::Answered(*answer));
            }
            None => self.happens(process, handle, Happened::ReportFailed(Fault::transient("report_failed", ""))),
        }
    }

    /// Says that the process has drained, through the last handle that it closed, as long as that is true.
    pub fn report_drained(&mut self, process: usize, handle: u64) {
        if !self.awake(process, || Event::Drained { process, handle }) {
            return;
        }
        if self.processes[process].drained().is_some_and(|(last, _)| last == handle) {
            self.send(process, handle, &ReportedState::without_content(ProcessState::Draining), None);
        }
    }

    fn repeat_drained_after(&mut self, process: usize, handle: u64, answer: Option<&ReportResponse>) {
        let one = &self.processes[process];
        if one.client != Client::Older && one.drained().is_some_and(|(last, _)| last == handle) {
            let pause = next_drained_report(answer);
            self.after(pause, Event::Drained { process, handle });
        }
    }
}
