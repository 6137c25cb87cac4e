//! Both engines have the same results for every generated workspace, except for the intended differences.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use rototo_differential::differences::{Difference, MEANT, explain};
use rototo_differential::generate::{self, Numbers};
use rototo_differential::outcome::{our_answer, our_lint, their_answer, their_lint, write};
use rototo_differential::reference::Reference;

/// The number of workspaces in a test run. `ROTOTO_DIFFERENTIAL_CASES` sets another.
const CASES: u64 = 400;

#[derive(Default)]
struct DifferentialReport {
    meant: BTreeMap<&'static str, usize>,
    others: Vec<String>,
}

impl DifferentialReport {
    fn add(&mut self, seed: u64, difference: &Difference<'_>) {
        match explain(difference) {
            Some(meant) => *self.meant.entry(meant.name).or_default() += 1,
            None => self.others.push(format!("seed {seed}: {difference:?}")),
        }
    }
}

#[test]
fn both_engines_have_the_same_results_for_every_generated_workspace() {
    let cases = std::env::var("ROTOTO_DIFFERENTIAL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let (mut report, mut findings, mut answers) = (DifferentialReport::default(), 0, 0);
    let mut reference = Reference::start();
    for seed in 0..cases {
        let mut numbers = Numbers::new(seed);
        let mut files = generate::workspace(&mut numbers);
        for _ in 0..numbers.below(4) {
            if !files.is_empty() {
                generate::spoil(&mut files, &mut numbers);
            }
        }
        let root = tempfile::tempdir().unwrap();
        write(&files, root.path());
        let ((ours, parsed), theirs) = (our_lint(&files), their_lint(&mut reference, root.path()));
        let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for key in keys {
            let count = |all: &rototo_differential::outcome::FindingCounts| all.get(key).copied().unwrap_or(0);
            findings += count(&theirs);
            if count(&ours) != count(&theirs) {
                let (rule, _, path, _) = key;
                let (all_ours, all_theirs) = (&ours, &theirs);
                let difference = Difference::Finding {
                    rule,
                    path,
                    ours: count(&ours),
                    theirs: count(&theirs),
                    all_ours,
                    all_theirs,
                };
                report.add(seed, &difference);
            }
        }
        if ours.keys().chain(theirs.keys()).any(|(_, severity, _, _)| severity == "error") {
            continue;
        }
        let compiled = rototo_engine::compile(&parsed).unwrap();
        for _ in 0..2 {
            let context = generate::context(&mut numbers);
            for id in compiled.variables() {
                let (ours, theirs) =
                    (our_answer(&compiled, id, &context), their_answer(&mut reference, root.path(), id, &context));
                answers += 1;
                if ours != theirs {
                    report.add(seed, &Difference::Answer { ours: &ours, theirs: &theirs });
                }
            }
        }
    }
    println!("{cases} workspaces, {findings} findings, {answers} answers; intended differences:");
    for meant in MEANT {
        println!("  {:>5}  {}", report.meant.get(meant.name).copied().unwrap_or(0), meant.name);
    }
    assert!(findings > 100 && answers > 100, "the generated workspaces have too few findings or answers");
    assert!(
        report.others.is_empty(),
        "{} differences:\n{}",
        report.others.len(),
        report.others[..report.others.len().min(25)].join("\n")
    );
}
