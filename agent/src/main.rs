//! `rototo-agent`: reads its options, sets up the log, and runs until a signal ends it.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use futures::FutureExt;
use rototo_agent::Options;
use rototo_connection::end_signal;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let options = Options::parse();
    rototo_agent::log_to_stderr(options.log_level.as_deref(), options.log_json);
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Options) -> anyhow::Result<()> {
    let threads = options.threads();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.context("the threads of the agent can't be started")?;
    let ended = runtime.block_on(async {
        let (shutdown, signalled) = (CancellationToken::new(), end_signal().context("signals can't be received")?);
        let at_signal = shutdown.clone();
        tokio::spawn(signalled.map(move |()| at_signal.cancel()));
        Ok(rototo_agent::run(options, shutdown).await?)
    });
    // Threads that resolve a name or read a repository can't be interrupted, so the end does not wait for them.
    runtime.shutdown_background();
    ended
}
