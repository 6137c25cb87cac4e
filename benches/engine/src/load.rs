//! Measures loading a workspace and following changes of one file each: instructions as callgrind counts them, wall
//! time, and memory, beside the reference. The live heap is that of a second load in the same process, so that no part
//! of it is made once for all.
//!
//! Each part runs in processes of its own that do nothing else. The number of instructions is the difference between
//! two of them.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rototo_engine::{
    Compiled, Fingerprint, Linted, Parsed, Tree, compile, compile_after, compile_tree_after, lint, lint_after, parse, parse_after,
};
use rototo_source::{Limits, snapshot};
use stats_alloc::Region;

use crate::{ALLOCATOR, shapes};

/// The number of changes that are followed, one after the other.
const CHANGES: usize = 1_000;

/// The number of changes that a follower takes from snapshots, which the operator's side packs before.
const SNAPSHOTS: usize = 50;

/// The number of processes that load. The best wall time among them counts.
const RUNS: usize = 5;

pub fn run() {
    let mut loads = Vec::new();
    for (shape, variables) in [("b", 1_000), ("c", 10_000)] {
        let directory = tempfile::tempdir().unwrap();
        write(&shapes::workspace(variables), directory.path());
        println!("{shape}: {variables} variables");
        loads.push(load(directory.path(), shape == "b"));
        follow_changes(directory.path());
    }
    if let [b, c] = loads.as_slice() {
        println!("load, c to b: {:.1} times the instructions", c / b);
    }
}

/// Prints the cost of a load, and returns our instructions in millions.
fn load(directory: &Path, with_reference: bool) -> f64 {
    println!("  load                              M instructions  best ms  allocations  live MB  peak resident MB");
    let nothing = instructions("nothing", directory, 1);
    // Each load of the large workspace takes the reference minutes, and half an hour under callgrind.
    let names: &[(&str, &str)] = &[
        ("parse + lint + compile", "engine"),
        ("the same with the fingerprint", "engine-fingerprint"),
        ("a follower: compile, fingerprint", "follower"),
        ("alpha.4's `Workspace::load`", "alpha.4"),
    ];
    let mut first = 0.0;
    for (title, what) in &names[..if with_reference { 4 } else { 3 }] {
        let count = millions(instructions(what, directory, 1) - nothing);
        let runs: Vec<Vec<f64>> = (0..RUNS).map(|_| numbers(&once_in_process(what, directory, 1))).collect();
        let best = runs.iter().map(|run| run[0]).fold(f64::INFINITY, f64::min);
        let [_, allocations, live, peak] = runs[0][..] else { panic!("four figures") };
        println!("  {title:<32} {count:>15.1} {best:>8.1} {allocations:>12} {live:>8.2} {peak:>17.1}");
        if *what == "engine" {
            first = count;
        }
    }
    first
}

/// Prints the cost of following changes of one file each.
fn follow_changes(directory: &Path) {
    println!(
        "  {CHANGES} changes of one file          M instructions   mean µs    p99 µs    max µs  allocations, mean  max"
    );
    for (title, what) in [
        ("a variable: parse + compile", "change"),
        ("a variable: with lint", "change-lint"),
        ("a variable: with the fingerprint", "change-fingerprint"),
        ("a variable: a follower, its snapshot", "change-follower"),
        ("a qualifier: with lint", "change-qualifier-lint"),
        ("an object: with lint", "change-object-lint"),
    ] {
        let changes = if what == "change-follower" { SNAPSHOTS } else { CHANGES };
        let (none, all) = (instructions(what, directory, 0), instructions(what, directory, changes));
        let count = millions(all - none) / changes as f64;
        let [mean, p99, max, allocations, most] = numbers(&once_in_process(what, directory, changes))[..] else {
            panic!("five figures")
        };
        println!("  {title:<32} {count:>15.3} {mean:>9.1} {p99:>9.1} {max:>9.1} {allocations:>18.0} {most:>4.0}");
    }
}

pub fn write(files: &[(String, String)], root: &Path) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[allow(clippy::cast_precision_loss)]
fn millions(count: u64) -> f64 {
    count as f64 / 1e6
}

fn numbers(output: &Output) -> Vec<f64> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn once_in_process(what: &str, directory: &Path, times: usize) -> Output {
    let mut program = Command::new(std::env::current_exe().unwrap());
    let output = program.args(["once", what]).arg(directory).arg(times.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Set in a process whose instructions are counted.
const COUNTED: &str = "ROTOTO_BENCH_COUNTED";

fn instructions(what: &str, directory: &Path, times: usize) -> u64 {
    let output = Command::new("valgrind")
        .env(COUNTED, "")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["once", what])
        .arg(directory)
        .arg(times.to_string())
        .output()
        .expect("valgrind must be installed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find_map(|line| line.split_once("Collected : ")).unwrap_or_else(|| panic!("{text}"));
    line.1.trim().parse().unwrap()
}

/// Runs one part in this process, and prints its figures.
pub fn once(what: &str, directory: &Path, times: usize) {
    match what {
        "nothing" => {}
        "engine" => measure(|| {
            let parsed = parse(read(directory));
            assert!(!lint(&parsed).has_errors());
            let compiled = compile(&parsed).unwrap();
            (parsed, compiled)
        }),
        "engine-fingerprint" => measure(|| {
            let parsed = parse(read(directory));
            assert!(!lint(&parsed).has_errors());
            let compiled = compile(&parsed).unwrap();
            std::hint::black_box(compiled.fingerprint());
            (parsed, compiled)
        }),
        "follower" => measure(|| {
            let compiled = compile_tree_after(&Compiled::default(), read(directory)).unwrap();
            std::hint::black_box(compiled.fingerprint());
            compiled
        }),
        "alpha.4" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            measure(|| runtime.block_on(reference::Workspace::load(directory.to_str().unwrap())).unwrap());
        }
        change => follow(change, directory, times),
    }
}

/// Loads, and prints the cost. Outside of callgrind it loads a second time, for the live heap.
#[allow(clippy::cast_precision_loss)]
fn measure<T>(load: impl Fn() -> T) {
    let (region, started) = (Region::new(ALLOCATOR), Instant::now());
    let first = load();
    let (elapsed, allocations, peak) = (started.elapsed(), region.change().allocations, peak_resident());
    if std::env::var_os(COUNTED).is_some() {
        return;
    }
    let region = Region::new(ALLOCATOR);
    let second = load();
    let change = region.change();
    let live = change.bytes_allocated.saturating_sub(change.bytes_deallocated) as f64 / 1e6;
    println!("{} {allocations} {live} {peak}", elapsed.as_secs_f64() * 1e3);
    drop((first, second));
}

/// Returns the peak of the resident memory of this process in MB, as the kernel counts it.
fn peak_resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e3
}

/// The state that one process keeps between changes: a process that lints, or with only `compiled` a follower.
struct FollowedProcess {
    parsed: Parsed,
    linted: Linted,
    compiled: Compiled,
}

#[allow(clippy::cast_precision_loss)]
fn follow(what: &str, directory: &Path, times: usize) {
    let parsed = parse(read(directory));
    let (linted, compiled) = (lint_after(&Linted::default(), &parsed), compile(&parsed).unwrap());
    let variables = parsed.summary().variables;
    let mut followed = FollowedProcess { parsed, linted, compiled };
    // The names are known before, as they are in a running process.
    std::hint::black_box(followed.parsed.fingerprint());
    // The operator's work is done before, and is the same whether the snapshots are followed or not.
    let mut snapshots = Vec::new();
    if what == "change-follower" {
        followed.compiled = compile_tree_after(&Compiled::default(), read(directory)).unwrap();
        let mut tree = followed.compiled.tree().clone();
        for edition in 1..=SNAPSHOTS {
            let before = tree.clone();
            let (path, text) = shapes::changed_variable(edition * 37 % variables, edition);
            tree.insert(path, text.into_bytes());
            let bytes = snapshot::pack(&tree, Some(&before)).unwrap();
            snapshots.push(Snapshot { bytes, fingerprint: tree.fingerprint() });
        }
    }
    let (mut elapsed, mut allocations) = (Vec::new(), Vec::new());
    for edition in 1..=times {
        let (path, text) = match what {
            "change-qualifier-lint" => shapes::changed_qualifier(edition * 37, edition),
            "change-object-lint" => shapes::changed_object(edition * 37, edition),
            _ => shapes::changed_variable(edition * 37 % variables, edition),
        };
        let snapshot = snapshots.get(edition - 1);
        let (region, started) = (Region::new(ALLOCATOR), Instant::now());
        match snapshot {
            Some(snapshot) => followed.take(snapshot),
            None => followed.follow(path, text.into_bytes(), what),
        }
        elapsed.push(started.elapsed());
        allocations.push(region.change().allocations);
    }
    elapsed.sort_unstable();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let (Some(max), Some(most)) = (elapsed.last(), allocations.iter().max()) else { return };
    let (mean, p99) = (elapsed.iter().sum::<Duration>() / elapsed.len() as u32, elapsed[elapsed.len() * 99 / 100]);
    let mean_allocations = allocations.iter().sum::<usize>() as f64 / allocations.len() as f64;
    println!("{} {} {} {mean_allocations} {most}", micros(mean), micros(p99), micros(*max));
}

/// The bytes that an operator sends to a follower after a change.
struct Snapshot {
    bytes: Vec<u8>,
    fingerprint: Fingerprint,
}

impl FollowedProcess {
    /// Follows one change as a follower does, from the snapshot to the swap.
    fn take(&mut self, Snapshot { bytes, fingerprint }: &Snapshot) {
        let limits = Limits { entries: 100_000, ..Limits::default() };
        let tree = snapshot::unpack(bytes, *fingerprint, Some(self.compiled.tree()), &limits).unwrap();
        self.compiled = compile_tree_after(&self.compiled, tree).unwrap();
    }

    /// Follows one change, from the bytes of the changed file to the swap.
    fn follow(&mut self, path: String, bytes: Vec<u8>, what: &str) {
        let mut tree: Tree = self.parsed.tree().clone();
        tree.insert(path, bytes);
        self.parsed = parse_after(&self.parsed, tree);
        if what.ends_with("lint") {
            self.linted = lint_after(&self.linted, &self.parsed);
            assert!(!self.linted.lint().has_errors());
        }
        self.compiled = compile_after(&self.compiled, &self.parsed).unwrap();
        if what.ends_with("fingerprint") {
            std::hint::black_box(self.compiled.fingerprint());
        }
    }
}

fn read(directory: &Path) -> Tree {
    let mut tree = Tree::default();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                tree.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    tree
}
