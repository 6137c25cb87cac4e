//! Loading a workspace and following a change of one file: instructions as callgrind counts them, wall time, and memory.
//!
//! Each figure is the difference between two processes that differ in nothing else.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rototo_engine::{Compiled, Parsed, Tree, compile, compile_after, lint, parse, parse_after};
use stats_alloc::Region;

use crate::{ALLOCATOR, shapes};

pub fn run() {
    for (shape, variables) in [("b", 1_000), ("c", 10_000)] {
        let directory = tempfile::tempdir().unwrap();
        write(&shapes::workspace(variables), directory.path());
        let count = |what: &str, times: u64| instructions(what, directory.path(), times);
        let nothing = count("nothing", 1);
        println!("{shape}: {variables} variables; instructions in millions");
        println!("  ours, read + parse + lint + compile  {:>10.2}", millions(count("ours", 1) - nothing));
        // The reference needs half an hour for the large one under callgrind.
        if shape == "b" {
            println!("  alpha.4, load                        {:>10.2}", millions(count("alpha.4", 1) - nothing));
        }
        for what in ["change", "change-fingerprint", "change-lint"] {
            let (few, many) = (count(what, 1), count(what, 11));
            println!("  ours, {what:<30} {:>10.3}", millions(many - few) / 10.0);
        }
        for what in ["ours", "alpha.4"] {
            if shape == "b" || what == "ours" {
                let program = std::env::current_exe().unwrap();
                let run = Command::new(program).args(["once", what]).arg(directory.path()).arg("1").output().unwrap();
                print!("  {what}: {}", String::from_utf8_lossy(&run.stdout));
            }
        }
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

fn instructions(what: &str, directory: &Path, times: u64) -> u64 {
    let output = Command::new("valgrind")
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

/// Does one thing, in a process of its own.
pub fn once(what: &str, directory: &Path, times: usize) {
    let (region, started) = (Region::new(ALLOCATOR), Instant::now());
    let done = || {
        let change = region.change();
        let live = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        println!("{:?}, {} allocations, {live} bytes live", started.elapsed(), change.allocations);
    };
    match what {
        "nothing" => {}
        "ours" => {
            let parsed = parse(read(directory));
            assert!(!lint(&parsed).has_errors());
            let compiled = compile(&parsed).unwrap();
            done();
            drop(compiled);
        }
        "alpha.4" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let workspace = runtime.block_on(reference::Workspace::load(directory.to_str().unwrap())).unwrap();
            done();
            drop(workspace);
        }
        change => follow(change, directory, times),
    }
}

fn follow(what: &str, directory: &Path, times: usize) {
    let mut parsed = parse(read(directory));
    let mut compiled = compile(&parsed).unwrap();
    for edition in 1..=times {
        (parsed, compiled) = next(&parsed, &compiled, edition);
        match what {
            "change-fingerprint" => drop(std::hint::black_box(compiled.fingerprint())),
            "change-lint" => assert!(!lint(&parsed).has_errors()),
            _ => {}
        }
    }
}

/// From the bytes of one changed file to what is swapped in.
fn next(parsed: &Parsed, compiled: &Compiled, edition: usize) -> (Parsed, Compiled) {
    let mut tree: Tree = parsed.tree().clone();
    tree.insert(shapes::path(500), shapes::variable(500, edition).into_bytes());
    let parsed = parse_after(parsed, tree);
    let compiled = compile_after(compiled, &parsed).unwrap();
    (parsed, compiled)
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
