//! The requests of people about rollouts, as a history has them: the steps of the spec, and the requests of the
//! annotation.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use rototo_protocol::rollout::Step;

/// The most steps of a simulated rollout.
const STEPS: usize = 4;

/// The steps by which new content reaches the fleet; none if it reaches everybody at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepsPlan([Option<Step>; STEPS]);

/// The request that a person writes into the annotation. The name of a step or a publish is looked up when that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Promote,
    PromoteStep,
    Hold,
    Abort,
    Retry,
}

impl StepsPlan {
    /// No steps.
    pub const NONE: Self = Self([None; STEPS]);

    /// Returns a plan of these steps, as many of them as there is room for.
    #[must_use]
    pub fn of(steps: &[Step]) -> Self {
        let mut plan = Self::NONE;
        plan.0.iter_mut().zip(steps).for_each(|(place, step)| *place = Some(*step));
        plan
    }

    /// Draws some steps, or none.
    pub fn draw(rng: &mut Rng) -> Self {
        if rng.u8(0..3) == 0 {
            return Self::NONE;
        }
        let steps: Vec<Step> = (0..rng.usize(1..=STEPS)).map(|_| step(rng)).collect();
        Self::of(&steps)
    }

    /// Returns the steps.
    #[must_use]
    pub fn list(&self) -> Vec<Step> {
        self.0.iter().copied().flatten().collect()
    }

    /// Returns the number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Returns whether there are no steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the steps without the one of this index.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let mut steps = self.list();
        steps.remove(index);
        Self::of(&steps)
    }
}

fn step(rng: &mut Rng) -> Step {
    match rng.u8(0..12) {
        0..4 => Step::Pods(1),
        4 => Step::Pods(rng.u32(0..4)),
        5 | 6 => Step::Weight([0, 10, 50, 100][rng.usize(0..4)]),
        7 => Step::Pause(None),
        _ => Step::Pause(Some(Duration::from_millis([300, 1_500, 4_000][rng.usize(0..3)]))),
    }
}

impl Asked {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        [Self::Promote, Self::PromoteStep, Self::PromoteStep, Self::Hold, Self::Abort, Self::Retry, Self::Retry]
            [rng.usize(0..7)]
    }
}

impl fmt::Display for StepsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |step: &Step| match step {
            Step::Weight(weight) => format!("setWeight {weight}"),
            Step::Pods(pods) => format!("pods {pods}"),
            Step::Pause(Some(time)) => format!("pause {} ms", time.as_millis()),
            Step::Pause(None) => "pause".to_owned(),
        };
        let words: Vec<String> = self.list().iter().map(word).collect();
        f.write_str(&if words.is_empty() { "no steps".to_owned() } else { words.join(", ") })
    }
}
