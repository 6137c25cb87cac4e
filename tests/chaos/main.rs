//! The program behind `cargo xtask chaos`: seeded histories of faults against a real API server, real operators, real
//! git, and real processes. It compares each claim that a change runs everywhere with what the processes themselves
//! report.
//!
//! - `script` draws a history from a seed; `environment` has the parts of the system, and `acts` disturbs them as the
//!   script says.
//! - `watch` records the claims; `history` runs a history and checks the claims; `report` sums up.
//! - `soak` makes many changes for a long time instead, and checks whether memory, files, or threads grow.

mod acts;
mod environment;
mod history;
mod report;
mod script;
mod soak;
mod watch;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use rototo_tests::harness::ControlPlane;

use crate::report::ChaosReport;

/// Cause random faults in a real fleet while it is changed, and check every claim that it has converged.
#[derive(Parser)]
#[command(name = "cargo xtask chaos")]
struct ChaosOptions {
    /// The number of histories.
    #[arg(long, default_value_t = 20)]
    histories: u64,
    /// The seed of the first history; the next ones follow. It is random by default.
    #[arg(long)]
    seed: Option<u64>,
    /// The number of histories that run at the same time, each with a control plane of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    at_once: u8,
    /// The number of minutes after which no further history begins.
    #[arg(long)]
    minutes: Option<u64>,
    /// Print each history, and not only those with a violation.
    #[arg(long)]
    verbose: bool,
    /// Falsify the responses of one process, to test that the check notices it.
    #[arg(long, hide = true)]
    lie: bool,
    /// Change one fleet for this number of minutes instead, and check whether memory, files, or threads grow.
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = ChaosOptions::parse();
    if let Some(minutes) = options.soak {
        let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
        return runtime()?.block_on(soak::soak(Duration::from_secs(minutes * 60), seed)).map(exit_code);
    }
    let first = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("{} histories from seed {first} on", options.histories);
    let (next, report) = (AtomicU64::new(0), Mutex::new(ChaosReport::default()));
    let until = options.minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
    thread::scope(|scope| {
        let places = u64::from(options.at_once).min(options.histories);
        let players: Vec<_> =
            (0..places).map(|_| scope.spawn(|| play(&options, first, &next, until, &report))).collect();
        for player in players {
            player.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        anyhow::Ok(())
    })?;
    let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.print();
    Ok(exit_code(report.is_good()))
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one history after the other on one control plane.
fn play(
    options: &ChaosOptions,
    first: u64,
    next: &AtomicU64,
    until: Option<Instant>,
    report: &Mutex<ChaosReport>,
) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let mut plane = ControlPlane::start()?;
    plane.install_crds()?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= options.histories || until.is_some_and(|until| Instant::now() >= until) {
            return Ok(());
        }
        let seed = first.wrapping_add(number);
        let outcome = runtime.block_on(history::happen(seed, &mut plane, options.lie));
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(outcome) => report.add(&outcome, options.verbose),
            Err(error) => report.failed(seed, &error),
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // A history blocks its thread at times, and the watch of it must continue.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("start a runtime")
}
