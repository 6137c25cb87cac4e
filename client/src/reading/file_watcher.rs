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
    use std::path::Path;
    use std::sync::Arc;
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

    /// A watch that is running.
    pub(crate) struct RunningWatch {
        changed: Arc<Notify>,
        _watcher: RecommendedWatcher,
    }

    impl RunningWatch {
        pub(crate) fn on(directory: &Path) -> notify::Result<Self> {
            let changed = Arc::new(Notify::new());
            let notifier = Arc::clone(&changed);
            let mut watcher = recommended_watcher(move |event: notify::Result<notify::Event>| {
                // A watch that failed may have missed any change.
                if event.map_or(true, |event| changes_a_file(&event.kind)) {
                    notifier.notify_one();
                }
            })?;
            watcher.watch(directory, RecursiveMode::Recursive)?;
            Ok(Self { changed, _watcher: watcher })
        }

        pub(crate) async fn changed(&self) {
            self.changed.notified().await;
            let settled = async { while timeout(QUIET, self.changed.notified()).await.is_ok() {} };
            let _ = timeout_at(Instant::now() + LONGEST_WAIT, settled).await;
        }
    }

    /// Returns whether an event changes a file. Reading a file does not, or each poll would cause the next.
    fn changes_a_file(kind: &EventKind) -> bool {
        !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
    }
}
