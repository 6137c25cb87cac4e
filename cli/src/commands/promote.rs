//! `rototo promote`.

use std::process::ExitCode;

use clap::Args;

use crate::commands::steering::{SteeringAction, SteeringArguments, steer};
use crate::global::GlobalArguments;

/// Publish the revision of a rollout to the whole fleet, or go on to the next step.
#[derive(Debug, Args)]
pub(crate) struct PromoteArguments {
    /// Go on to the next step only
    #[arg(long)]
    step: bool,

    #[command(flatten)]
    steering: SteeringArguments,
}

pub(crate) async fn run(arguments: PromoteArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let action = if arguments.step { SteeringAction::PromoteStep } else { SteeringAction::Promote };
    steer(arguments.steering, action, global).await
}
