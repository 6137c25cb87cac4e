//! The networks of the nodes: each is a network namespace, joined by one pair of interfaces to this machine or to another
//! node. No node has a default route, so no packet leaves this machine.

use std::process::Command;

use super::nodes::Node;
use crate::command::output;

/// The name of the end of the pair that is in the node.
const INSIDE: &str = "node0";
/// The hardware address of that end. The neighbour knows it and never asks for it, so that it goes on sending to a node that
/// has no power, and nobody answers: a router far from the node does the same.
const HARDWARE: &str = "02:00:00:00:00:01";

/// The way between a node and its neighbour.
pub(crate) struct Link {
    /// The network namespace of the neighbour, which is this machine if there is none.
    pub(crate) neighbour: Option<&'static str>,
    pub(crate) neighbour_address: &'static str,
    /// The networks that the node reaches through its neighbour. Services are among them: a process of the node may call
    /// one, and its address is replaced before the packet leaves.
    pub(crate) outward: &'static [&'static str],
    /// The networks that the neighbour reaches through the node.
    pub(crate) inward: &'static [&'static str],
}

/// Makes the network of a node, so that programs of this machine can reach its pods.
pub(crate) fn join(node: &Node) -> anyhow::Result<()> {
    let (unit, link) = (node.unit, &node.link);
    let (outside, inside) = (format!("{}/24", link.neighbour_address), format!("{}/24", node.address));
    ip(None, &["netns", "add", unit])?;
    let pair = ["link", "add", unit, "type", "veth", "peer", "name", INSIDE, "address", HARDWARE, "netns", unit];
    ip(link.neighbour, &pair)?;
    ip(link.neighbour, &["address", "add", &outside, "dev", unit])?;
    ip(link.neighbour, &["link", "set", unit, "up"])?;
    ip(Some(unit), &["address", "add", &inside, "dev", INSIDE])?;
    ip(Some(unit), &["link", "set", "lo", "up"])?;
    ip(Some(unit), &["link", "set", INSIDE, "up"])?;
    ip(link.neighbour, &["neigh", "add", node.address, "lladdr", HARDWARE, "dev", unit, "nud", "permanent"])?;
    let routes = |from, networks: &[&str], via: &str| {
        networks.iter().try_for_each(|network| ip(from, &["route", "add", network, "via", via]))
    };
    routes(Some(unit), link.outward, link.neighbour_address)?;
    routes(link.neighbour, link.inward, node.address)
}

/// Pulls the cable of a node: packets to it and from it are lost, and nobody is notified.
pub(crate) fn disconnect(node: &Node) -> anyhow::Result<()> {
    ip(Some(node.unit), &["link", "set", INSIDE, "down"])
}

/// Removes the network of a node. Nothing to remove is no failure: an earlier end may have been interrupted.
pub(crate) fn leave(node: &Node) {
    let _ = ip(node.link.neighbour, &["link", "delete", node.unit]);
    let _ = ip(None, &["netns", "delete", node.unit]);
}

/// Returns whether the network namespace of a node exists.
pub(crate) fn exists(node: &Node) -> anyhow::Result<bool> {
    let all = output(Command::new("ip").args(["netns", "list"]))?;
    Ok(all.split_whitespace().any(|word| word == node.unit))
}

/// Runs `ip` in a network namespace, or in that of this machine.
fn ip(namespace: Option<&str>, arguments: &[&str]) -> anyhow::Result<()> {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-netns", namespace]);
    }
    output(ip.args(arguments)).map(drop)
}
