//! Removes everything that must not outlive this process: its scratch directory, and every process group that it
//! started.
//!
//! An owner cleans up when it is dropped. But a killed process drops nothing, and statics are never dropped. So a
//! watchdog, a shell in a process group of its own, holds the reading end of a pipe. When this process ends for any
//! reason, the watchdog reads the end of the pipe, kills the process groups that were reported to it, and removes the
//! directory. (`PR_SET_PDEATHSIG` would need unsafe code, and would miss the children of children.)

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use anyhow::{Context, anyhow};

const WATCHDOG: &str = r#"
while read -r verb group; do
  case $verb in
    started) groups="$groups $group" ;;
    ended) left=; for other in $groups; do [ "$other" = "$group" ] || left="$left $other"; done; groups=$left ;;
    keep) keep=yes ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
[ -n "$keep" ] && exit
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

struct Scratch {
    root: PathBuf,
    watchdog: Mutex<ChildStdin>,
}

static SCRATCH: LazyLock<Result<Scratch, String>> =
    LazyLock::new(|| Scratch::new().map_err(|error| format!("{error:#}")));

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let root = tempfile::Builder::new().prefix("rototo-").tempdir().context("create the scratch directory")?.keep();
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCHDOG, "watchdog"]).arg(&root).current_dir("/");
        // The watchdog has a process group of its own, so that Ctrl-C ends this process first, and the watchdog works
        // after that.
        watchdog.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watchdog = watchdog.spawn().context("start the watchdog, a `sh`")?;
        let pipe = watchdog.stdin.take().context("open the pipe to the watchdog")?;
        Ok(Self { root, watchdog: Mutex::new(pipe) })
    }

    fn notify(&self, line: &str) {
        if let Ok(mut watchdog) = self.watchdog.lock() {
            // A watchdog that has ended can't be notified. The owners still clean up when they are dropped.
            let _ = writeln!(watchdog, "{line}");
        }
    }
}

fn scratch() -> anyhow::Result<&'static Scratch> {
    SCRATCH.as_ref().map_err(|error| anyhow!("{error}"))
}

/// Creates a directory that is removed when this process ends.
pub(crate) fn directory(name: &str) -> anyhow::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = scratch()?.root.join(format!("{name}-{number}"));
    std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    Ok(path)
}

/// Keeps the scratch directory, for a person to read.
pub fn keep() -> Option<&'static Path> {
    let scratch = scratch().ok()?;
    scratch.notify("keep");
    Some(&scratch.root)
}

/// Makes the watchdog end this process group when this process ends.
pub(crate) fn started(group: u32) -> anyhow::Result<()> {
    scratch()?.notify(&format!("started {group}"));
    Ok(())
}

/// Records that this process group has ended: another one may have its number now.
pub(crate) fn ended(group: u32) {
    if let Ok(scratch) = scratch() {
        scratch.notify(&format!("ended {group}"));
    }
}
