//! This process as the kernel knows it, and its word on the other processes of its pod.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::fleet::{Pid, SiblingState, Testimony};
use rototo_api::names::CONTAINER_VARIABLE;
use uuid::Uuid;

use crate::environment::from_environment;

/// This process. What is in it stays the same for as long as the process runs.
pub(crate) struct Process {
    /// Names it, whatever it follows.
    pub(super) id: String,
    /// The name of its container, where the pod says so.
    pub(super) container: Option<String>,
    /// When it started, by the clock of its node.
    pub(super) started_at: Timestamp,
    /// Its name in its PID namespace, where the kernel tells.
    pub(in crate::kubernetes) pid: Option<Pid>,
    /// Its age at a moment.
    age: (Duration, Instant),
}

/// This process, as it was read when it was first asked for.
pub(crate) static PROCESS: LazyLock<Process> = LazyLock::new(|| {
    let own = kernel::own();
    // Where the kernel does not tell, the process is as old as its use of this library.
    let age = own.as_ref().and_then(kernel::age).unwrap_or_default();
    Process {
        id: Uuid::new_v4().to_string(),
        container: from_environment(CONTAINER_VARIABLE),
        started_at: Timestamp::now().checked_sub(age).unwrap_or_default(),
        pid: own.zip(kernel::namespace()).map(|(own, namespace)| Pid { pid: own.pid, started: own.started, namespace }),
        age: (age, Instant::now()),
    }
});

impl Process {
    /// How long it has run.
    pub(crate) fn age(&self) -> Duration {
        let (age, at) = self.age;
        age + at.elapsed()
    }

    /// The fates of the processes that were asked about, as far as this one can see them.
    pub(crate) fn testify(&self, asked: &[Pid]) -> Vec<Testimony> {
        let Some(own) = self.pid else { return Vec::new() };
        // Elsewhere the same number is another process.
        let visible = asked.iter().filter(|pid| pid.namespace == own.namespace);
        visible.filter_map(|pid| Some(Testimony { pid: *pid, fate: kernel::fate(*pid)? })).collect()
    }
}

/// One line of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    state: char,
    threads: u64,
    /// In clock ticks since boot.
    started: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, blanks and parentheses included.
        let (pid, rest) = text.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            pid: pid.parse().ok()?,
            state: fields.first()?.chars().next()?,
            threads: fields.get(17)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether this is the process that started then, and it runs. A first thread that has ended is a zombie as long as
    /// others run, and so is a process that nobody has waited for.
    fn fate(&self, started: u64) -> SiblingState {
        let has_ended = matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1;
        if self.started != started || has_ended { SiblingState::Gone } else { SiblingState::Alive }
    }
}

/// The age of a process that started so many ticks after the boot, where `/proc/uptime` says `uptime`.
fn age(uptime: &str, started: u64, ticks_per_second: u64) -> Option<Duration> {
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let uptime = Duration::try_from_secs_f64(uptime).ok()?;
    let millis = u128::from(started) * 1000 / u128::from(ticks_per_second).max(1);
    uptime.checked_sub(Duration::from_millis(u64::try_from(millis).ok()?))
}

/// The number in `pid:[4026531836]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::fs;
    use std::time::Duration;

    use rototo_api::fleet::{Pid, SiblingState};
    use rustix::io::Errno;

    use super::Stat;

    /// This process; `None` where `/proc` is that of another PID namespace.
    pub(crate) fn own() -> Option<Stat> {
        let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
        (stat.pid == std::process::id()).then_some(stat)
    }

    pub(crate) fn namespace() -> Option<u64> {
        super::inode(fs::read_link("/proc/self/ns/pid").ok()?.to_str()?)
    }

    pub(crate) fn age(own: &Stat) -> Option<Duration> {
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        super::age(&uptime, own.started, rustix::param::clock_ticks_per_second())
    }

    /// `None` where the kernel does not tell: a `/proc` with `hidepid` hides the living, too.
    pub(crate) fn fate(asked: Pid) -> Option<SiblingState> {
        let pid = i32::try_from(asked.pid).ok().and_then(rustix::process::Pid::from_raw)?;
        match rustix::process::test_kill_process(pid) {
            Err(Errno::SRCH) => Some(SiblingState::Gone),
            // It exists, and belongs to somebody else.
            Ok(()) | Err(Errno::PERM) => {
                let stat = Stat::parse(&fs::read_to_string(format!("/proc/{}/stat", asked.pid)).ok()?)?;
                (stat.pid == asked.pid).then(|| stat.fate(asked.started))
            }
            Err(_) => None,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::time::Duration;

    use rototo_api::fleet::{Pid, SiblingState};

    use super::Stat;

    pub(crate) fn own() -> Option<Stat> {
        None
    }

    pub(crate) fn namespace() -> Option<u64> {
        None
    }

    pub(crate) fn age(_: &Stat) -> Option<Duration> {
        None
    }

    pub(crate) fn fate(_: Pid) -> Option<SiblingState> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4711 (a) b (c) S 1 4711 4711 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 123456 1 1 1";

    #[test]
    fn a_stat_is_read_whatever_the_name_of_the_program() {
        let stat = Stat { pid: 4711, state: 'S', threads: 3, started: 123_456 };
        assert_eq!(Stat::parse(STAT), Some(stat));
        for text in ["", "4711", "4711 (a", "4711 (a) S 1", "x (a) S 1"] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_process_is_gone_when_another_has_its_pid_or_all_its_threads_have_ended() {
        let stat = |state, threads| Stat { pid: 1, state, threads, started: 5 };
        for (state, threads, started, expected) in [
            ('S', 1, 5, SiblingState::Alive),
            ('T', 1, 5, SiblingState::Alive),
            ('D', 1, 5, SiblingState::Alive),
            ('S', 1, 4, SiblingState::Gone),
            ('Z', 1, 5, SiblingState::Gone),
            ('X', 0, 5, SiblingState::Gone),
            // Its first thread has ended, and it runs on.
            ('Z', 2, 5, SiblingState::Alive),
        ] {
            assert_eq!(stat(state, threads).fate(started), expected, "{state} {threads} {started}");
        }
    }

    #[test]
    fn an_age_is_the_time_since_the_start() {
        assert_eq!(age("100.50 7.00\n", 4_000, 100), Some(Duration::from_millis(60_500)));
        // In a container that shows an uptime of its own, the start seems to lie in the future.
        assert_eq!(age("10.00 7.00\n", 4_000, 100), None);
        assert_eq!(age("soon", 4_000, 100), None);
    }

    #[test]
    fn a_namespace_is_named_by_its_inode() {
        assert_eq!(inode("pid:[4026531836]"), Some(4_026_531_836));
        assert_eq!(inode("net:[4026531836]"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_testifies_about_its_siblings() {
        let own = PROCESS.pid.unwrap();
        assert_eq!(own.pid, std::process::id());
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        let read = || Stat::parse(&std::fs::read_to_string(&stat).unwrap()).unwrap();
        let pid = Pid { pid: child.id(), started: read().started, namespace: own.namespace };
        let fates = |pid| PROCESS.testify(&[pid]).iter().map(|testimony| testimony.fate).collect::<Vec<_>>();
        assert_eq!(fates(pid), [SiblingState::Alive]);
        assert_eq!(fates(Pid { started: pid.started + 1, ..pid }), [SiblingState::Gone], "the PID is used again");
        assert_eq!(fates(Pid { namespace: own.namespace + 1, ..pid }), [], "of another namespace");
        assert_eq!(fates(Pid { pid: 0, ..pid }), [], "no PID");
        child.kill().unwrap();
        // A zombie, until it is waited for.
        while read().state != 'Z' {
            std::thread::yield_now();
        }
        assert_eq!(fates(pid), [SiblingState::Gone]);
        child.wait().unwrap();
        assert_eq!(fates(pid), [SiblingState::Gone]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_knows_when_it_started() {
        let before = PROCESS.age();
        assert!(before > Duration::ZERO && before <= PROCESS.age());
        assert!(PROCESS.started_at < Timestamp::now());
    }
}
