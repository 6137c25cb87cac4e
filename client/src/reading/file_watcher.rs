//! A bell that the files of a directory ring when they change, where the system can tell: what a laptop has for a watch.

use std::path::PathBuf;

/// Rings when a file below a directory changes. Looking now and then finds what it misses.
pub(crate) struct FileWatcher {
    directory: Option<PathBuf>,
    #[cfg(feature = "watch")]
    running: Option<running::RunningWatch>,
}

impl FileWatcher {
    /// A bell for `directory`, or one that never rings.
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
    /// Hangs it up, also anew: the directory may be another than before, under the same name.
    pub(crate) fn start(&mut self) {
        let Some(directory) = &self.directory else { return };
        self.running = match running::RunningWatch::on(directory) {
            Ok(running) => Some(running),
            Err(error) => {
                let directory = directory.display();
                tracing::debug!(%directory, "watching for changed files failed, so they are looked for now and then: {error}");
                None
            }
        };
    }

    /// Waits until it rings and the files are quiet again.
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

    /// An editor writes one file in several steps, and a checkout many files: what it leaves is what counts.
    const QUIET: Duration = Duration::from_millis(50);
    /// However much is being written, it is looked at after this time.
    const AT_LAST: Duration = Duration::from_secs(1);

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
                // What can't be told may be anything.
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
            let _ = timeout_at(Instant::now() + AT_LAST, settled).await;
        }
    }

    /// Reading them is none, or each look would cause the next.
    fn changes_a_file(kind: &EventKind) -> bool {
        !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
    }
}
