//! The records of all workspaces, by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::{Fleet, FleetStart};

use crate::fleet::clock;
use crate::fleet::process_count::{FleetCount, ProcessCount};
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::workspace_key::WorkspaceKey;

/// The records of all workspaces.
#[derive(Default)]
pub(crate) struct RecordStore(Mutex<Known>);

#[derive(Default)]
struct Known {
    records: HashMap<WorkspaceKey, SharedRecord>,
    /// The workspaces that were removed, and when. Processes of them may run on.
    removed: HashMap<WorkspaceKey, Instant>,
    /// The processes of all fleets.
    processes: Arc<ProcessCount>,
}

/// The time for which a removed workspace is remembered. It is longer than any of its processes waits between two
/// reports.
pub(crate) const NAMESAKES_REMEMBERED: Duration = Duration::from_secs(2 * 3600);

impl RecordStore {
    /// Returns the record of a workspace. A new object gets a new one, also under an old name. `new` returns whether no
    /// process can run content of a workspace of this name, as far as the caller knows. After a namesake, processes may
    /// run what that one published, so the operator listens for them first. `inherited` returns the fleet whose evidence
    /// the last leader has passed on.
    pub(crate) fn of(
        &self,
        workspace: &RototoWorkspace,
        heartbeat: Duration,
        new: impl FnOnce() -> bool,
        inherited: impl FnOnce(&str) -> Option<Fleet>,
    ) -> SharedRecord {
        let uid = workspace.uid().unwrap_or_default();
        let mut all = self.lock();
        let known = all.records.get(&WorkspaceKey::of(workspace));
        if let Some(record) = known.filter(|record| record.lock().is_of(&uid)) {
            return record.clone();
        }
        let had_namesake = known.is_some() || all.removed.contains_key(&WorkspaceKey::of(workspace));
        let start = || if !had_namesake && new() { FleetStart::New } else { counted(workspace, Timestamp::now()) };
        let mut fleet = inherited(&uid).unwrap_or_else(|| Fleet::new(start(), heartbeat, clock::now()));
        if let Some(announced) = workspace.status.as_ref().and_then(|status| status.last_announced) {
            fleet.know_name(announced);
        }
        let count = FleetCount::of(&all.processes, &WorkspaceKey::of(workspace).namespace);
        let record = SharedRecord::new(WorkspaceRecord::new(uid, &workspace.spec, fleet).counted_in(count));
        if let Some(namesake) = all.records.insert(WorkspaceKey::of(workspace), record.clone()) {
            namesake.lock().end_tasks();
        }
        record
    }

    /// Returns the record of a workspace that is known.
    pub(crate) fn get(&self, key: &WorkspaceKey) -> Option<SharedRecord> {
        self.lock().records.get(key).cloned()
    }

    /// Returns the record of this very object, if it is known: a namesake that was there before had other processes.
    pub(crate) fn of_object(&self, workspace: &RototoWorkspace) -> Option<SharedRecord> {
        let uid = workspace.uid().unwrap_or_default();
        self.get(&WorkspaceKey::of(workspace)).filter(|record| record.lock().is_of(&uid))
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<(WorkspaceKey, SharedRecord)> {
        self.lock().records.iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// Forgets all of them: another process has taken over, and everything known here is about to grow old. Returns
    /// their keys.
    pub(crate) fn clear(&self) -> Vec<WorkspaceKey> {
        let keys: Vec<_> = self.all().into_iter().map(|(key, _)| key).collect();
        for key in &keys {
            self.forget(key);
        }
        keys
    }

    /// Forgets a workspace that is gone, but not that it existed, and ends what runs for it.
    pub(crate) fn remove(&self, key: &WorkspaceKey) {
        self.forget(key);
        let now = Instant::now();
        let removed = &mut self.lock().removed;
        removed.retain(|_, then| now.saturating_duration_since(*then) < NAMESAKES_REMEMBERED);
        removed.insert(key.clone(), now);
    }

    fn forget(&self, key: &WorkspaceKey) {
        if let Some(record) = self.lock().records.remove(key) {
            record.lock().end_tasks();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the number of processes that status counts, and the time since they were counted.
fn counted(workspace: &RototoWorkspace, now: Timestamp) -> FleetStart {
    let Some(fleet) = workspace.status.as_ref().and_then(|status| status.fleet.as_ref()) else {
        return FleetStart::Known { processes: 0, counted_ago: Duration::ZERO };
    };
    let processes = usize::try_from(fleet.processes.saturating_add(fleet.unaccounted)).unwrap_or(usize::MAX);
    // Times in status are cut to seconds: a process that opened the workspace within the same second was there.
    let counted = fleet.as_of.as_ref().map_or(now, |as_of| (as_of.0 + SignedDuration::from_secs(1)).min(now));
    FleetStart::Known { processes, counted_ago: now.duration_since(counted).try_into().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rototo_api::fleet::Report;
    use rototo_api::workspace::{FleetStatus, RototoWorkspaceStatus};
    use rototo_protocol::Publish;
    use rototo_protocol::fleet::{NoRoom, PROCESSES_OF_NAMESPACE, Pods, Verdict};

    use super::*;
    use crate::source::schedule::PollTrigger;

    const HEARTBEAT: Duration = Duration::from_secs(15);

    fn workspace(uid: &str) -> RototoWorkspace {
        let metadata = serde_json::json!({ "namespace": "prod", "name": "policy", "uid": uid });
        serde_json::from_value(serde_json::json!({ "metadata": metadata, "spec": { "source": "x" } })).unwrap()
    }

    /// Returns the verdict on a first publish that no process runs yet.
    fn verdict(record: &SharedRecord) -> Verdict {
        let fingerprint = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let updated_at = "2026-11-20T18:40:00.000000Z".parse().unwrap();
        let mut record = record.lock();
        record.marker_confirmed(Some(Publish { fingerprint, updated_at }.into()));
        record.count_fleet(Pods::default(), Duration::ZERO).verdict
    }

    #[test]
    fn the_processes_of_a_new_workspace_are_known_at_once() {
        let records = RecordStore::default();
        assert_eq!(verdict(&records.of(&workspace("1"), HEARTBEAT, || true, |_| None)), Verdict::NoProcesses);
    }

    /// A large fleet also reports rarely, so the recount of one is long.
    #[test]
    fn a_recount_expects_the_processes_that_status_counts_and_those_it_could_not_account_for() {
        let mut restarted = workspace("1");
        let as_of = Some(Time(Timestamp::now()));
        let fleet = FleetStatus { processes: 9_999, unaccounted: 1, as_of, ..FleetStatus::default() };
        restarted.status = Some(RototoWorkspaceStatus { fleet: Some(fleet), ..RototoWorkspaceStatus::default() });
        let record = RecordStore::default().of(&restarted, HEARTBEAT, || false, |_| None);
        assert_eq!(verdict(&record), Verdict::Recounting);
        let view = record.lock().count_fleet(Pods::default(), Duration::ZERO);
        assert_eq!((view.unaccounted, view.windows.heartbeat), (10_000, Duration::from_secs(50)));
    }

    #[test]
    fn a_process_for_which_all_fleets_together_have_no_room_is_not_counted() {
        let records = RecordStore::default();
        let record = records.of(&workspace("1"), HEARTBEAT, || true, |_| None);
        let together = records.lock().processes.clone();
        let mut others = FleetCount::of(&together, "prod");
        let reports = |process: &str| {
            let report = Report { process: process.to_owned(), ..Report::default() };
            record.lock().report(&report, None, clock::now(), 1.0).unwrap().map(drop)
        };
        others.count(PROCESSES_OF_NAMESPACE - 1);
        assert_eq!(reports("1"), Ok(()));
        assert_eq!((reports("2"), reports("1")), (Err(NoRoom::Namespace), Ok(())));
        let view = record.lock().count_fleet(Pods::default(), Duration::ZERO);
        assert_eq!(view.no_room, Some(NoRoom::Namespace));
        others.count(0);
        assert_eq!((reports("2"), together.all()), (Ok(()), 2));
        records.remove(&WorkspaceKey::of(&workspace("1")));
        drop(record);
        assert_eq!(together.all(), 0);
    }

    /// A task of a workspace holds its record.
    #[tokio::test(start_paused = true)]
    async fn what_runs_for_a_workspace_ends_when_it_is_forgotten() {
        let forgotten = |records: &RecordStore| records.remove(&WorkspaceKey::of(&workspace("1")));
        let cleared = |records: &RecordStore| drop(records.clear());
        let replaced = |records: &RecordStore| drop(records.of(&workspace("2"), HEARTBEAT, || true, |_| None));
        for forget in [&forgotten as &dyn Fn(&RecordStore), &cleared, &replaced] {
            let records = RecordStore::default();
            let shared = records.of(&workspace("1"), HEARTBEAT, || true, |_| None);
            let (held, mut ended) = tokio::sync::mpsc::channel::<()>(1);
            let task = || {
                let (held, shared) = (held.clone(), shared.clone());
                tokio::spawn(async move {
                    let _held = (held, shared);
                    std::future::pending::<()>().await;
                })
            };
            {
                let mut record = shared.lock();
                record.source.poll_started(task(), PollTrigger::default(), Instant::now());
                record.commit_status.replace(task());
                record.recovery.replace(task());
            }
            drop(held);
            forget(&records);
            assert_eq!(tokio::time::timeout(Duration::from_secs(1), ended.recv()).await, Ok(None));
        }
    }

    #[tokio::test]
    async fn lost_content_is_read_again_by_one_task_at_a_time() {
        let shared = RecordStore::default().of(&workspace("1"), HEARTBEAT, || true, |_| None);
        let (mut record, now) = (shared.lock(), Instant::now());
        let later = |minutes: u64| now + Duration::from_secs(60 * minutes);
        assert!(record.begin_recovery(now));
        record.recovery.replace(tokio::spawn(std::future::pending()));
        assert!(!record.begin_recovery(later(11)));
        record.recovery_ended(later(11));
        assert!(!record.begin_recovery(later(11)) && record.begin_recovery(later(12)));
    }

    #[test]
    fn the_snapshots_of_the_history_are_kept_after_a_restart() {
        let mut restarted = workspace("1");
        let earlier = format!("sha256:{}", "e".repeat(64));
        let history = serde_json::json!([{ "fingerprint": earlier, "updatedAt": "2026-11-20T18:40:00.000000Z" }]);
        restarted.status = Some(serde_json::from_value(serde_json::json!({ "history": history })).unwrap());
        let record = RecordStore::default().of(&restarted, HEARTBEAT, || false, |_| None);
        assert!(record.lock().kept(&restarted).contains(&earlier.parse().unwrap()));
    }

    /// A process that stays in a stage that is over names what was announced.
    #[test]
    fn the_last_announced_name_is_known_after_a_restart() {
        let known = |status: serde_json::Value| {
            let mut restarted = workspace("1");
            restarted.status = Some(serde_json::from_value(status).unwrap());
            let record = RecordStore::default().of(&restarted, HEARTBEAT, || false, |_| None);
            record.lock().newest_announced()
        };
        let name = "2026-11-20T18:40:00.000000Z";
        assert_eq!(known(serde_json::json!({ "lastAnnounced": name })), Some(name.parse().unwrap()));
        assert_eq!(known(serde_json::json!({})), None);
    }

    #[test]
    fn the_operator_listens_for_processes_of_a_removed_namesake_before_it_claims_anything() {
        let records = RecordStore::default();
        let first = workspace("1");
        records.of(&first, HEARTBEAT, || true, |_| None);
        records.remove(&WorkspaceKey::of(&first));
        assert_eq!(verdict(&records.of(&workspace("2"), HEARTBEAT, || true, |_| None)), Verdict::Recounting);
    }
}
