//! `cargo xtask COMMAND`: everything that a contributor runs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use clap::Parser;
use xtask::{bench, chaos, control_plane, demo, fuzz, generate, simulate, test};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Command {
    /// Show one configuration change reach a fleet, on a real control plane of its own.
    Demo(demo::DemoArguments),
    /// Build everything once, then run every test.
    Test(test::TestArguments),
    /// Write the files that are made from code: the CRD, the chart's copy of it, and the page on lint rules.
    Generate(generate::GenerateArguments),
    /// Feed arbitrary bytes to everything that reads bytes.
    Fuzz(fuzz::FuzzArguments),
    /// Let random histories try to make the answer false.
    Simulate(simulate::SimulateArguments),
    /// Let random faults happen to real parts, and check every claim against the processes.
    Chaos(chaos::ChaosArguments),
    /// Measure how fast a change arrives.
    Bench(bench::BenchArguments),
    /// Supply etcd, kube-apiserver, kube-controller-manager, kubectl, and helm, and print where they are.
    ControlPlane,
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::ControlPlane => {
            println!("{}", control_plane::Programs::ensure()?);
            Ok(())
        }
    }
}
