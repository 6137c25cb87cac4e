//! Runs long work in the background: on a thread of its own, at a low priority.

use std::thread;

use rustix::process::setpriority_process;

/// The nice value of the thread. Where the processors are busy, the thread gets about a tenth of the time of a usual one.
const NICE: i32 = 10;

/// Runs `work`, and returns its result. `None` if it panicked, or if there is no thread for it.
pub(crate) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let work = move || {
        // Elsewhere the priority is that of the whole process. The work is right with any priority.
        if cfg!(target_os = "linux") {
            let _ = setpriority_process(None, NICE);
        }
        work()
    };
    thread::Builder::new().name("background".to_owned()).spawn(work).ok()?.join().ok()
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

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
