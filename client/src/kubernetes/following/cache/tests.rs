//! Copies on the disk, which two handles may share.

use std::sync::{Barrier, mpsc};
use std::thread;

use super::*;

/// Called at a place of an operation on the disk.
#[derive(Default)]
pub(in crate::kubernetes::following) struct Hook(Option<Box<dyn Fn() + Send + Sync>>);

impl Hook {
    pub(super) fn call(&self) {
        if let Some(hook) = &self.0 {
            hook();
        }
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Hook")
    }
}

pub(in crate::kubernetes::following) fn hook(hook: impl Fn() + Send + Sync + 'static) -> Hook {
    Hook(Some(Box::new(hook)))
}

fn cache(directory: &tempfile::TempDir) -> Cache {
    Cache::new(directory.path(), "prod", "policy")
}

fn tree(text: &str) -> Tree {
    [("rototo-workspace.toml".to_owned(), text.as_bytes().to_vec())].into_iter().collect()
}

fn publish(tree: &Tree, second: u8) -> Publish {
    let updated_at = format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap();
    Publish { fingerprint: tree.fingerprint(), updated_at }
}

/// Keeps `tree` at once, as published at this second.
fn keep(cache: &Cache, tree: &Tree, second: u8) {
    cache.keep(cache.next_turn(), publish(tree, second), tree).unwrap();
}

/// Returns the publish that a process finds at its next start.
fn next_start(directory: &tempfile::TempDir) -> Option<Publish> {
    cache(directory).last().map(|(publish, _)| publish)
}

#[test]
fn the_cache_holds_only_the_publish_that_was_kept_last() {
    let directory = tempfile::tempdir().unwrap();
    let cache = cache(&directory);
    assert!(cache.last().is_none());
    let (first, second) = (tree("schema_version = 1"), tree("schema_version = 1\n"));
    keep(&cache, &first, 1);
    keep(&cache, &second, 2);
    let (last, content) = Cache::new(directory.path(), "prod", "policy").last().unwrap();
    assert_eq!((last, content.fingerprint()), (publish(&second, 2), second.fingerprint()));
    assert!(cache.get(first.fingerprint()).is_none());
    assert!(Cache::new(directory.path(), "test", "policy").last().is_none());
}

#[test]
fn a_damaged_copy_counts_as_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let cache = cache(&directory);
    let content = tree("schema_version = 1");
    keep(&cache, &content, 1);
    for file in fs::read_dir(&cache.path).unwrap() {
        fs::write(file.unwrap().path(), "damaged").unwrap();
    }
    assert!(cache.last().is_none());
    assert!(cache.get(content.fingerprint()).is_none());
    assert_eq!(fs::read_dir(&cache.path).unwrap().count(), 1, "the damaged content is removed");
}

#[test]
fn a_keep_that_runs_after_a_later_one_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // Two handles, as the first may end before its copy is written.
    let (one, other) = (cache(&directory), cache(&directory));
    let (first, second) = (tree("1"), tree("2"));
    let (turn_of_second, turn_of_first) = (one.next_turn(), other.next_turn());
    other.keep(turn_of_first, publish(&first, 1), &first).unwrap();
    one.keep(turn_of_second, publish(&second, 2), &second).unwrap();
    assert_eq!(next_start(&directory), Some(publish(&first, 1)));
}

#[test]
fn a_publish_that_is_taken_back_while_the_disk_writes_it_is_not_the_last() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = cache(&directory);
    let (first, second) = (tree("1"), tree("2"));
    keep(&cache, &first, 1);
    let (put, taken_back) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (at_put, at_taken_back) = (put.clone(), taken_back.clone());
    cache.after_put = hook(move || {
        at_put.wait();
        at_taken_back.wait();
    });
    let turn = cache.next_turn();
    let is_alone = thread::scope(|scope| {
        scope.spawn(|| cache.keep(turn, publish(&second, 2), &second).unwrap());
        put.wait();
        let is_alone = cache.directory().is_ok_and(|directory| directory.try_lock().is_none());
        cache.next_turn();
        taken_back.wait();
        is_alone
    });
    assert!(is_alone, "no other keep interferes");
    assert_eq!(next_start(&directory), Some(publish(&first, 1)));
}

#[test]
fn a_slow_keep_and_the_next_end_on_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let (mut slow, next) = (cache(&directory), cache(&directory));
    let (first, second) = (tree("1"), tree("2"));
    let (put, asked) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (at_put, at_asked) = (put.clone(), asked.clone());
    slow.after_put = hook(move || {
        at_put.wait();
        at_asked.wait();
    });
    let turn = slow.next_turn();
    thread::scope(|scope| {
        scope.spawn(|| slow.keep(turn, publish(&second, 2), &second).unwrap());
        put.wait();
        let (turn, next, first) = (next.next_turn(), &next, &first);
        scope.spawn(move || next.keep(turn, publish(first, 1), first).unwrap());
        asked.wait();
    });
    assert_eq!(next_start(&directory), Some(publish(&first, 1)));
    assert!(next.get(second.fingerprint()).is_none());
}

#[test]
fn a_keep_is_tried_again_although_a_later_one_of_another_handle_failed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, mut second) = (cache(&directory), cache(&directory));
    let (content, path) = (tree("1"), second.path.clone());
    second.after_put = hook(move || {
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "in the way").unwrap();
    });
    let (turn, later) = (first.next_turn(), second.next_turn());
    assert_eq!(second.keep(later, publish(&content, 2), &content).unwrap_err().code, "cache_failed");
    assert_eq!(first.keep(turn, publish(&content, 1), &content).unwrap_err().code, "cache_failed");
    fs::remove_file(&first.path).unwrap();
    first.keep(turn, publish(&content, 1), &content).unwrap();
    assert_eq!(next_start(&directory), Some(publish(&content, 1)));
}

#[test]
fn content_is_read_while_another_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let cache = cache(&directory);
    let content = tree("1");
    keep(&cache, &content, 1);
    let _kept = cache.directory().unwrap().lock();
    assert!(thread::scope(|scope| scope.spawn(|| cache.get(content.fingerprint())).join()).unwrap().is_some());
}

#[test]
fn only_the_first_use_of_a_directory_removes_incomplete_files() {
    let directory = tempfile::tempdir().unwrap();
    let cache_of_a_handle = cache(&directory);
    fs::create_dir_all(&cache_of_a_handle.path).unwrap();
    let unfinished = cache_of_a_handle.path.join(".unfinished-x");
    fs::write(&unfinished, "").unwrap();
    assert!(cache_of_a_handle.get(tree("1").fingerprint()).is_none());
    assert!(!unfinished.exists(), "it is left from a crash");
    // A keep under way has such a file.
    fs::write(&unfinished, "").unwrap();
    let other = cache(&directory);
    assert!(other.get(tree("1").fingerprint()).is_none() && other.last().is_none());
    keep(&other, &tree("2"), 2);
    assert!(unfinished.exists());
    drop((cache_of_a_handle, other));
    assert_eq!(next_start(&directory), Some(publish(&tree("2"), 2)));
    assert!(!unfinished.exists());
}

#[test]
fn a_directory_is_opened_while_the_disk_of_another_hangs() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let (hanging, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (opened, opens) = mpsc::channel();
    let hangs_until_the_other_is_opened = |path: &Path| {
        let other = cache(&other);
        thread::spawn(move || opened.send(other.directory().is_ok()));
        assert_eq!(opens.recv_timeout(PATIENCE), Ok(true));
        SnapshotStore::open(path)
    };
    Directory::shared(hanging.path(), hangs_until_the_other_is_opened).unwrap();
}

#[test]
fn a_copy_that_cannot_be_read_is_logged_and_replaced_by_the_next_keep() {
    let directory = tempfile::tempdir().unwrap();
    let cache = cache(&directory);
    let content = tree("1");
    assert!(cache.last().is_none() && cache.get(content.fingerprint()).is_none());
    assert!(!cache.unreadable.load(Ordering::Relaxed), "a copy that is not there is no failure");
    keep(&cache, &content, 1);
    let files: Vec<PathBuf> = fs::read_dir(&cache.path).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    for file in files {
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    }
    let fault = cache.read(content.fingerprint()).unwrap_err();
    assert_eq!((fault.code, cache.read_last().unwrap_err().code), ("cache_failed", "cache_failed"));
    assert!(cache.last().is_none() && cache.get(content.fingerprint()).is_none());
    assert!(cache.unreadable.load(Ordering::Relaxed));
    keep(&cache, &content, 2);
    assert!(!cache.unreadable.load(Ordering::Relaxed));
    assert!(cache.get(content.fingerprint()).is_some());
    assert_eq!(next_start(&directory), Some(publish(&content, 2)));
}

#[test]
fn an_incomplete_file_that_cannot_be_removed_hides_no_copy() {
    let directory = tempfile::tempdir().unwrap();
    let content = tree("1");
    let before = cache(&directory);
    keep(&before, &content, 1);
    fs::create_dir(before.path.join(".unfinished-x")).unwrap();
    drop(before);
    assert_eq!(next_start(&directory), Some(publish(&content, 1)));
}

#[test]
fn a_directory_that_was_removed_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let cache = cache(&directory);
    keep(&cache, &tree("1"), 1);
    fs::remove_dir_all(&cache.path).unwrap();
    assert!(cache.last().is_none());
    keep(&cache, &tree("2"), 2);
    assert_eq!(next_start(&directory), Some(publish(&tree("2"), 2)));
}
