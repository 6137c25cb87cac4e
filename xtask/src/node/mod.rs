//! `cargo xtask node`: two real Kubernetes nodes on this machine, and tests of the product in their pods.
//!
//! [`machine`] starts and ends the nodes that [`nodes`] describes, [`programs`] supplies what they consist of, and [`images`]
//! gives them the images of `cargo xtask image`. [`steps`] proves one thing each, mostly in a [`scene`]: a namespace with a
//! workspace and a fleet.

mod cluster;
mod control_groups;
mod images;
mod machine;
mod network;
mod nodes;
mod observer;
mod process_counter;
mod programs;
mod python;
mod scene;
mod steps;
mod wait;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::cargo;
use machine::Machine;

/// The arguments of `cargo xtask node`.
#[derive(Args)]
pub struct NodeArguments {
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Subcommand)]
enum NodeCommand {
    /// Start the nodes, and print the path of their kubeconfig.
    Up(NodeOptions),
    /// Start the nodes, run the product in their pods, and end the nodes.
    Test(TestArguments),
    /// End the nodes.
    Down {
        /// The directory of the nodes.
        #[arg(long, value_name = "DIR", default_value = STATE)]
        state: PathBuf,
    },
}

#[derive(Args)]
struct NodeOptions {
    /// The directory of the nodes. It may not be below /run or /var, of which each node has its own.
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
    /// A directory with the layouts of the images, as `cargo xtask image` writes it. Without it, the images are built.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

#[derive(Args)]
struct TestArguments {
    /// The steps; all by default. The first two, which the others need, always run.
    names: Vec<String>,
    #[command(flatten)]
    node: NodeOptions,
    /// List the steps.
    #[arg(long)]
    list: bool,
    /// Use the nodes that run, with the images that they have.
    #[arg(long)]
    running: bool,
    /// Leave the nodes running.
    #[arg(long)]
    keep: bool,
}

const STATE: &str = "/tmp/rototo-node";

/// Starts, tests, or ends the nodes.
pub fn run(arguments: &NodeArguments) -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the nodes need Linux");
    }
    match &arguments.command {
        NodeCommand::Up(options) => {
            println!("{}", up(options)?.kubeconfig().display());
            Ok(())
        }
        NodeCommand::Down { state } => machine::end(&absolute(state)?),
        NodeCommand::Test(arguments) if arguments.list => {
            println!("{}", steps::list());
            Ok(())
        }
        NodeCommand::Test(arguments) => test(arguments),
    }
}

fn test(arguments: &TestArguments) -> anyhow::Result<()> {
    let chosen = steps::chosen(&arguments.names)?;
    let machine =
        if arguments.running { Machine::running(&absolute(&arguments.node.state)?)? } else { up(&arguments.node)? };
    let result = steps::run(&machine, &chosen);
    if !arguments.keep && !arguments.running {
        machine::end(&machine.state)?;
    }
    result
}

fn up(options: &NodeOptions) -> anyhow::Result<Machine> {
    let state = absolute(&options.state)?;
    let layouts = layouts(options.images.as_deref())?;
    let started = Instant::now();
    let machine = Machine::start(&state, &layouts)?;
    eprintln!("The nodes are ready after {:.1} s.", started.elapsed().as_secs_f64());
    Ok(machine)
}

/// Returns the directory of the images' layouts. Builds them if no directory is given.
fn layouts(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let folder = cargo::binaries()?.with_file_name("oci");
    let mut image = Command::new(std::env::current_exe().context("find this program")?);
    cargo::run({
        image.arg("image").args(images::NAMES).arg("--out").arg(&folder);
        image
    })?;
    Ok(folder)
}

/// Returns the path of a state directory, which scripts, sockets, and mounts name.
fn absolute(state: &Path) -> anyhow::Result<PathBuf> {
    let state = std::path::absolute(state).with_context(|| format!("find {}", state.display()))?;
    let own = ["/run", "/var", "/proc", "/sys", "/dev"];
    if own.iter().any(|folder| state.starts_with(folder)) {
        bail!("{} is below a directory of which each node has its own", state.display());
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_is_not_where_a_node_has_its_own_files() {
        assert!(absolute(Path::new("/var/lib/node")).is_err());
        assert_eq!(absolute(Path::new("/tmp/node")).unwrap(), Path::new("/tmp/node"));
    }
}
