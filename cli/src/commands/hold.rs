//! `rototo hold`.

use std::process::ExitCode;

use clap::Args;

use crate::commands::steering::{SteeringAction, SteeringArguments, steer};
use crate::global::GlobalArguments;

/// Stay at the present step of a rollout until it is promoted or aborted.
#[derive(Debug, Args)]
pub(crate) struct HoldArguments {
    #[command(flatten)]
    steering: SteeringArguments,
}

pub(crate) async fn run(arguments: HoldArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    steer(arguments.steering, SteeringAction::Hold, global).await
}
