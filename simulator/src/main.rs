//! `simulate`: runs random histories, and tells the shortest of each kind that breaks an invariant.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use rototo_simulator::history::{FailedHistory, replay, run};
use rototo_simulator::script::HistoryScript;

/// Runs random histories against the decision code of operator and client.
#[derive(Debug, Parser)]
struct SimulatorArguments {
    /// The number of histories
    #[arg(long, default_value_t = 10_000)]
    histories: u64,
    /// The seed of the first; the others follow it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End after so many seconds, whatever is left
    #[arg(long)]
    seconds: Option<u64>,
    /// Tell what happens in one history, the one of this seed
    #[arg(long)]
    replay: Option<u64>,
    /// End with the first history that fails
    #[arg(long)]
    first: bool,
}

/// The counts that all threads add to.
#[derive(Default)]
struct Totals {
    next: AtomicU64,
    done: AtomicU64,
    claims: AtomicU64,
    events: AtomicU64,
    failures: Mutex<BTreeMap<String, (u64, FailedHistory)>>,
}

fn main() -> ExitCode {
    let arguments = SimulatorArguments::parse();
    if let Some(seed) = arguments.replay {
        let script = HistoryScript::of(seed);
        let failure =
            run(&script, seed).violation.map(|violation| FailedHistory::shrunk(seed, script.clone(), violation));
        let script = failure.as_ref().map_or(script, |failure| failure.script.clone());
        replay(&script, seed).iter().for_each(|line| println!("{line}"));
        failure.iter().for_each(|failure| println!("{failure}"));
        return ExitCode::from(u8::from(failure.is_some()));
    }
    let (totals, began) = (Totals::default(), Instant::now());
    let deadline = arguments.seconds.map(|seconds| began + Duration::from_secs(seconds));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&arguments, &totals, deadline));
        }
    });
    let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
    let failures = totals.failures.lock().unwrap_or_else(PoisonError::into_inner);
    for (count, failure) in failures.values() {
        println!("{failure}\n  ({count} histories break it)\n");
    }
    let (done, violations) = (of(&totals.done), failures.values().map(|(count, _)| count).sum::<u64>());
    println!(
        "{done} histories from seed {}, {} events, {} claims of convergence, {violations} violations, {:.1} s",
        arguments.seed,
        of(&totals.events),
        of(&totals.claims),
        began.elapsed().as_secs_f64()
    );
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(arguments: &SimulatorArguments, totals: &Totals, deadline: Option<Instant>) {
    loop {
        let index = totals.next.fetch_add(1, Ordering::Relaxed);
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let failures = || totals.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if index >= arguments.histories || over || arguments.first && !failures().is_empty() {
            return;
        }
        let seed = arguments.seed + index;
        let script = HistoryScript::of(seed);
        let outcome = run(&script, seed);
        totals.done.fetch_add(1, Ordering::Relaxed);
        totals.claims.fetch_add(outcome.claims, Ordering::Relaxed);
        totals.events.fetch_add(outcome.events, Ordering::Relaxed);
        let Some(violation) = outcome.violation else { continue };
        let kind = format!("{:?}", violation.invariant);
        if let Some((count, _)) = failures().get_mut(&kind) {
            *count += 1;
            continue;
        }
        let failure = FailedHistory::shrunk(seed, script, violation);
        failures().entry(kind).or_insert((0, failure)).0 += 1;
    }
}
