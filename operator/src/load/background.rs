//! Runs long work in the background: on a thread of its own, at a low priority.

use std::thread;

use rustix::process::{getpriority_process, setpriority_process};

/// The nice value of the thread. Where the processors are busy, it gets about a third of the time of a usual thread.
const NICE: i32 = 5;

/// Runs `work`, and returns its result. `None` if it panicked, or if there is no thread for it.
///
/// Work that holds a lock, or that is measured by a clock, belongs elsewhere: others would wait for it, or it would end too
/// early.
pub(crate) fn run<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    let work = || {
        lower_priority();
        work()
    };
    let thread = thread::Builder::new().name("background".to_owned());
    thread::scope(|scope| thread.spawn_scoped(scope, work).ok()?.join().ok())
}

/// Lowers the priority of this thread. The work is right with any priority.
fn lower_priority() {
    // Elsewhere the priority is that of the whole process.
    if cfg!(target_os = "linux") && getpriority_process(None).is_ok_and(|nice| nice < NICE) {
        let _ = setpriority_process(None, NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_its_own_thread_has_a_lower_priority() {
        let before = getpriority_process(None).unwrap();
        let inside = run(|| getpriority_process(None).unwrap());
        assert_eq!(inside, Some(NICE.max(before)));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn work_that_panics_has_no_result() {
        assert_eq!(run(|| -> u8 { panic!("on purpose") }), None);
    }
}
