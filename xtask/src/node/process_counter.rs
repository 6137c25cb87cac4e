//! Counts the processes of a fleet as this machine sees them, whatever kubelets and the API server say, and compares the
//! counts with those of a status.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::observer::Observed;

/// The time between two counts.
const EVERY: Duration = Duration::from_millis(200);

/// The number of processes that ran at a time.
pub(crate) struct Count {
    at: Instant,
    processes: u64,
}

/// Counts the processes that run a program with a variable in their environment, until it is finished or dropped.
pub(crate) struct ProcessCounter {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Count>>>,
}

impl ProcessCounter {
    /// Starts to count. `variable` is such as `NAME=value`.
    pub(crate) fn start(program: &'static str, variable: String) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let asked = ends.clone();
        let thread = thread::spawn(move || {
            let mut counts = Vec::new();
            while !asked.load(Ordering::Relaxed) {
                counts.push(Count { at: Instant::now(), processes: count(program, &variable) });
                thread::sleep(EVERY);
            }
            counts
        });
        Self { ends, thread: Some(thread) }
    }

    /// Returns all counts.
    pub(crate) fn finish(mut self) -> anyhow::Result<Vec<Count>> {
        self.ends.store(true, Ordering::Relaxed);
        let counts = self.thread.take().map(JoinHandle::join).and_then(Result::ok);
        counts.context("nobody counted the processes")
    }
}

impl Drop for ProcessCounter {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

fn count(program: &str, variable: &str) -> u64 {
    let runs_it = |process: &fs::DirEntry| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
        first.ends_with(program.as_bytes())
    };
    let has_it = |process: &fs::DirEntry| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter(runs_it).filter(has_it).count() as u64
}

/// The longest times for which a status counted more, and fewer, processes than there were.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Miscounted {
    pub(crate) too_many: Duration,
    pub(crate) too_few: Duration,
}

impl Miscounted {
    /// Compares each count with the status that was the newest then.
    pub(crate) fn of(observed: &[Observed], counts: &[Count]) -> Self {
        let expected =
            |at: Instant| observed.iter().take_while(|one| one.at <= at).last().map(|one| one.status.expected());
        let longest = |is_wrong: fn(u64, u64) -> bool| {
            let mut longest = Duration::ZERO;
            let mut wrong_since = None;
            for count in counts {
                match expected(count.at) {
                    Some(expected) if is_wrong(expected, count.processes) => {
                        longest = longest.max(count.at - *wrong_since.get_or_insert(count.at));
                    }
                    _ => wrong_since = None,
                }
            }
            longest
        };
        Self {
            too_many: longest(|expected, processes| expected > processes),
            too_few: longest(|expected, processes| expected < processes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::super::observer::Status;
    use super::*;

    #[test]
    fn a_process_is_counted_by_its_program_and_its_environment() {
        let mark = format!("NODE_TEST_MARK={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        assert_eq!(count("sleep", &mark), 0);
        let mut child = Command::new("sleep").arg("60").env(name, value).spawn().unwrap();
        // The environment is that of the program once the child has become it.
        let appeared = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            count("sleep", &mark) == 1
        });
        let (of_another, with_another) = (count("cat", &mark), count("sleep", "NODE_TEST_MARK=none"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(appeared && of_another == 0 && with_another == 0);
    }

    #[test]
    fn a_wrong_count_lasts_from_the_first_to_the_last_time_at_which_it_is_wrong() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let observed = [(0, 3), (4, 4), (9, 3)].map(|(second, expected)| Observed {
            at: at(second),
            status: Status(json!({"fleet": {"expected": expected}})),
        });
        let counts = |processes: [u64; 10]| {
            (0..).zip(processes).map(|(second, processes)| Count { at: at(second), processes }).collect::<Vec<_>>()
        };
        let check = |processes, too_many, too_few| {
            let [too_many, too_few] = [too_many, too_few].map(Duration::from_secs);
            assert_eq!(Miscounted::of(&observed, &counts(processes)), Miscounted { too_many, too_few });
        };
        check([3, 3, 3, 3, 4, 4, 4, 4, 4, 3], 0, 0);
        check([3, 2, 2, 2, 4, 3, 4, 3, 3, 3], 2, 0);
        check([4, 4, 3, 3, 4, 5, 5, 5, 5, 4], 0, 4);
    }
}
