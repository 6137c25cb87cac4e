//! Sums up the outcomes of the histories, and prints them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::HistoryOutcome;

/// The sum of all histories.
#[derive(Debug, Default)]
pub(crate) struct ChaosReport {
    histories: usize,
    faults: BTreeMap<String, (usize, usize)>,
    claims: usize,
    read: usize,
    samples: usize,
    publishes: usize,
    findings: BTreeMap<&'static str, usize>,
    rests: Vec<Duration>,
    violations: usize,
    bad_seeds: Vec<u64>,
    /// The seeds of histories that did not run to their end.
    failed: Vec<String>,
}

impl ChaosReport {
    pub(crate) fn add(&mut self, outcome: &HistoryOutcome, verbose: bool) {
        self.histories += 1;
        for (kind, (all, in_flight)) in &outcome.faults {
            let count = self.faults.entry(kind.clone()).or_default();
            *count = (count.0 + all, count.1 + in_flight);
        }
        for (finding, count) in &outcome.findings {
            *self.findings.entry(finding).or_default() += count;
        }
        self.claims += outcome.claims;
        self.read += outcome.read;
        self.samples += outcome.samples;
        self.publishes += outcome.publishes;
        self.rests.push(outcome.rest);
        self.violations += outcome.violations.len();
        let bad = !outcome.violations.is_empty();
        let faults: usize = outcome.faults.values().map(|(all, _)| all).sum();
        println!(
            "seed {}: {faults} faults, {} claims, at rest after {:.1} s{}",
            outcome.seed,
            outcome.claims,
            outcome.rest.as_secs_f64(),
            if bad { ": VIOLATED" } else { "" },
        );
        if bad || verbose {
            outcome.events.iter().for_each(|line| println!("  {line}"));
        }
        if bad {
            self.bad_seeds.push(outcome.seed);
            outcome.violations.iter().for_each(|violation| println!("  VIOLATION {violation}"));
            println!("  repeat it: cargo xtask chaos --seed {} --histories 1 --verbose", outcome.seed);
        }
    }

    pub(crate) fn failed(&mut self, seed: u64, error: &anyhow::Error) {
        println!("seed {seed}: did not run to its end: {error:#}");
        self.failed.push(format!("{seed}"));
    }

    pub(crate) fn is_good(&self) -> bool {
        self.violations == 0 && self.failed.is_empty() && self.histories > 0
    }

    pub(crate) fn print(&self) {
        let (all, in_flight) = self.faults.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        println!(
            "\n{} histories, {all} faults that took effect, {in_flight} while a publish was in flight",
            self.histories
        );
        for (kind, (all, in_flight)) in &self.faults {
            println!("  {kind:<32} {all:>4}  {in_flight:>4} in flight");
        }
        println!("{} publishes seen in the marker", self.publishes);
        println!(
            "{} answers and statuses read, {} claims of convergence, {} samples of processes",
            self.read, self.claims, self.samples
        );
        let findings = self.findings.iter().map(|(finding, count)| format!("{count} {finding}"));
        println!("comparisons of a claim with a process: {}", findings.collect::<Vec<_>>().join(", "));
        let mut rests = self.rests.clone();
        rests.sort();
        if let (Some(middle), Some(longest)) = (rests.get(rests.len() / 2), rests.last()) {
            println!("at rest after {:.1} s (median), {:.1} s (longest)", middle.as_secs_f64(), longest.as_secs_f64());
        }
        println!(
            "{} violations {:?}; seeds that did not run to the end: {:?}",
            self.violations, self.bad_seeds, self.failed
        );
    }
}
