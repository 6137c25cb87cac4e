//! `cargo xtask COMMAND`: the commands of this project for contributors.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use clap::Parser;
use xtask::{
    alerts, bench, chaos, control_plane, demo, deny, fuzz, generate, image, node, page, release, sdks, simulate, test,
};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Command {
    /// Show how one configuration change reaches a fleet, on a real control plane of its own.
    Demo(demo::DemoArguments),
    /// Build every program once, then run every test.
    Test(test::TestArguments),
    /// Write the files that are generated: the CRD, its copy in the chart, the chart's README, and the page on lint rules.
    Generate(generate::GenerateArguments),
    /// Feed arbitrary bytes to every parser.
    Fuzz(fuzz::FuzzArguments),
    /// Run random histories that try to make the answer false.
    Simulate(simulate::SimulateArguments),
    /// Cause random faults in real parts, and check every claim against the processes.
    Chaos(chaos::ChaosArguments),
    /// Measure the time that a change takes.
    Bench(bench::BenchArguments),
    /// Check the licences, sources, and known vulnerabilities of all dependencies.
    Deny(deny::DenyArguments),
    /// Check and test the chart's alerts with promtool.
    Alerts,
    /// Write container images without a container engine, and the same bytes twice.
    Image(image::ImageArguments),
    /// Start two real Kubernetes nodes on this machine, and test the product in their pods.
    Node(node::NodeArguments),
    /// Run the official OpenFeature SDKs of other languages against a real agent, and print a matrix.
    Sdks(sdks::SdksArguments),
    /// Walk through the page in a real Chromium, on a real operator and a real fleet.
    Page(page::PageArguments),
    /// Make all files of a release, the same bytes twice, and push images and chart.
    Release(release::ReleaseArguments),
    /// Supply etcd, kube-apiserver, kube-controller-manager, kubectl, and helm, and print their paths.
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
        Command::Deny(arguments) => deny::run(&arguments),
        Command::Alerts => alerts::run(),
        Command::Image(arguments) => image::run(&arguments),
        Command::Node(arguments) => node::run(&arguments),
        Command::Sdks(arguments) => sdks::run(&arguments),
        Command::Page(arguments) => page::run(&arguments),
        Command::Release(arguments) => release::run(&arguments),
        Command::ControlPlane => control_plane::run(),
    }
}
