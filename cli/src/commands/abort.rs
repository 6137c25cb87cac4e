//! `rototo abort`.

use std::process::ExitCode;

use clap::Args;

use crate::commands::steering::{SteeringAction, SteeringArguments, steer};
use crate::global::GlobalArguments;

/// Roll the newest revision back: every process returns to what is published.
#[derive(Debug, Args)]
pub(crate) struct AbortArguments {
    #[command(flatten)]
    steering: SteeringArguments,
}

pub(crate) async fn run(arguments: AbortArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    steer(arguments.steering, SteeringAction::Abort, global).await
}
