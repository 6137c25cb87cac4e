//! `rototo retry`.

use std::process::ExitCode;

use clap::Args;

use crate::commands::steering::{SteeringAction, SteeringArguments, steer};
use crate::global::GlobalArguments;

/// Begin a new rollout of a revision that was rolled back.
#[derive(Debug, Args)]
pub(crate) struct RetryArguments {
    #[command(flatten)]
    steering: SteeringArguments,
}

pub(crate) async fn run(arguments: RetryArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    steer(arguments.steering, SteeringAction::Retry, global).await
}
