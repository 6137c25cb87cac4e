//! Waits for conditions, and never for a fixed time. The entry points are [`until`] and [`until_async`].

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

/// The pause between two observations.
const PAUSE: Duration = Duration::from_millis(25);

/// The result of one observation of a condition.
#[derive(Debug)]
pub enum Observation<T> {
    /// The condition holds, with this result.
    Done(T),
    /// The condition does not hold yet; the text describes the observation.
    NotYet(String),
}

/// Observes until the condition `what` holds, for at most `within`. An error of `observe` ends the wait at once.
pub fn until<T>(
    what: impl Display,
    within: Duration,
    mut observe: impl FnMut() -> anyhow::Result<Observation<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match observe()? {
            Observation::Done(found) => return Ok(found),
            Observation::NotYet(seen) if started.elapsed() >= within => bail!(timed_out(&what, within, &seen)),
            Observation::NotYet(_) => thread::sleep(PAUSE),
        }
    }
}

/// Does the same as [`until`] for an `observe` that sends requests. An observation that does not return is ended by the
/// time-out, too.
pub async fn until_async<T>(
    what: impl Display,
    within: Duration,
    mut observe: impl AsyncFnMut() -> anyhow::Result<Observation<T>>,
) -> anyhow::Result<T> {
    let mut latest = "nothing: the first observation did not return".to_owned();
    let waiting = async {
        loop {
            match observe().await? {
                Observation::Done(found) => return Ok(found),
                Observation::NotYet(seen) => latest = seen,
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(within, waiting).await {
        Ok(found) => found,
        Err(_) => bail!(timed_out(&what, within, &latest)),
    }
}

fn timed_out(what: &impl Display, within: Duration, seen: &str) -> String {
    format!("waited {} s for {what}; last seen: {seen}", within.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_time_out_has_the_condition_and_the_last_observation() {
        let mut observations = 0;
        let error = until("the third policy", Duration::ZERO, || {
            observations += 1;
            Ok(Observation::<()>::NotYet(format!("policy {observations}")))
        });
        assert_eq!(error.unwrap_err().to_string(), "waited 0 s for the third policy; last seen: policy 1");
    }

    #[tokio::test]
    async fn an_observation_that_never_returns_is_a_time_out() {
        let error = until_async("an answer", Duration::ZERO, async || {
            std::future::pending::<()>().await;
            Ok(Observation::Done(()))
        });
        assert!(error.await.unwrap_err().to_string().contains("the first observation did not return"));
    }

    #[test]
    fn an_error_ends_the_wait_at_once() {
        let error = until("anything", Duration::from_secs(1000), || {
            bail!("the server is gone") as anyhow::Result<Observation<()>>
        });
        assert_eq!(error.unwrap_err().to_string(), "the server is gone");
    }
}
