//! Follows one workspace: turns what the world does into events, lets the state decide, and does what it says.
//!
//! Everything runs in one task, so there is one place where a workspace is swapped in, and ending that task ends it all.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rototo_api::fleet::{Answer, Pid, Testimony};
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{Action, Bell, Disk, Event, Standing, State, Tick, heartbeat, step};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::cluster::Joined;
use super::doorbell::Doorbell;
use super::drained::{Drained, REPEATED_AFTER};
use super::endpoint::Endpoint;
use super::presence::{Account, Followed, Presence};
use super::process::PROCESS;
use super::sight::Sight;
use super::slot::Slot;
use super::snapshots::{Failure, Loaded, Snapshots};
use super::target::Target;
use super::{PATH, reports, story};
use crate::current::Current;
use crate::error::Error;
use crate::refreshing::{RefreshAsked, RefreshOutcome};
use crate::workspace::Workspace;

/// A process that ends tells the operator, but does not wait for it for long.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Follows `target` until `stop`.
pub(crate) async fn follow(
    target: Target,
    current: Arc<Current>,
    asked: mpsc::Receiver<RefreshAsked>,
    stop: CancellationToken,
) {
    let joined = tokio::select! {
        joined = target.join(&current) => joined,
        () = stop.cancelled() => return,
    };
    Follower::new(target, joined, current, asked).follow(stop).await;
}

pub(super) struct Follower {
    target: Target,
    namespace: String,
    current: Arc<Current>,
    doorbell: Arc<Doorbell>,
    presence: Arc<Presence>,
    /// The processes of this pod that the operator asks about, and what was said of them last.
    siblings: (Vec<Pid>, Vec<Testimony>),
    sight: watch::Receiver<Sight>,
    heard: (u64, Option<Bell>),
    asked: mpsc::Receiver<RefreshAsked>,
    /// Who asked to look, and what ran then.
    waiting: Vec<(RefreshAsked, Option<Publish>)>,
    began: Instant,
    state: State,
    snapshots: Arc<Snapshots>,
    /// Held so that the connection is kept between requests.
    endpoint: Option<Arc<Endpoint>>,
    fetch: Slot<(Fingerprint, Loaded)>,
    /// What was applied last, and when.
    applied: Option<(Publish, Instant)>,
    /// Loaded, and about to be swapped in.
    loaded: Option<Workspace>,
    report: Slot<Result<Answer, Fault>>,
    recall: Slot<Option<(Publish, Workspace)>>,
    keep: Slot<()>,
}

impl Follower {
    pub(super) fn new(
        target: Target,
        Joined { cluster, namespace, doorbell }: Joined,
        current: Arc<Current>,
        asked: mpsc::Receiver<RefreshAsked>,
    ) -> Self {
        let mut sight = doorbell.sight();
        // What the doorbell already shows is news to whoever joins it.
        sight.mark_changed();
        let cache = target.cache_dir.as_ref().map(|directory| Cache::new(directory, &namespace, &target.workspace));
        let disk = if cache.is_some() { Disk::Given } else { Disk::None };
        let state = State::new(target.stale_after, disk);
        let snapshots = Snapshots {
            namespace: namespace.clone(),
            workspace: target.workspace.clone(),
            source: target.source.clone(),
            checks: target.checks.clone(),
            cache,
            direct: target.direct.clone(),
        };
        let (presence, workspace) = (target.presence.clone(), target.workspace.clone());
        presence.enter(Followed { cluster, namespace: namespace.clone(), workspace });
        Self {
            state,
            snapshots: Arc::new(snapshots),
            presence,
            siblings: (Vec::new(), Vec::new()),
            target,
            namespace,
            current,
            doorbell,
            sight,
            heard: (0, None),
            asked,
            waiting: Vec::new(),
            began: Instant::now(),
            endpoint: None,
            fetch: Slot::empty(),
            applied: None,
            loaded: None,
            report: Slot::empty(),
            recall: Slot::empty(),
            keep: Slot::empty(),
        }
    }

    pub(super) async fn follow(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.run() => {}
            () = stop.cancelled() => {}
        }
        self.drain().await;
    }

    async fn run(&mut self) {
        loop {
            for event in self.next_events().await {
                self.take(event);
            }
        }
    }

    /// Decides upon one event. Whatever is told of the outcome, by this handle or another, is told after it has happened.
    pub(super) fn take(&mut self, event: Event) {
        let before = self.state.standing(self.now());
        let mut reports = self.step(event);
        let resolves = self.resolves();
        if self.state.running() != resolves {
            tracing::error!(
                source = self.target.source,
                "what was to be swapped in was not there: it is fetched again"
            );
            reports |= self.step(Event::NotSwapped(resolves));
        }
        // What nobody waits for any more.
        self.loaded = None;
        self.presence.stands(self.state.standing(self.now()), self.applied);
        if reports {
            self.begin_report();
        }
        self.tell(&before);
    }

    /// Does everything that is decided but reporting, and says whether a report is due.
    fn step(&mut self, event: Event) -> bool {
        let tick = Tick { now: self.now(), chance: fastrand::f64() };
        let (state, actions) = step(self.state.clone(), event, tick);
        self.state = state;
        let mut reports = false;
        for action in actions {
            match action {
                Action::Fetch { fingerprint, base } => self.begin_fetch(fingerprint, base),
                Action::CancelFetch => self.fetch = Slot::empty(),
                Action::Swap(publish) => self.swap(publish),
                Action::Rename { publish, revision } => self.rename(publish, revision),
                Action::Report(_) => reports = true,
                Action::RestartWatch => self.doorbell.restart(),
                Action::Recall => self.recall = Slot::run(self.snapshots.clone().recall()),
            }
        }
        reports
    }

    /// What the application resolves from.
    fn resolves(&self) -> Option<Publish> {
        let workspace = self.current.workspace().ok()?;
        Some(Publish { fingerprint: workspace.fingerprint(), updated_at: workspace.updated_at()? })
    }

    async fn next_events(&mut self) -> Vec<Event> {
        let wake_at = self.state.wake_at(self.now()).map(|time| self.began + time);
        let timer = async {
            match wake_at {
                Some(time) => sleep_until(time).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Ok(()) = self.sight.changed() => self.hear(),
            fetched = self.fetch.next() => vec![self.fetched(fetched)],
            answer = self.report.next() => vec![self.answered(answer)],
            recalled = self.recall.next() => self.recalled(recalled).into_iter().collect(),
            () = self.keep.next() => Vec::new(),
            Some(ask) = self.asked.recv() => {
                self.waiting.push((ask, self.state.running()));
                vec![Event::RefreshAsked]
            }
            () = timer => vec![Event::Timer],
        }
    }

    fn hear(&mut self) -> Vec<Event> {
        tracing::trace!(target: PATH, workspace = self.target.workspace, "heard");
        let sight = self.sight.borrow_and_update().clone();
        let bell = sight.bell(&self.target.workspace);
        let (hydrates, last) = std::mem::replace(&mut self.heard, (sight.hydrates, Some(bell.clone())));
        let rung = match bell {
            _ if sight.hydrates == 0 => None,
            bell if sight.hydrates > hydrates => Some(Event::Hydrated(bell)),
            bell => (last.as_ref() != Some(&bell)).then_some(Event::Changed(bell)),
        };
        let watch = sight.trouble.map_or(Event::WatchRestored, Event::WatchLost);
        rung.into_iter().chain([watch]).collect()
    }

    fn fetched(&mut self, (fingerprint, fetched): (Fingerprint, Loaded)) -> Event {
        match fetched {
            Ok((workspace, supply)) => {
                self.loaded = Some(workspace);
                Event::Loaded(fingerprint, supply)
            }
            Err(Failure::Fetch(fault)) => {
                self.current.set_status(|status| status.counters.look_failures += 1);
                Event::FetchFailed(fault)
            }
            Err(Failure::Refused(fault)) => {
                self.current.set_status(|status| status.counters.refusals += 1);
                Event::Refused(fingerprint, fault)
            }
        }
    }

    fn recalled(&mut self, recalled: Option<(Publish, Workspace)>) -> Option<Event> {
        let (publish, workspace) = recalled?;
        self.loaded = Some(workspace);
        Some(Event::Recalled(publish))
    }

    fn answered(&mut self, answer: Result<Answer, Fault>) -> Event {
        if let (Err(fault), None) = (&answer, self.state.trouble_with_reports()) {
            // Said once, until it was better.
            tracing::warn!(source = self.target.source, code = fault.code, "{}", fault.message);
        }
        tracing::trace!(target: PATH, workspace = self.target.workspace, "answered");
        self.current.set_status(|status| match answer {
            Ok(_) => status.last_success = Some(Timestamp::now()),
            Err(_) => status.counters.report_failures += 1,
        });
        let answer = answer.map(|answer| self.asked_about_siblings(answer));
        answer.map_or_else(Event::ReportFailed, Event::Answered)
    }

    /// Notes what the operator asks about. A question stays in the answer only where there is something new to say.
    fn asked_about_siblings(&mut self, mut answer: Answer) -> Answer {
        let (asked, said) = &mut self.siblings;
        asked.clone_from(&answer.siblings);
        let testimony = PROCESS.testify(asked);
        if testimony.is_empty() || testimony == *said {
            answer.siblings.clear();
        }
        answer
    }

    fn begin_fetch(&mut self, fingerprint: Fingerprint, base: Option<Fingerprint>) {
        let running = self.current.workspace().ok().map(|workspace| workspace.content().clone());
        let base = running.filter(|content| Some(content.fingerprint()) == base);
        let (snapshots, endpoint) = (self.snapshots.clone(), self.endpoint());
        self.current.set_status(|status| {
            status.last_attempt = Some(Timestamp::now());
            status.counters.looks += 1;
        });
        self.fetch = Slot::run(async move { (fingerprint, snapshots.load(endpoint, fingerprint, base).await) });
    }

    /// Reports for all handles of this process.
    fn begin_report(&mut self) {
        let Some(account) = self.presence.account() else { return };
        self.current.set_status(|status| status.counters.reports += 1);
        self.report = Slot::run(self.reporting(account));
    }

    fn reporting(&mut self, account: Account) -> impl Future<Output = Result<Answer, Fault>> + Send + use<> {
        let (namespace, workspace) = (self.namespace.clone(), self.target.workspace.clone());
        let endpoint = self.endpoint();
        let testimony = PROCESS.testify(&self.siblings.0);
        self.siblings.1.clone_from(&testimony);
        async move { reports::send(&*endpoint?, &namespace, &workspace, account, testimony).await }
    }

    fn endpoint(&mut self) -> Result<Arc<Endpoint>, Fault> {
        let told = self.sight.borrow().address.clone();
        let address = self.target.pins.over(told.as_deref()).ok_or_else(|| story::no_address(&self.namespace))?;
        let endpoint = self.target.cluster.endpoint(&address, &self.target.token_file)?;
        self.endpoint = Some(endpoint.clone());
        Ok(endpoint)
    }

    fn swap(&mut self, publish: Publish) {
        let loaded = self.loaded.take().filter(|workspace| workspace.fingerprint() == publish.fingerprint);
        let Some(workspace) = loaded else { return };
        self.applied = Some((publish, Instant::now()));
        self.keep(publish, &workspace);
        self.current.swap(Arc::new(workspace.published(publish.updated_at, None)));
        tracing::trace!(target: PATH, workspace = self.target.workspace, "swapped");
        self.current.set_status(|status| {
            status.applied_at = Some(Timestamp::now());
            status.last_success = status.applied_at;
        });
    }

    fn rename(&mut self, publish: Publish, revision: Option<String>) {
        if let Ok(workspace) = self.current.workspace()
            && workspace.fingerprint() == publish.fingerprint
        {
            if workspace.updated_at() != Some(publish.updated_at) {
                self.applied = Some((publish, Instant::now()));
                self.keep(publish, &workspace);
            }
            self.current.rename(Arc::new(Workspace::clone(&workspace).published(publish.updated_at, revision)));
        }
    }

    /// Puts a copy on the disk, for which nothing waits.
    fn keep(&mut self, publish: Publish, workspace: &Workspace) {
        self.keep = Slot::run(self.snapshots.clone().keep(publish, workspace.content().clone()));
    }

    /// Shows where the process stands, and logs what changed about it.
    fn tell(&mut self, before: &Standing) {
        let now = self.now();
        let standing = self.state.standing(now);
        let running = self.current.workspace().ok();
        let trouble = story::trouble(&self.state, &self.namespace, &self.target.workspace);
        let hydrates = self.heard.0;
        if standing != *before {
            story::log(&self.target.source, &standing, trouble.as_deref());
        }
        self.current.set_status(|status| {
            status.state = self.state.shown(now);
            status.show(running.as_deref());
            status.stale = self.state.is_stale(now);
            status.refreshing = self.fetch.is_busy();
            status.consecutive_failures = u64::from(self.state.failures());
            status.last_error = trouble;
            status.hydrates = hydrates;
        });
        if self.state.is_at_rest() {
            self.answer_who_asked();
        }
    }

    fn answer_who_asked(&mut self) {
        let running = self.state.running();
        let trouble = self.current.status().last_error;
        for (ask, before) in self.waiting.drain(..) {
            let outcome = match &trouble {
                Some(reason) => {
                    Err(Error::RefreshFailed { source_name: self.target.source.clone(), reason: reason.clone() })
                }
                None if running == before => Ok(RefreshOutcome::Unchanged),
                None => Ok(RefreshOutcome::Refreshed),
            };
            // Whoever asked may have lost patience.
            drop(ask.done.send(outcome));
        }
    }

    /// Ends the handle: nothing resolves from it any more. The operator learns that it need not wait for this process, or
    /// the state of the other handles.
    async fn drain(mut self) {
        self.fetch = Slot::empty();
        self.report = Slot::empty();
        self.current.close();
        let Some(account) = self.presence.leave() else { return };
        let reporting = self.reporting(account);
        let answer = match timeout(DRAIN_LIMIT, reporting).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(fault)) => {
                tracing::debug!(source = self.target.source, code = fault.code, "{}", fault.message);
                None
            }
            Err(_) => None,
        };
        if let Ok(endpoint) = self.endpoint() {
            let (namespace, workspace) = (self.namespace, self.target.workspace);
            let drained = Drained { presence: self.presence, endpoint, namespace, workspace };
            tokio::spawn(drained.repeat(answer.as_ref().map_or(REPEATED_AFTER, heartbeat)));
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}
