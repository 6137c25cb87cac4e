//! The wait before another try: doubling, capped, and spread so that a fleet does not move in step.

use std::time::Duration;

/// A pace of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row, between half and all of the doubled pace. `chance` is in `0.0..1.0`.
    #[must_use]
    pub fn delay(self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.first.saturating_mul(1 << doublings).min(self.cap);
        full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Backoff = Backoff { first: Duration::from_millis(200), cap: Duration::from_secs(5) };

    #[test]
    fn doubles_up_to_the_cap_and_stays_there() {
        let delays: Vec<u128> = (1..=7).map(|failures| PACE.delay(failures, 1.0).as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(PACE.delay(u32::MAX, 1.0), PACE.cap);
    }

    #[test]
    fn is_spread_over_the_upper_half() {
        assert_eq!(PACE.delay(1, 0.0), Duration::from_millis(100));
        assert_eq!(PACE.delay(1, 0.5), Duration::from_millis(150));
    }
}
