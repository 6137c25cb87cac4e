//! Notifies of changed files of a workspace in a directory, and of its layers, where the operating system can watch them.
//! Only the directories that hold documents are watched: beside them may be a whole repository, and the number of
//! watches is limited for all processes of a user.
//!
//! A notification only causes an early poll. The regular polls find every change that the watch misses.

#[cfg(feature = "watch")]
use std::path::Path;
use std::path::PathBuf;

use rototo_source::{PinnedSource, Source};

/// Notifies of changed documents of a workspace.
pub(crate) struct FileWatcher {
    directory: Option<PathBuf>,
    /// The directories of the other layers.
    layers: Vec<PathBuf>,
    #[cfg(feature = "watch")]
    running: Option<running::RunningWatch>,
    /// The warning that a limit keeps the directory from being watched was logged.
    #[cfg(feature = "watch")]
    warned: bool,
}

impl FileWatcher {
    /// Makes a watcher of `directory`; without a directory it never notifies.
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            layers: Vec::new(),
            #[cfg(feature = "watch")]
            running: None,
            #[cfg(feature = "watch")]
            warned: false,
        }
    }

    /// Watches the layers of the workspace that are directories too. Returns whether a watch of others starts: files may
    /// have changed before it.
    pub(crate) fn follow(&mut self, pinned: &PinnedSource) -> bool {
        let directories = pinned.layers().filter_map(|layer| match layer.source() {
            Source::Local(directory) if Some(directory) != self.directory.as_ref() => Some(directory.clone()),
            _ => None,
        });
        let layers: Vec<PathBuf> = directories.collect();
        if self.directory.is_none() || layers == self.layers {
            return false;
        }
        self.layers = layers;
        self.start();
        true
    }
}

#[cfg(not(feature = "watch"))]
impl FileWatcher {
    pub(crate) fn start(&mut self) {
        drop(self.directory.take());
    }

    pub(crate) async fn changed(&self) {
        std::future::pending().await
    }

    #[expect(clippy::unused_self, reason = "the same signature in every build")]
    pub(crate) fn has_moved(&self) -> bool {
        false
    }
}

#[cfg(feature = "watch")]
impl FileWatcher {
    /// Starts the watch, or restarts it: other directories may have the names now.
    pub(crate) fn start(&mut self) {
        let Some(directory) = &self.directory else { return };
        let directories: Vec<&Path> = std::iter::once(directory).chain(&self.layers).map(PathBuf::as_path).collect();
        self.running = match running::RunningWatch::on(&directories) {
            Ok(running) => Some(running),
            Err(error) => {
                log_failure(directory, &error, &mut self.warned);
                None
            }
        };
    }

    /// Returns whether other directories may have the names now, so that the watch has to be restarted.
    pub(crate) fn has_moved(&self) -> bool {
        self.running.as_ref().is_some_and(running::RunningWatch::has_moved)
    }

    /// Waits until a file changes, and then until no file has changed for a moment.
    pub(crate) async fn changed(&self) {
        match &self.running {
            Some(running) => running.changed().await,
            None => std::future::pending().await,
        }
    }
}

/// Logs that `directory` can't be watched. A limit of the system is a warning, once for each handle: somebody can raise
/// it, and without a watch everything works, only later.
#[cfg(feature = "watch")]
fn log_failure(directory: &Path, error: &notify::Error, warned: &mut bool) {
    let directory = directory.display();
    match reached_limit(error) {
        Some(limit) if !std::mem::replace(warned, true) => tracing::warn!(
            %directory,
            "watching for changed files failed, because this machine has reached {limit}. Polling continues, so a changed \
             file is noticed at the next poll, and no longer at once. Raise the limit with sysctl, or stop programs \
             that watch many files: {error}"
        ),
        _ => tracing::debug!(
            %directory,
            "watching for changed files failed, so the directory is polled instead: {error}"
        ),
    }
}

/// Returns the limit of the system that keeps a directory from being watched, if this error says so.
#[cfg(feature = "watch")]
fn reached_limit(error: &notify::Error) -> Option<&'static str> {
    /// The error number of Linux for too many instances of inotify, and for too many open files.
    const EMFILE: i32 = 24;
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => Some("fs.inotify.max_user_watches"),
        notify::ErrorKind::Io(error) if cfg!(target_os = "linux") && error.raw_os_error() == Some(EMFILE) => {
            Some("fs.inotify.max_user_instances, or the limit of open files of this process")
        }
        _ => None,
    }
}

#[cfg(feature = "watch")]
mod running {
    use std::collections::BTreeSet;
    use std::path::{Component, Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use notify::event::{AccessKind, AccessMode};
    use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};
    use rototo_engine::DocumentKind;
    use tokio::sync::Notify;
    use tokio::time::{Instant, timeout, timeout_at};

    /// The time without a change after which the files are read. An editor writes one file in several steps, and a
    /// checkout writes many files; their final state counts.
    const QUIET: Duration = Duration::from_millis(50);
    /// The longest wait for the files to become quiet.
    const LONGEST_WAIT: Duration = Duration::from_secs(1);

    /// The most links on the way to a directory, as on Linux.
    const MAX_LINKS: usize = 40;

    /// A watch that is running.
    pub(crate) struct RunningWatch {
        changed: Arc<Notify>,
        moved: Arc<AtomicBool>,
        _watcher: RecommendedWatcher,
    }

    impl RunningWatch {
        pub(crate) fn on(directories: &[&Path]) -> notify::Result<Self> {
            let changed = Arc::new(Notify::new());
            let moved = Arc::new(AtomicBool::new(false));
            let (notifier, mover) = (Arc::clone(&changed), Arc::clone(&moved));
            let names: BTreeSet<PathBuf> = directories.iter().flat_map(|path| names_on_the_way(path)).collect();
            let parents: BTreeSet<PathBuf> =
                names.iter().filter_map(|name| name.parent()).map(Path::to_owned).collect();
            // The names on the way show when one that is missing appears.
            let roots: Vec<PathBuf> = directories.iter().filter_map(|path| std::fs::canonicalize(path).ok()).collect();
            let inside = roots.clone();
            let mut watcher = recommended_watcher(move |event: notify::Result<notify::Event>| {
                let (changes, moves) = match event {
                    // A watch that failed may have missed any change.
                    Err(_) => (true, true),
                    Ok(event) if !changes_a_file(&event.kind) => (false, false),
                    Ok(event) if event.need_rescan() || event.paths.is_empty() => (true, true),
                    Ok(event) => {
                        let paths = || event.paths.iter();
                        let below = |root: &PathBuf| paths().any(|path| path.starts_with(root));
                        let moves = paths()
                            .any(|path| names.contains(path) || inside.iter().any(|root| is_of_documents(path, root)));
                        (moves || inside.iter().any(below), moves)
                    }
                };
                if moves {
                    mover.store(true, Ordering::Relaxed);
                }
                if changes {
                    notifier.notify_one();
                }
            })?;
            for parent in parents {
                // Without the right to read it, only the polls find what becomes of its names.
                if let Err(error) = watcher.watch(&parent, RecursiveMode::NonRecursive) {
                    tracing::debug!(directory = %parent.display(), "a directory with a link can't be watched: {error}");
                }
            }
            for root in &roots {
                watch_documents(&mut watcher, root)?;
            }
            Ok(Self { changed, moved, _watcher: watcher })
        }

        pub(crate) fn has_moved(&self) -> bool {
            self.moved.load(Ordering::Relaxed)
        }

        pub(crate) async fn changed(&self) {
            self.changed.notified().await;
            let settled = async { while timeout(QUIET, self.changed.notified()).await.is_ok() {} };
            let _ = timeout_at(Instant::now() + LONGEST_WAIT, settled).await;
        }
    }

    /// Watches the directory of a workspace, and those below it that hold documents.
    fn watch_documents(watcher: &mut RecommendedWatcher, root: &Path) -> notify::Result<()> {
        watcher.watch(root, RecursiveMode::NonRecursive)?;
        let mut unread = vec![root.to_owned()];
        while let Some(directory) = unread.pop() {
            // The watch of a directory begins before its entries are read, so it notices those that come later.
            let Ok(entries) = std::fs::read_dir(&directory) else { continue };
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                let path = entry.path();
                if is_of_documents(&path, root) {
                    match watcher.watch(&path, RecursiveMode::NonRecursive) {
                        // It is gone again, which its parent shows.
                        Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => continue,
                        watched => watched?,
                    }
                    unread.push(path);
                }
            }
        }
        Ok(())
    }

    /// Returns whether `path` is that of a directory that holds documents of the workspace at `root`.
    fn is_of_documents(path: &Path, root: &Path) -> bool {
        path.strip_prefix(root).ok().and_then(Path::to_str).is_some_and(DocumentKind::is_any_in)
    }

    /// Returns the names that decide which directory is read: each link on the way to it, and its own name, below
    /// parents without links. A watch follows what a name means now, so the name itself has to be watched in its parent.
    fn names_on_the_way(directory: &Path) -> BTreeSet<PathBuf> {
        let mut names = BTreeSet::new();
        let Ok(absolute) = std::path::absolute(directory) else { return names };
        let mut left: Vec<PathBuf> = parts(&absolute);
        let mut place = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == Path::new("..") {
                place.pop();
                continue;
            }
            let name = place.join(part);
            match std::fs::read_link(&name) {
                Ok(target) if links < MAX_LINKS => {
                    links += 1;
                    if target.is_absolute() {
                        place = PathBuf::from("/");
                    }
                    left.extend(parts(&target));
                    names.insert(name);
                }
                _ => place = name,
            }
        }
        names.insert(place);
        names
    }

    /// Returns the parts of a path, the last one first.
    fn parts(path: &Path) -> Vec<PathBuf> {
        let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        parts.rev().map(|part| PathBuf::from(part.as_os_str())).collect()
    }

    /// Returns whether an event changes a file. Reading a file does not, or each poll would cause the next.
    fn changes_a_file(kind: &EventKind) -> bool {
        !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
    }
}

#[cfg(all(test, feature = "watch"))]
mod tests {
    use notify::{Error, ErrorKind};
    use tracing::Level;

    use super::*;
    use crate::logged::Logged;

    /// Returns the warnings of a handle whose watch fails with `error` at each start.
    fn warnings(error: impl Fn() -> Error) -> Vec<String> {
        let warnings = Logged::new(Level::WARN);
        tracing::subscriber::with_default(warnings.clone(), || {
            let mut warned = false;
            for _ in 0..3 {
                log_failure(Path::new("/etc/policy"), &error(), &mut warned);
            }
        });
        warnings.take()
    }

    #[test]
    fn a_reached_limit_is_a_warning_once_that_names_the_limit_and_what_happens() {
        let watches = warnings(|| Error::new(ErrorKind::MaxFilesWatch));
        assert_eq!(watches.len(), 1, "{watches:?}");
        for part in ["fs.inotify.max_user_watches", "at the next poll", "Raise the limit"] {
            assert!(watches[0].contains(part), "{part}: {watches:?}");
        }
        if cfg!(target_os = "linux") {
            let instances = warnings(|| Error::io(std::io::Error::from_raw_os_error(24)));
            assert_eq!(instances.len(), 1, "{instances:?}");
            assert!(instances[0].contains("fs.inotify.max_user_instances"), "{instances:?}");
        }
        assert_eq!(warnings(|| Error::new(ErrorKind::PathNotFound)), [""; 0], "the poll names a missing directory");
    }

    /// Returns whether this process watches a directory.
    #[cfg(target_os = "linux")]
    fn is_watched(directory: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let inode = format!(" ino:{:x} ", std::fs::metadata(directory).unwrap().ino());
        let files = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
        let mut watched = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        watched.any(|watched| watched.lines().any(|line| line.starts_with("inotify ") && line.contains(&inode)))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_directories_that_hold_documents_are_watched() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        let documents = ["variables", "qualifiers", "schemas", "lint", "resources", "resources/a-objects"];
        let others = [".git", ".git/objects", "node_modules", "node_modules/a", "resources/other", "variables/nested"];
        documents.iter().chain(&others).for_each(|path| std::fs::create_dir(at(path)).unwrap());
        let mut watcher = FileWatcher::new(Some(directory.path().to_owned()));
        watcher.start();
        assert!(is_watched(directory.path()));
        for path in documents {
            assert!(is_watched(&at(path)), "{path}");
        }
        for path in others {
            assert!(!is_watched(&at(path)), "{path}");
        }
    }

    #[tokio::test]
    async fn a_directory_of_documents_that_appears_later_is_watched() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        std::fs::create_dir(at("resources")).unwrap();
        let mut watcher = FileWatcher::new(Some(directory.path().to_owned()));
        watcher.start();
        for path in ["variables", "resources/a-objects"] {
            std::fs::create_dir(at(path)).unwrap();
            watcher.changed().await;
            assert!(watcher.has_moved(), "{path}");
            watcher.start();
            std::fs::write(at(&format!("{path}/a.toml")), "").unwrap();
            watcher.changed().await;
            assert!(!watcher.has_moved(), "{path}");
        }
    }
}
