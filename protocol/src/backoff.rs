//! The wait before a failed operation is tried again. It doubles with each failure up to a cap, and is spread at random
//! so that the processes of a fleet do not retry at the same moment. The entry point is [`Backoff::delay`].

use std::time::Duration;

/// The parameters of a wait that grows with each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// The longest wait after any number of failures.
    pub cap: Duration,
}

impl Backoff {
    /// Returns the wait after `failures` failures in a row: between half and all of the doubled wait. `chance` selects
    /// the place in that range, from 0.0 to 1.0.
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
    fn the_delay_doubles_up_to_the_cap_and_stays_there() {
        let delays: Vec<u128> = (1..=7).map(|failures| PACE.delay(failures, 1.0).as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(PACE.delay(u32::MAX, 1.0), PACE.cap);
    }

    #[test]
    fn the_delay_is_spread_over_the_upper_half_of_the_doubled_wait() {
        assert_eq!(PACE.delay(1, 0.0), Duration::from_millis(100));
        assert_eq!(PACE.delay(1, 0.5), Duration::from_millis(150));
    }
}
