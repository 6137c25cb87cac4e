//! Notifies of changed files in a directory, where the operating system can watch them.
//!
//! A notification only causes an early poll. The regular polls find every change that the watch misses.

use std::path::PathBuf;

/// Notifies of changed files below a directory.
pub(crate) struct FileWatcher {
    directory: Option<PathBuf>,
    #[cfg(feature = "watch")]
    running: Option<running::RunningWatch>,
}

impl FileWatcher {
    /// Makes a watcher of `directory`; without a directory it never notifies.
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            #[cfg(feature = "watch")]
            running: None,
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
                let directory = directory.display();
                tracing::debug!(
                    %directory,
                    "watching for changed files failed, so the directory is polled instead: {error}"
                );
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
