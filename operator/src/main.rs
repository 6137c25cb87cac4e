//! `rototo-operator`: reads its flags, sets up the log, and runs until a signal ends it.

use std::process::ExitCode;

use clap::Parser;
use futures::FutureExt;
use rototo_connection::end_signal;
use rototo_operator::log_to_stderr;
use rototo_operator::options::Options;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio_util::sync::CancellationToken;

/// Gives memory back to the system after a flood of connections. glibc's allocator keeps most of it. `.cargo/config.toml` has
/// its options.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // This comes before there are other threads, which would not be confined.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == rototo_lua::SANDBOX) {
        return rototo_lua::serve();
    }
    // The memory has tokens of pods and passwords of sources. Without a limit there is nothing to tell anybody.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let options = Options::parse();
    log_to_stderr(options.log_level.as_deref(), options.log_json);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the threads of the operator can't be started");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(operate(options));
    // Threads that resolve a name or read a repository can't be interrupted, so the end does not wait for them.
    runtime.shutdown_background();
    code
}

async fn operate(options: Options) -> ExitCode {
    let signalled = match end_signal() {
        Ok(signalled) => signalled,
        Err(error) => {
            tracing::error!(%error, "signals can't be received");
            return ExitCode::FAILURE;
        }
    };
    let shutdown = CancellationToken::new();
    let at_signal = shutdown.clone();
    tokio::spawn(signalled.map(move |()| at_signal.cancel()));
    tokio::select! {
        ended = Box::pin(rototo_operator::run(options, shutdown.clone())) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
        () = too_late(&shutdown) => {
            tracing::error!("the operator did not shut down in time, and exits now");
            ExitCode::FAILURE
        }
    }
}

/// Waits until the operator should have ended long ago.
async fn too_late(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(rototo_operator::ENDS_WITHIN).await;
}
