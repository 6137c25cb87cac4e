//! `cargo xtask bench resolve | load`: measures the engine beside the reference, other engines, and a hand-written
//! minimum.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attributes;
mod baseline;
mod load;
mod peers;
mod resolve;
mod shapes;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["resolve"] => resolve::run(),
        ["load"] => load::run(),
        ["once", what, directory, times] => load::once(what, directory.as_ref(), times.parse().unwrap()),
        _ => {
            eprintln!("usage: rototo-engine-benches resolve | load");
            std::process::exit(2);
        }
    }
}
