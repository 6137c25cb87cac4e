//! Runs git with every process that it starts: writes to it, reads from it, limits it, and ends all of them together.

use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::error::GitFault;

use crate::git::confine::{self, Confinement};
use crate::git::stderr::{GitStderr, listen};

/// The end of a git, and what it wrote.
pub(super) struct GitExit {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    /// True if `stdout` is all of it.
    pub(super) is_whole: bool,
    pub(super) stderr: GitStderr,
}

/// The most bytes that are read of a listing of refs: that of exactly the refs in use, or of the branches of a repository
/// that does not have them.
pub(super) const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// A running git with every process that it starts (ssh, the https helper). All of them end when this is dropped.
pub(super) struct ProcessGroup {
    child: Child,
    id: Option<Pid>,
}

impl ProcessGroup {
    pub(super) fn start(command: &mut Command, confinement: &Confinement<'_>) -> Result<Self, GitFault> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child = confine::start(command, confinement).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => GitFault::NoGit,
            _ => GitFault::Other(format!("git could not be started: {error}")),
        })?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, id })
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Runs git to its end. `traced` says that it traces what it gets over https.
    pub(super) async fn run(&mut self, input: &[u8], traced: bool) -> Result<GitExit, GitFault> {
        let (stdin, stdout, stderr) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A git that stops reading writes the reason to stderr.
                let _ = stdin.write_all(input).await;
            }
        };
        let ((), (stdout, is_whole), stderr, status) =
            tokio::join!(feed, drain(stdout, MAX_ANSWER_BYTES), listen(stderr, traced), self.child.wait());
        let status = status.map_err(|error| GitFault::Other(format!("git could not be waited for: {error}")))?;
        Ok(GitExit { status, stdout, is_whole, stderr })
    }
}

/// Reads to the end and keeps the beginning. Returns also whether that is all.
async fn drain(stream: Option<impl AsyncRead + Unpin>, keep: u64) -> (Vec<u8>, bool) {
    let mut kept = Vec::new();
    let mut more = Ok(0);
    if let Some(mut stream) = stream {
        let beginning = (&mut stream).take(keep).read_to_end(&mut kept).await;
        if beginning.is_ok() {
            more = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    }
    (kept, matches!(more, Ok(0)))
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Once git has been waited for, its process id may belong to another process.
        if self.child.id().is_some()
            && let Some(id) = self.id
        {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}
