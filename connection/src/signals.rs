//! The signals that end a program.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Returns a future that is ready at the first SIGTERM or SIGINT. From this call on, neither ends the program by
/// itself. Must be called on a Tokio runtime.
///
/// # Errors
///
/// The error of the operating system. A program that goes on without the future can't be ended in order.
pub fn end_signal() -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn each_of_the_two_signals_ends_a_program_and_only_after_it_came() {
        for sent in [Signal::TERM, Signal::INT] {
            let mut signalled = Box::pin(end_signal().unwrap());
            assert!(signalled.as_mut().now_or_never().is_none());
            kill_process(getpid(), sent).unwrap();
            signalled.await;
        }
    }
}
