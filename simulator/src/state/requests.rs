//! The part of the object that people write.

use std::time::Duration;

use rototo_protocol::rollout::Request;

use crate::rollout_plan::StepsPlan;

/// The part of the object that people write.
#[derive(Default)]
pub struct Requests {
    pub steps: StepsPlan,
    /// Until then the source is not polled.
    pub suspended: Duration,
    /// The annotation.
    pub asked: Option<Request>,
}
