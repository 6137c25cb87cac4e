//! This process as its reports describe it, and its testimony on the other processes of its pod.
//!
//! [`PROCESS`] is read when it is first used, and anew after a fork.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::fleet::{Pid, Testimony};
use rototo_api::names::CONTAINER_VARIABLE;

use crate::environment::from_environment;
use crate::kubernetes::reporting::kernel;

/// A running process. Its fields stay the same for as long as it runs.
pub(crate) struct Process {
    /// The name of its container, where the pod's environment says so.
    pub(super) container: Option<String>,
    /// The time of its start, by the clock of its node.
    pub(super) started_at: Timestamp,
    /// Its PID in its PID namespace, where the kernel says.
    pub(in crate::kubernetes) pid: Option<Pid>,
    /// Its age at one moment, and that moment.
    age: (Duration, Instant),
}

/// This process.
pub(crate) static PROCESS: ThisProcess = ThisProcess { read: Mutex::new(None) };

/// The process that runs this code. After a fork, that is another one than the one that was read.
pub(crate) struct ThisProcess {
    /// The process that was read last, and its PID.
    read: Mutex<Option<(u32, &'static Process)>>,
}

impl Deref for ThisProcess {
    type Target = Process;

    fn deref(&self) -> &Process {
        self.with_pid(std::process::id())
    }
}

impl ThisProcess {
    /// Returns this process, which has this PID. It stays in memory until the program ends; only a fork causes another.
    fn with_pid(&self, pid: u32) -> &'static Process {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, process)) = read.filter(|(known, _)| *known == pid) {
            return process;
        }
        let process: &'static Process = Box::leak(Box::new(Process::read()));
        *read = Some((pid, process));
        process
    }
}

impl Process {
    fn read() -> Self {
        let own = kernel::own();
        // Where the kernel does not say, the process is as old as its use of this library.
        let age = own.as_ref().and_then(kernel::age).unwrap_or_default();
        let pid = own.zip(kernel::namespace());
        Self {
            container: from_environment(CONTAINER_VARIABLE),
            started_at: Timestamp::now().checked_sub(age).unwrap_or_default(),
            pid: pid.map(|(own, namespace)| Pid { pid: own.pid, started: own.started, namespace }),
            age: (age, Instant::now()),
        }
    }

    /// Returns the time since its start.
    pub(crate) fn age(&self) -> Duration {
        let (age, at) = self.age;
        age + at.elapsed()
    }

    /// Returns the fates of the processes in `asked` that this process can see.
    pub(crate) fn testify(&self, asked: &[Pid]) -> Vec<Testimony> {
        let Some(own) = self.pid else { return Vec::new() };
        // In another PID namespace the same number is another process.
        let visible = asked.iter().filter(|pid| pid.namespace == own.namespace);
        visible.filter_map(|pid| Some(Testimony { pid: *pid, fate: kernel::fate(*pid)? })).collect()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use rototo_api::fleet::SiblingState;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_testifies_about_its_siblings() {
        let own = PROCESS.pid.unwrap();
        assert_eq!(own.pid, std::process::id());
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        let read = || kernel::Stat::parse(&std::fs::read_to_string(&stat).unwrap()).unwrap();
        let pid = Pid { pid: child.id(), started: read().started, namespace: own.namespace };
        let fates = |pid| PROCESS.testify(&[pid]).iter().map(|testimony| testimony.fate).collect::<Vec<_>>();
        assert_eq!(fates(pid), [SiblingState::Alive]);
        assert_eq!(
            fates(Pid { started: pid.started + 1, ..pid }),
            [SiblingState::Gone],
            "another process has this PID"
        );
        assert_eq!(fates(Pid { namespace: own.namespace + 1, ..pid }), [], "another namespace");
        assert_eq!(fates(Pid { pid: 0, ..pid }), [], "0 is no PID");
        child.kill().unwrap();
        // The child is a zombie until somebody waits for it.
        while read().state != 'Z' {
            std::thread::yield_now();
        }
        assert_eq!(fates(pid), [SiblingState::Gone]);
        child.wait().unwrap();
        assert_eq!(fates(pid), [SiblingState::Gone]);
    }

    #[test]
    fn a_forked_process_is_read_anew() {
        let this = ThisProcess { read: Mutex::new(None) };
        let parent = this.with_pid(1);
        assert!(std::ptr::eq(parent, this.with_pid(1)));
        let child = this.with_pid(2);
        assert!(!std::ptr::eq(parent, child) && std::ptr::eq(child, this.with_pid(2)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_knows_when_it_started() {
        let before = PROCESS.age();
        assert!(before > Duration::ZERO && before <= PROCESS.age());
        assert!(PROCESS.started_at < Timestamp::now());
    }
}
