//! Processes as Linux shows them in `/proc`. On other systems every function returns `None`.
//!
//! `None` means that the kernel does not say, and never that a process is gone.

use std::time::Duration;

use rototo_api::fleet::{Pid, SiblingState};

/// One line of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) state: char,
    threads: u64,
    /// The time of the start, in clock ticks since boot.
    pub(super) started: u64,
}

impl Stat {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // The name of the program may hold anything, blanks and parentheses included.
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

    /// Returns `Alive` if this is the process that started then and it runs. The first thread of a process is a zombie
    /// once it has ended, as long as other threads run; so is a process until its parent waits for it.
    fn fate(&self, started: u64) -> SiblingState {
        let has_ended = matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1;
        if self.started != started || has_ended { SiblingState::Gone } else { SiblingState::Alive }
    }
}

/// Returns this process; `None` where `/proc` belongs to another PID namespace.
#[cfg(target_os = "linux")]
pub(super) fn own() -> Option<Stat> {
    let stat = Stat::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)?;
    (stat.pid == std::process::id()).then_some(stat)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn own() -> Option<Stat> {
    None
}

/// Returns the inode of this process's PID namespace.
#[cfg(target_os = "linux")]
pub(super) fn namespace() -> Option<u64> {
    inode(std::fs::read_link("/proc/self/ns/pid").ok()?.to_str()?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn namespace() -> Option<u64> {
    None
}

/// Returns the age of this process.
#[cfg(target_os = "linux")]
pub(super) fn age(own: &Stat) -> Option<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    age_at(&uptime, own.started, rustix::param::clock_ticks_per_second())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn age(_: &Stat) -> Option<Duration> {
    None
}

/// Returns the fate of a process of this PID namespace; `None` also where a `/proc` with `hidepid` hides living
/// processes.
#[cfg(target_os = "linux")]
pub(super) fn fate(asked: Pid) -> Option<SiblingState> {
    use rustix::io::Errno;

    let pid = i32::try_from(asked.pid).ok().and_then(rustix::process::Pid::from_raw)?;
    match rustix::process::test_kill_process(pid) {
        Err(Errno::SRCH) => Some(SiblingState::Gone),
        // A process exists, and may belong to another user.
        Ok(()) | Err(Errno::PERM) => {
            let stat = Stat::parse(&std::fs::read_to_string(format!("/proc/{}/stat", asked.pid)).ok()?)?;
            (stat.pid == asked.pid).then(|| stat.fate(asked.started))
        }
        Err(_) => None,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn fate(_: Pid) -> Option<SiblingState> {
    None
}

/// Returns the age of a process that started `started` clock ticks after the boot, from the text of `/proc/uptime`.
fn age_at(uptime: &str, started: u64, ticks_per_second: u64) -> Option<Duration> {
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let uptime = Duration::try_from_secs_f64(uptime).ok()?;
    let millis = u128::from(started) * 1000 / u128::from(ticks_per_second).max(1);
    uptime.checked_sub(Duration::from_millis(u64::try_from(millis).ok()?))
}

/// Returns the number in `pid:[4026531836]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
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
            // The first thread has ended, and another runs.
            ('Z', 2, 5, SiblingState::Alive),
        ] {
            assert_eq!(stat(state, threads).fate(started), expected, "{state} {threads} {started}");
        }
    }

    #[test]
    fn an_age_is_the_time_since_the_start() {
        assert_eq!(age_at("100.50 7.00\n", 4_000, 100), Some(Duration::from_millis(60_500)));
        // A container may show its own uptime; then the start seems to lie in the future.
        assert_eq!(age_at("10.00 7.00\n", 4_000, 100), None);
        assert_eq!(age_at("soon", 4_000, 100), None);
    }

    #[test]
    fn a_namespace_is_named_by_its_inode() {
        assert_eq!(inode("pid:[4026531836]"), Some(4_026_531_836));
        assert_eq!(inode("net:[4026531836]"), None);
    }
}
