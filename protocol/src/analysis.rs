//! Decides by measurements of metrics whether a step of a rollout may end. [`state`] is the entry point, a pure function.
//!
//! A measurement succeeds, fails, or is inconclusive: there was no number, or the metrics could not be read. What is
//! inconclusive never counts as a success, and counts like a failure against the limit.

use std::fmt;
use std::str::FromStr;

use rototo_api::marker::Stage;

use crate::Publish;

/// One comparison of the result with a number, such as `result < 0.05`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    comparison: Comparison,
    number: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// The comparisons as they are written. One that begins with another comes before it.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// A text that is no condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCondition;

impl fmt::Display for InvalidCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a condition is one comparison of the result with a number, with <, <=, >, >=, ==, or !=: `result < 0.05`",
        )
    }
}

impl std::error::Error for InvalidCondition {}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let rest = text.trim().strip_prefix("result").ok_or(InvalidCondition)?;
        // Argo Rollouts calls the one result so.
        let rest = rest.strip_prefix("[0]").unwrap_or(rest).trim_start();
        let written =
            COMPARISONS.into_iter().find_map(|(sign, comparison)| Some((rest.strip_prefix(sign)?, comparison)));
        let (number, comparison) = written.ok_or(InvalidCondition)?;
        let number: f64 = number.trim().parse().map_err(|_| InvalidCondition)?;
        if number.is_finite() { Ok(Self { comparison, number }) } else { Err(InvalidCondition) }
    }
}

impl Condition {
    /// Judges a result. One that is no finite number is inconclusive: a quotient whose divisor is 0 says nothing.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "people ask for exactly this number")]
    pub fn judge(&self, result: f64) -> Outcome {
        let Self { comparison, number } = *self;
        let holds = match comparison {
            Comparison::Less => result < number,
            Comparison::LessOrEqual => result <= number,
            Comparison::Greater => result > number,
            Comparison::GreaterOrEqual => result >= number,
            Comparison::Equal => result == number,
            Comparison::NotEqual => result != number,
        };
        match holds {
            _ if !result.is_finite() => Outcome::Inconclusive,
            true => Outcome::Successful,
            false => Outcome::Failed,
        }
    }
}

/// The outcome of one measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result meets the condition.
    Successful,
    /// The result does not meet the condition.
    Failed,
    /// There is no result.
    Inconclusive,
}

/// The measurements of one analysis in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measurements {
    /// The number of those that succeeded.
    pub successful: u32,
    /// The number of those that failed.
    pub failed: u32,
    /// The number of those that were inconclusive.
    pub inconclusive: u32,
}

impl Measurements {
    /// Counts a measurement.
    pub fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Successful => &mut self.successful,
            Outcome::Failed => &mut self.failed,
            Outcome::Inconclusive => &mut self.inconclusive,
        };
        *count = count.saturating_add(1);
    }

    fn unsuccessful(&self) -> u32 {
        self.failed.saturating_add(self.inconclusive)
    }

    fn taken(&self) -> u32 {
        self.successful.saturating_add(self.unsuccessful())
    }
}

/// The step of a rollout that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredStep {
    /// The announced publish.
    pub publish: Publish,
    /// Its stage.
    pub stage: Stage,
}

/// The rules of one analysis, and the measurements that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnalysisRun {
    /// The number of measurements of a step that may fail or be inconclusive.
    pub failure_limit: u32,
    /// The number of measurements of a step; `None` measures for as long as the step lasts.
    pub count: Option<u32>,
    /// The step that was measured; `None` if nothing was measured.
    pub step: Option<MeasuredStep>,
    /// The measurements of that step.
    pub measurements: Measurements,
}

/// The state of one analysis, or of all analyses of a step together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnalysisState {
    /// The step may end: enough measurements succeeded, or none are asked for.
    #[default]
    Passed,
    /// There are too few measurements.
    Measuring,
    /// More measurements failed, or were inconclusive, than the limit allows.
    Failed,
}

impl AnalysisRun {
    /// Returns the state of the analysis in a step. Measurements of another step count for nothing.
    #[must_use]
    pub fn state(&self, step: MeasuredStep) -> AnalysisState {
        let counted = self.step.filter(|measured| *measured == step).map(|_| self.measurements).unwrap_or_default();
        let enough = counted.successful > 0 && self.count.is_none_or(|count| counted.taken() >= count);
        match enough {
            _ if counted.unsuccessful() > self.failure_limit => AnalysisState::Failed,
            true => AnalysisState::Passed,
            false => AnalysisState::Measuring,
        }
    }

    /// Returns whether another measurement is taken in a step: until there are enough, or for as long as the step lasts.
    #[must_use]
    pub fn goes_on(&self, step: MeasuredStep) -> bool {
        match self.state(step) {
            AnalysisState::Measuring => true,
            AnalysisState::Passed => self.count.is_none(),
            AnalysisState::Failed => false,
        }
    }
}

/// Returns the state of all analyses of a step together: each must have passed, and one that failed decides.
#[must_use]
pub fn state(runs: &[AnalysisRun], step: MeasuredStep) -> AnalysisState {
    let all = || runs.iter().map(|run| run.state(step));
    if all().any(|state| state == AnalysisState::Failed) {
        AnalysisState::Failed
    } else if all().any(|state| state == AnalysisState::Measuring) {
        AnalysisState::Measuring
    } else {
        AnalysisState::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(index: u32) -> MeasuredStep {
        let fingerprint = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let publish = Publish { fingerprint, updated_at: "2026-11-20T18:40:01.000000Z".parse().unwrap() };
        let stage = Stage { step: index, since: "2026-11-20T18:40:00Z".parse().unwrap(), below: 9 };
        MeasuredStep { publish, stage }
    }

    /// An analysis with these measurements of step 0: `+` succeeded, `-` failed, `?` was inconclusive.
    fn run(failure_limit: u32, count: Option<u32>, measured: &str) -> AnalysisRun {
        let mut measurements = Measurements::default();
        for sign in measured.chars() {
            measurements.add(match sign {
                '+' => Outcome::Successful,
                '-' => Outcome::Failed,
                _ => Outcome::Inconclusive,
            });
        }
        AnalysisRun { failure_limit, count, step: Some(step(0)), measurements }
    }

    #[test]
    fn a_condition_is_one_comparison_with_a_number() {
        for (text, result, expected) in [
            ("result < 0.05", 0.04, Outcome::Successful),
            ("result < 0.05", 0.05, Outcome::Failed),
            ("result<=0.05", 0.05, Outcome::Successful),
            ("result[0] >= 0.95", 0.95, Outcome::Successful),
            ("result > -1e-3", 0.0, Outcome::Successful),
            ("result > 1", 1.0, Outcome::Failed),
            (" result == 0 ", -0.0, Outcome::Successful),
            ("result != 0", 0.0, Outcome::Failed),
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().judge(result), expected, "{text} with {result}");
        }
    }

    #[test]
    fn a_result_that_is_no_finite_number_meets_no_condition() {
        for text in ["result < 0.05", "result > 0.05", "result == 0", "result != 0"] {
            let condition: Condition = text.parse().unwrap();
            for result in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert_eq!(condition.judge(result), Outcome::Inconclusive, "{text} with {result}");
            }
        }
    }

    #[test]
    fn anything_else_is_no_condition() {
        for text in [
            "",
            "result",
            "result <",
            "result < x",
            "result < NaN",
            "result < inf",
            "0.05 > result",
            "result = 1",
            "result < 1 && result > 0",
            "result[1] < 1",
            "results < 1",
            "len(result) > 0",
        ] {
            assert_eq!(text.parse::<Condition>(), Err(InvalidCondition), "{text}");
        }
    }

    #[test]
    fn an_analysis_passes_with_enough_measurements_and_fails_beyond_its_limit() {
        for (limit, count, measured, expected) in [
            (0, None, "", AnalysisState::Measuring),
            (0, None, "+", AnalysisState::Passed),
            (0, None, "+-", AnalysisState::Failed),
            (0, None, "?", AnalysisState::Failed),
            (1, None, "?", AnalysisState::Measuring),
            (1, None, "?+", AnalysisState::Passed),
            (1, None, "-?", AnalysisState::Failed),
            (2, Some(3), "+-", AnalysisState::Measuring),
            (2, Some(3), "+-?", AnalysisState::Passed),
            (2, Some(3), "+-?-", AnalysisState::Failed),
            // What was never measured has not passed, whatever the limit allows.
            (9, Some(1), "??", AnalysisState::Measuring),
        ] {
            assert_eq!(run(limit, count, measured).state(step(0)), expected, "{limit} {count:?} {measured}");
        }
    }

    #[test]
    fn measurements_of_another_step_count_for_nothing() {
        for measured in ["+", "-"] {
            assert_eq!(run(0, None, measured).state(step(1)), AnalysisState::Measuring, "{measured}");
        }
    }

    #[test]
    fn measuring_goes_on_until_there_are_enough_or_for_as_long_as_the_step_lasts() {
        for (count, measured, expected) in [
            (None, "", true),
            (None, "+++", true),
            (None, "++-", false),
            (Some(2), "+", true),
            (Some(2), "++", false),
            (Some(2), "-", false),
        ] {
            assert_eq!(run(0, count, measured).goes_on(step(0)), expected, "{count:?} {measured}");
        }
    }

    #[test]
    fn one_failed_analysis_decides_for_all() {
        let (passed, measuring, failed) = (run(0, None, "+"), run(0, None, ""), run(0, None, "-"));
        for (runs, expected) in [
            (vec![], AnalysisState::Passed),
            (vec![passed], AnalysisState::Passed),
            (vec![passed, measuring], AnalysisState::Measuring),
            (vec![measuring, failed, passed], AnalysisState::Failed),
        ] {
            assert_eq!(state(&runs, step(0)), expected);
        }
    }
}
