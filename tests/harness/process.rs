//! A program that runs in the background, writes a log, and ends with its owner.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Observation, scratch, until};

/// A running program in a process group of its own. Dropping it kills the process. During a panic, it first prints the
/// end of the log.
#[derive(Debug)]
pub struct ChildProcess {
    name: String,
    child: Child,
    log: PathBuf,
    /// The length of the log at the start: an earlier process may have written to the same log.
    log_before: usize,
}

impl ChildProcess {
    /// Starts `command`. Its output is appended to the file `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open the log {}", log.display()))?;
        let log_before = file.metadata().map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(0));
        let errors = file.try_clone().with_context(|| format!("share the log {}", log.display()))?;
        command.process_group(0).stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().with_context(|| format!("start {name}: {}", command.get_program().display()))?;
        let process = Self { name: name.to_owned(), child, log: log.to_owned(), log_before };
        scratch::started(process.id())?;
        Ok(process)
    }

    /// Returns the process id, which is also the id of the process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its output so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.log_before..).unwrap_or_default()).into_owned()
    }

    /// Returns the last lines of its output.
    #[must_use]
    pub fn last_words(&self) -> String {
        const LINES: usize = 30;
        let log = self.log();
        let skipped = log.lines().count().saturating_sub(LINES);
        log.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    /// Fails with the last lines of its output if it has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().with_context(|| format!("read the exit status of {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}). Its last words:\n{}", self.name, self.last_words()),
        }
    }

    /// Ends it like a crash, with SIGKILL.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end with SIGTERM, as a kubelet does, and waits until it has ended.
    pub fn terminate(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let status = until(format_args!("{} to end after SIGTERM", self.name), within, || {
            Ok(match self.child.try_wait()? {
                Some(status) => Observation::Done(status),
                None => Observation::NotYet("it is still running".to_owned()),
            })
        })?;
        Ok(status)
    }

    /// Freezes it with SIGSTOP: its connections stay open, and it does not answer on them.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it continue after [`ChildProcess::freeze`].
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Returns whether the kernel has stopped it.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // The program's name, in parentheses before the state, may contain anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let group = self.group().with_context(|| format!("{} has no process id", self.name))?;
        kill_process_group(group, signal).with_context(|| format!("send {signal:?} to {}", self.name))
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw)
    }

    fn end(&mut self) {
        if let Some(group) = self.group()
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
        }
        scratch::ended(self.id());
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = scratch::keep().unwrap_or(&self.log);
            eprintln!("--- {} (all logs: {}) ---\n{}", self.name, kept.display(), self.last_words());
        }
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ChildProcess {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = scratch::directory("process").unwrap().join("log");
        ChildProcess::start("a shell", command, &log).unwrap()
    }

    #[test]
    fn the_error_about_a_process_that_ended_has_its_last_lines() {
        let mut process = shell("echo 'the disk is on fire'; exit 3");
        let error = until("the shell to end", Duration::from_secs(10), || {
            Ok(process.check_running().map_or_else(Observation::Done, |()| Observation::NotYet("running".to_owned())))
        });
        let error = error.unwrap().to_string();
        assert!(error.contains("exit status: 3") && error.contains("the disk is on fire"), "{error}");
    }

    #[test]
    fn a_dropped_process_ends_together_with_its_children() {
        let process = shell("sleep 1000 & echo $!; wait");
        let child = until("the shell to name its child", Duration::from_secs(10), || {
            Ok(process
                .log()
                .trim()
                .parse::<u32>()
                .map_or_else(|_| Observation::NotYet(process.log()), Observation::Done))
        });
        let child = child.unwrap();
        drop(process);
        until("the child to be gone", Duration::from_secs(10), || {
            let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            let gone = state.is_empty() || state.contains(") Z ");
            Ok(if gone { Observation::Done(()) } else { Observation::NotYet(state) })
        })
        .unwrap();
    }

    #[test]
    fn a_process_can_end_by_itself_after_sigterm() {
        let process = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        until("the trap", Duration::from_secs(10), || {
            Ok(if process.log().contains("ready") { Observation::Done(()) } else { Observation::NotYet(process.log()) })
        })
        .unwrap();
        assert_eq!(process.terminate(Duration::from_secs(10)).unwrap().code(), Some(7));
    }
}
