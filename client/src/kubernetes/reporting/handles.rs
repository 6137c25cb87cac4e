//! The handles of this process, across all runtimes and all [`Cluster`](crate::kubernetes::Cluster) objects. To the
//! operator, all handles on one workspace are one process, and each report covers all of them.
//!
//! Handles that reach the API server by different URLs may follow one workspace, which a process can't know. So it has an
//! id for each [`FollowedWorkspace`], and such handles are two processes to the operator. A forked process has ids of its
//! own, and none of the handles of its parent.
//!
//! A handle counts from the moment when it begins to follow until nothing can be resolved from it any more. A handle
//! whose follower has panicked, or whose runtime has ended, still resolves its last publish and counts with it: the
//! other handles report it. If there are none, the process stops reporting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use rototo_api::fleet::ProcessState;
use rototo_protocol::Publish;
use rototo_protocol::follower::{ReportedState, combine};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// The workspace that a handle follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FollowedWorkspace {
    /// The URL of the API server.
    pub(in crate::kubernetes) cluster: String,
    pub(in crate::kubernetes) namespace: String,
    pub(in crate::kubernetes) workspace: String,
}

/// The registration of one handle among the handles of this process. Dropping it removes the handle.
#[derive(Debug, Default)]
pub(crate) struct HandleRegistration {
    entered: OnceLock<(FollowedWorkspace, u64)>,
    /// The application may speak before the handle begins to follow.
    degraded: watch::Sender<Option<Degraded>>,
}

/// The application's verdict that it is degraded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Degraded {
    /// A code of the application.
    pub(in crate::kubernetes) reason: String,
    /// The time since which it is degraded, whatever the reason was at first.
    pub(in crate::kubernetes) since: Instant,
}

/// The combined state of all handles at one moment, as a report contains it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CombinedState {
    /// The id of the process in its reports on this workspace.
    pub(super) process: String,
    pub(super) reported: ReportedState,
    /// The time since which all handles run the publish of `reported`; `None` if one of them does not.
    pub(super) applied: Option<Instant>,
    /// The time since which a handle is degraded, if one is.
    pub(super) degraded: Option<Instant>,
    /// The time at which the process opened the workspace, with no time since without a handle, or until it drained.
    pub(super) opened: Option<Instant>,
    /// The time at which the process drained, if it has.
    pub(super) drained: Option<Instant>,
    /// The number of handles.
    pub(super) handles: u32,
    /// The number of this combined state in this process. Later moments have higher numbers.
    pub(super) sequence: u64,
}

impl CombinedState {
    /// Returns whether the process has closed its last handle.
    pub(crate) fn is_drained(&self) -> bool {
        self.handles == 0
    }
}

/// The state of one handle, its last applied publish with the time of the swap, and the time since which it is degraded.
struct HandleState {
    reported: ReportedState,
    applied: Option<(Publish, Instant)>,
    degraded: Option<Instant>,
}

/// The open handles on one workspace. There is at least one.
struct Followed {
    handles: BTreeMap<u64, HandleState>,
    /// Whether the process prepares announced publishes.
    prepares: bool,
    /// The time since which the process has had the workspace open.
    opened: Instant,
}

/// A workspace that this process has drained.
struct Drained {
    /// The last handle to leave.
    last: u64,
    opened: Instant,
    at: Instant,
}

#[derive(Default)]
struct Handles {
    /// The PID of the process whose handles they are.
    pid: u32,
    ids: HashMap<FollowedWorkspace, String>,
    followed: HashMap<FollowedWorkspace, Followed>,
    drained: HashMap<FollowedWorkspace, Drained>,
    opened: u64,
    reports: u64,
}

static HANDLES: LazyLock<Mutex<Handles>> = LazyLock::new(Mutex::default);

fn handles() -> MutexGuard<'static, Handles> {
    // No change below can panic half-way, so a poisoned lock may be used.
    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    handles.belong_to(std::process::id());
    handles
}

impl HandleRegistration {
    /// Adds the handle, which begins to follow and resolves nothing yet. Returns whether it prepares announced publishes: the
    /// first handle of the process decides for all, as the operator knows the process alone. This one wants `prepares`.
    pub(crate) fn enter(&self, followed: FollowedWorkspace, prepares: bool) -> bool {
        let (followed, _) = self.entered.get_or_init(|| handles().open(followed, prepares));
        handles().followed.get(followed).map_or(prepares, |all| all.prepares)
    }

    /// Takes the health that the application states: degraded, with this code, or well.
    pub(crate) fn report_health(&self, degraded: Option<String>) {
        self.degraded.send_if_modified(|known| {
            let since = known.as_ref().map_or_else(Instant::now, |known| known.since);
            let now = degraded.map(|reason| Degraded { reason, since });
            let changed = *known != now;
            *known = now;
            changed
        });
    }

    /// Returns the application's verdict, now and from now on.
    pub(crate) fn health(&self) -> watch::Receiver<Option<Degraded>> {
        let mut health = self.degraded.subscribe();
        // What was said before is new to the follower.
        health.mark_changed();
        health
    }

    /// Records the state of the handle. The caller has already swapped, and has not reported yet.
    pub(crate) fn update(
        &self,
        reported: ReportedState,
        applied: Option<(Publish, Instant)>,
        degraded: Option<Instant>,
    ) {
        let Some((followed, id)) = self.entered.get() else { return };
        let mut handles = handles();
        if let Some(handle) = handles.followed.get_mut(followed).and_then(|all| all.handles.get_mut(id)) {
            *handle = HandleState { reported, applied, degraded };
        }
    }

    /// Returns the combined state for a report; `None` if the handle is not among the handles of this process: it never
    /// began to follow, has left, or was opened by the parent of a forked process.
    pub(crate) fn combined(&self) -> Option<CombinedState> {
        let (followed, id) = self.entered.get()?;
        let mut handles = handles();
        handles.is_open(followed, *id).then(|| handles.combined(followed))
    }

    /// Removes the handle: nothing will be resolved from it any more. Returns the combined state for a report: that of
    /// the other handles, or that the process drains if there are none. Returns `None` if the handle was removed
    /// before.
    pub(crate) fn leave(&self) -> Option<CombinedState> {
        let (followed, id) = self.entered.get()?;
        let mut handles = handles();
        handles.close(followed, *id).then(|| handles.combined(followed))
    }

    /// Returns the combined state of a process that has drained; `None` if another handle left later, or has been
    /// added.
    pub(crate) fn drained(&self) -> Option<CombinedState> {
        let (followed, id) = self.entered.get()?;
        let mut handles = handles();
        let last = handles.drained.get(followed).map(|drained| drained.last);
        (last == Some(*id)).then(|| handles.combined(followed))
    }
}

impl Drop for HandleRegistration {
    fn drop(&mut self) {
        if let Some((followed, id)) = self.entered.get() {
            handles().close(followed, *id);
        }
    }
}

impl Handles {
    /// Forgets the handles and the ids of the parent if the process of this PID was forked. The numbers go on: that of a
    /// forgotten handle is never given again.
    fn belong_to(&mut self, pid: u32) {
        if self.pid != pid {
            *self = Self { pid, opened: self.opened, reports: self.reports, ..Self::default() };
        }
    }

    fn open(&mut self, followed: FollowedWorkspace, prepares: bool) -> (FollowedWorkspace, u64) {
        self.opened += 1;
        let reported = ReportedState::without_content(ProcessState::Starting);
        self.drained.remove(&followed);
        let first = || Followed { handles: BTreeMap::new(), prepares, opened: Instant::now() };
        let all = self.followed.entry(followed.clone()).or_insert_with(first);
        all.handles.insert(self.opened, HandleState { reported, applied: None, degraded: None });
        (followed, self.opened)
    }

    fn is_open(&self, followed: &FollowedWorkspace, id: u64) -> bool {
        self.followed.get(followed).is_some_and(|all| all.handles.contains_key(&id))
    }

    /// Returns whether the handle was open.
    fn close(&mut self, followed: &FollowedWorkspace, id: u64) -> bool {
        let Some(all) = self.followed.get_mut(followed) else { return false };
        let was_open = all.handles.remove(&id).is_some();
        if all.handles.is_empty() {
            let drained = Drained { last: id, opened: all.opened, at: Instant::now() };
            self.followed.remove(followed);
            self.drained.insert(followed.clone(), drained);
        }
        was_open
    }

    fn combined(&mut self, followed: &FollowedWorkspace) -> CombinedState {
        self.reports += 1;
        let none = BTreeMap::new();
        let (open, was_open) = (self.followed.get(followed), self.drained.get(followed));
        let all = open.map_or(&none, |open| &open.handles);
        let drained = ReportedState::without_content(ProcessState::Draining);
        let reported = combine(all.values().map(|handle| &handle.reported)).unwrap_or(drained);
        let process = self.ids.entry(followed.clone()).or_insert_with(|| Uuid::new_v4().to_string());
        CombinedState {
            process: process.clone(),
            applied: applied(all, &reported),
            degraded: all.values().filter_map(|handle| handle.degraded).min(),
            reported,
            opened: open.map(|open| open.opened).or(was_open.map(|drained| drained.opened)),
            drained: was_open.map(|drained| drained.at),
            handles: u32::try_from(all.len()).unwrap_or(u32::MAX),
            sequence: self.reports,
        }
    }
}

/// Returns the time at which the last handle applied the publish of `reported`; `None` unless all of them run it.
fn applied(all: &BTreeMap<u64, HandleState>, reported: &ReportedState) -> Option<Instant> {
    let publish = reported.publish.filter(|_| reported.state != ProcessState::Rejected)?;
    let times = all.values().map(|handle| handle.applied.filter(|(applied, _)| *applied == publish));
    let times: Option<Vec<Instant>> = times.map(|applied| applied.map(|(_, at)| at)).collect();
    times?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns a workspace that no other test follows.
    fn workspace(name: &str) -> FollowedWorkspace {
        FollowedWorkspace {
            cluster: "https://handles".to_owned(),
            namespace: "prod".to_owned(),
            workspace: name.to_owned(),
        }
    }

    fn opened(name: &str) -> HandleRegistration {
        let registration = HandleRegistration::default();
        registration.enter(workspace(name), true);
        registration
    }

    /// `a@1`: content a, published at second 1.
    fn publish(text: &str) -> Publish {
        let (content, second) = text.split_once('@').unwrap();
        Publish {
            fingerprint: format!("sha256:{}", content.repeat(64)).parse().unwrap(),
            updated_at: format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap(),
        }
    }

    fn reported(state: ProcessState, named: &str) -> ReportedState {
        let reason = (state == ProcessState::Rejected).then_some("check_failed");
        ReportedState { publish: Some(publish(named)), reason, ..ReportedState::without_content(state) }
    }

    fn applies(registration: &HandleRegistration, named: &str, at: Instant) {
        registration.update(reported(ProcessState::Applied, named), Some((publish(named), at)), None);
    }

    #[test]
    fn a_refusal_of_one_handle_is_in_every_report_until_that_handle_leaves() {
        let (first, second) = (opened("refusal"), opened("refusal"));
        first.update(reported(ProcessState::Rejected, "b@2"), Some((publish("a@1"), Instant::now())), None);
        applies(&second, "b@2", Instant::now());
        for registration in [&first, &second] {
            let combined = registration.combined().unwrap();
            assert_eq!((combined.reported, combined.handles), (reported(ProcessState::Rejected, "b@2"), 2));
            assert_eq!(combined.applied, None);
        }
        let combined = first.leave().unwrap();
        assert_eq!((combined.reported, combined.handles), (reported(ProcessState::Applied, "b@2"), 1));
    }

    #[test]
    fn a_report_says_since_when_the_process_has_had_the_workspace_open_or_has_not() {
        let before = Instant::now();
        let first = opened("since");
        let since = |registration: &HandleRegistration| registration.combined().unwrap().opened.unwrap();
        let opened_first = since(&first);
        assert!(opened_first >= before);
        let second = opened("since");
        assert_eq!(since(&second), opened_first, "the process had it open before");
        first.leave().unwrap();
        assert_eq!(since(&second), opened_first, "and never closed it");
        let drained = second.leave().unwrap();
        assert_eq!(drained.opened, Some(opened_first));
        assert!(drained.drained.unwrap() >= opened_first);
        let third = opened("since");
        let combined = third.combined().unwrap();
        assert!(combined.opened > drained.drained);
        assert_eq!(combined.drained, None);
    }

    #[test]
    fn handles_that_name_the_api_server_differently_report_as_two_processes() {
        let (service, by_address) = (opened("two-urls"), HandleRegistration::default());
        by_address.enter(FollowedWorkspace { cluster: "https://10.96.0.1/".to_owned(), ..workspace("two-urls") }, true);
        let process = |registration: &HandleRegistration| registration.combined().unwrap().process;
        assert_ne!(process(&service), process(&by_address));
        let second = opened("two-urls");
        assert_eq!(process(&service), process(&second));
        let before = process(&service);
        drop((service, second));
        assert_eq!(process(&opened("two-urls")), before, "the process is the same after it drained");
    }

    #[test]
    fn a_forked_process_has_ids_of_its_own_and_no_handle_of_its_parent() {
        let mut handles = Handles::default();
        handles.belong_to(1);
        let (followed, of_parent) = handles.open(workspace("fork"), true);
        let parent = handles.combined(&followed).process;
        handles.belong_to(1);
        assert!(handles.is_open(&followed, of_parent) && handles.combined(&followed).process == parent);
        handles.belong_to(2);
        assert!(!handles.is_open(&followed, of_parent));
        let (_, own) = handles.open(followed.clone(), true);
        let child = handles.combined(&followed);
        assert_eq!((child.handles, child.reported.state), (1, ProcessState::Starting));
        assert_ne!(child.process, parent);
        assert!(!handles.close(&followed, of_parent), "the end of an inherited handle concerns nobody");
        assert!(handles.close(&followed, own));
    }

    #[test]
    fn a_process_is_degraded_since_the_first_of_its_handles_and_while_one_is() {
        let (first, second) = (opened("degraded"), opened("degraded"));
        let degraded = |registration: &HandleRegistration, since| {
            let state = ReportedState { degraded: Some("errors".to_owned()), ..reported(ProcessState::Applied, "a@1") };
            registration.update(state, None, Some(since));
        };
        let (early, late) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        degraded(&first, late);
        degraded(&second, early);
        let combined = first.combined().unwrap();
        assert_eq!((combined.reported.degraded.as_deref(), combined.degraded), (Some("errors"), Some(early)));
        applies(&second, "a@1", early);
        assert_eq!(first.combined().unwrap().degraded, Some(late));
        applies(&first, "a@1", early);
        let combined = first.combined().unwrap();
        assert_eq!((combined.reported.degraded, combined.degraded), (None, None));
    }

    #[test]
    fn an_application_stays_degraded_since_it_first_said_so() {
        let registration = HandleRegistration::default();
        registration.report_health(Some("errors".to_owned()));
        let mut health = registration.health();
        let first = health.borrow_and_update().clone().unwrap();
        registration.report_health(Some("errors".to_owned()));
        assert!(!health.has_changed().unwrap(), "nothing new was said");
        registration.report_health(Some("latency".to_owned()));
        let second = health.borrow_and_update().clone().unwrap();
        assert_eq!((second.reason.as_str(), second.since), ("latency", first.since));
        registration.report_health(None);
        assert_eq!(*health.borrow_and_update(), None);
        registration.report_health(Some("errors".to_owned()));
        assert!(health.borrow_and_update().clone().unwrap().since > first.since);
    }

    #[test]
    fn a_handle_that_has_just_been_opened_runs_nothing_yet() {
        let first = opened("just-opened");
        applies(&first, "b@2", Instant::now());
        let second = opened("just-opened");
        let combined = first.combined().unwrap();
        assert_eq!((combined.reported.state, combined.reported.publish), (ProcessState::Starting, None));
        drop(second);
        assert_eq!(first.combined().unwrap().reported, reported(ProcessState::Applied, "b@2"));
    }

    #[test]
    fn the_process_has_applied_a_publish_when_its_last_handle_has() {
        let (first, second) = (opened("last"), opened("last"));
        let (early, late) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        applies(&first, "b@2", late);
        applies(&second, "a@1", early);
        assert_eq!(first.combined().unwrap().applied, None, "the second runs something else");
        applies(&second, "b@2", early);
        assert_eq!(first.combined().unwrap().applied, Some(late));
    }

    #[test]
    fn the_first_handle_decides_whether_the_process_prepares() {
        let open = |prepares| {
            let registration = HandleRegistration::default();
            let decided = registration.enter(workspace("prepares"), prepares);
            (registration, decided)
        };
        let (first, decided) = open(true);
        assert!(decided);
        let (second, decided) = open(false);
        assert!(decided, "one process has one answer");
        drop(first);
        let (third, decided) = open(false);
        assert!(decided, "the process is the same as long as a handle is open");
        drop((second, third));
        let (_fourth, decided) = open(false);
        assert!(!decided, "a process that begins anew decides anew");
    }

    #[test]
    fn only_the_last_handle_drains_the_process() {
        // On one thread as on two, whatever runtime and cluster object the handle came from.
        let (first, second, other) = (opened("drain"), opened("drain"), opened("other"));
        applies(&second, "b@2", Instant::now());
        let leave_twice = move || (first.leave().unwrap(), first.leave());
        let (combined, again) = std::thread::spawn(leave_twice).join().unwrap();
        assert_eq!(again, None, "it has left");
        assert_eq!((combined.reported, combined.handles), (reported(ProcessState::Applied, "b@2"), 1));
        let combined = second.leave().unwrap();
        assert_eq!((combined.reported.state, combined.handles), (ProcessState::Draining, 0));
        assert_eq!(second.leave(), None, "the process drains once");
        assert_eq!(other.combined().unwrap().handles, 1);
    }

    #[test]
    fn a_process_has_drained_until_another_handle_opens() {
        let (first, second) = (opened("drained"), opened("drained"));
        first.leave();
        assert_eq!(first.drained(), None);
        second.leave();
        assert_eq!(first.drained(), None, "another handle closed later");
        let combined = second.drained().unwrap();
        assert_eq!((combined.reported.state, combined.handles), (ProcessState::Draining, 0));
        let third = opened("drained");
        assert_eq!(second.drained(), None);
        third.leave();
        assert_eq!(second.drained(), None);
        assert!(third.drained().is_some());
    }

    #[test]
    fn a_handle_that_is_opened_again_reports_after_the_one_that_drained() {
        let first = opened("again");
        let before = first.combined().unwrap();
        let drained = first.leave().unwrap();
        let again = opened("again").combined().unwrap();
        assert!(before.sequence < drained.sequence && drained.sequence < again.sequence);
        assert_eq!((again.reported.state, again.handles), (ProcessState::Starting, 1));
    }

    #[test]
    fn later_states_have_higher_numbers() {
        // Two threads each update a handle of their own. The publish that both run only grows, so it must grow with the
        // numbers.
        let publishes = ["a@1", "b@2", "c@3", "d@4", "e@5", "f@6"];
        let run = move || {
            let registration = opened("order");
            let mut reports = Vec::new();
            for named in publishes.into_iter().cycle().take(6) {
                applies(&registration, named, Instant::now());
                reports.push(registration.combined().unwrap());
            }
            (registration, reports)
        };
        let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(run)).collect();
        let (handles, reports): (Vec<_>, Vec<_>) = threads.into_iter().map(|thread| thread.join().unwrap()).unzip();
        let mut reports: Vec<CombinedState> =
            reports.into_iter().flatten().filter(|combined| combined.handles == 2).collect();
        reports.sort_by_key(|combined| combined.sequence);
        let named = reports.iter().map(|combined| combined.reported.publish.map(|publish| publish.updated_at));
        assert!(named.is_sorted());
        drop(handles);
    }

    #[test]
    fn a_handle_counts_as_long_as_somebody_holds_it() {
        let (first, second) = (opened("held"), opened("held"));
        applies(&first, "a@1", Instant::now());
        applies(&second, "b@2", Instant::now());
        // The follower of the first handle is gone and can't report, and its content still counts.
        assert_eq!(second.combined().unwrap().reported, reported(ProcessState::Pending, "a@1"));
        drop(first);
        assert_eq!(second.combined().unwrap().reported, reported(ProcessState::Applied, "b@2"));
    }
}
