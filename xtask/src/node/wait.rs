//! Waits for conditions.

use std::thread;
use std::time::{Duration, Instant};

/// Repeats `check` until it succeeds. Its last error is the state that is shown when time is over.
pub(crate) fn wait_for<T>(
    what: &str,
    within: Duration,
    mut check: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(state) if started.elapsed() > within => {
                return Err(state.context(format!("{what}: not within {} s", within.as_secs())));
            }
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_wait_ends_with_the_last_state() {
        let mut times = 0;
        let mut third = || {
            times += 1;
            if times < 3 { bail!("{times} of 3") } else { Ok(times) }
        };
        assert_eq!(wait_for("three", Duration::from_secs(5), &mut third).unwrap(), 3);
        let error = wait_for::<()>("four", Duration::ZERO, || bail!("3 of 4")).unwrap_err();
        assert_eq!(format!("{error:#}"), "four: not within 0 s: 3 of 4");
    }
}
