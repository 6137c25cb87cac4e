//! Notifies of changed files in a directory, where the operating system can watch them.
//!
//! A notification only causes an early poll. The regular polls find every change that the watch misses.

#[cfg(feature = "watch")]
use std::path::Path;
use std::path::PathBuf;

/// Notifies of changed files below a directory.
pub(crate) struct FileWatcher {
    directory: Option<PathBuf>,
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
            #[cfg(feature = "watch")]
            running: None,
            #[cfg(feature = "watch")]
            warned: false,
        }
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
    /// Starts the watch, or restarts it: another directory may have the name now.
    pub(crate) fn start(&mut self) {
        let Some(directory) = &self.directory else { return };
        self.running = match running::RunningWatch::on(directory) {
            Ok(running) => Some(running),
            Err(error) => {
                log_failure(directory, &error, &mut self.warned);
                None
            }
        };
    }

    /// Returns whether another directory may have the name now, so that the watch has to be restarted.
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
    use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};
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
        pub(crate) fn on(directory: &Path) -> notify::Result<Self> {
            let changed = Arc::new(Notify::new());
            let moved = Arc::new(AtomicBool::new(false));
            let (notifier, mover) = (Arc::clone(&changed), Arc::clone(&moved));
            let names = names_on_the_way(directory);
            let inside = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
            let parents: BTreeSet<PathBuf> =
                names.iter().filter_map(|name| name.parent()).map(Path::to_owned).collect();
            let mut watcher = recommended_watcher(move |event: notify::Result<notify::Event>| {
                let (changes, moves) = match event {
                    // A watch that failed may have missed any change.
                    Err(_) => (true, true),
                    Ok(event) if !changes_a_file(&event.kind) => (false, false),
                    Ok(event) if event.need_rescan() || event.paths.is_empty() => (true, true),
                    Ok(event) => {
                        let moves = event.paths.iter().any(|path| names.contains(path));
                        (moves || event.paths.iter().any(|path| path.starts_with(&inside)), moves)
                    }
                };
                if moves {
                    mover.store(true, Ordering::Relaxed);
                }
                if changes {
                    notifier.notify_one();
                }
            })?;
            watcher.watch(&std::fs::canonicalize(directory)?, RecursiveMode::Recursive)?;
            for parent in parents {
                // Without the right to read it, only the polls find what becomes of its names.
                if let Err(error) = watcher.watch(&parent, RecursiveMode::NonRecursive) {
                    tracing::debug!(directory = %parent.display(), "a directory with a link can't be watched: {error}");
                }
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
    use std::sync::{Arc, Mutex};

    use notify::{Error, ErrorKind};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    /// The messages of the warnings that were logged.
    #[derive(Clone, Default)]
    struct Warnings(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }

        fn event(&self, event: &Event<'_>) {
            struct Message(String);
            impl Visit for Message {
                fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                    if field.name() == "message" {
                        self.0 = format!("{value:?}");
                    }
                }
            }
            let mut message = Message(String::new());
            event.record(&mut message);
            self.0.lock().unwrap().push(message.0);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// Returns the warnings of a handle whose watch fails with `error` at each start.
    fn warnings(error: impl Fn() -> Error) -> Vec<String> {
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), || {
            let mut warned = false;
            for _ in 0..3 {
                log_failure(Path::new("/etc/policy"), &error(), &mut warned);
            }
        });
        std::mem::take(&mut *warnings.0.lock().unwrap())
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
}
