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
    /// The version of the part of the spec that decides about content.
    pub spec: u64,
    /// Since when the spec has that version.
    pub spec_since: Duration,
    /// The content that the rules of the spec refuse.
    pub refused: Option<u8>,
    /// Until then the selector of the fleet is invalid.
    pub selector_broken: Duration,
}
