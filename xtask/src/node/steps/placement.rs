//! The nodes on which pods run.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::ends::evict;
use super::install::RELEASE;
use crate::node::cluster::Cluster;
use crate::node::nodes::{NODES, Node};
use crate::node::scene::{SOON, Scene, name};
use crate::node::wait::wait_for;

/// Returns the node of a pod.
pub(super) fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// Returns the number of pods on each node, such as `1 on node1, 2 on node2`.
pub(super) fn line(pods: &[Value]) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    for pod in pods {
        *counts.entry(node_of(pod)).or_default() += 1;
    }
    counts.iter().map(|(node, count)| format!("{count} on {node}")).collect::<Vec<_>>().join(", ")
}

/// Returns whether each node has one of these pods.
pub(super) fn are_on_all_nodes(pods: &[Value]) -> bool {
    NODES.iter().all(|node| pods.iter().any(|pod| node_of(pod) == node.name))
}

/// Has the scheduler spread the pods of a Deployment over the nodes that can take pods.
pub(super) fn spread(deployment: &mut Value) {
    let labels = deployment["spec"]["selector"].clone();
    deployment["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor", "labelSelector": labels,
    }]);
}

/// Has the pods of a Deployment run on one node.
pub(super) fn keep_on(deployment: &mut Value, node: &Node) {
    deployment["spec"]["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node.name});
}

/// Returns the pods of the operator.
pub(super) fn operators(home: &Scene) -> anyhow::Result<Vec<Value>> {
    home.pods("app.kubernetes.io/name=rototo-operator")
}

/// Returns the pod that leads.
pub(super) fn holder(home: &Scene) -> anyhow::Result<String> {
    let lease = home.get(&["lease", RELEASE])?;
    let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
    holder.map(str::to_owned).context("nobody holds the Lease")
}

/// Replaces the pods of the operator, and waits until the new ones are ready.
pub(super) fn replace_operators(home: &Scene) -> anyhow::Result<()> {
    home.kubectl(&["rollout", "restart", "deployment", RELEASE])?;
    await_operators(home)
}

/// Waits until the pods of the operator are ready.
pub(super) fn await_operators(home: &Scene) -> anyhow::Result<()> {
    home.kubectl(&["rollout", "status", "deployment", RELEASE, "--timeout=180s"]).map(drop)
}

/// Has the leader of the operators run on a node, and another one on the other node.
pub(super) fn lead_on(home: &Scene, node: &Node) -> anyhow::Result<()> {
    await_operators(home)?;
    if !are_on_all_nodes(&operators(home)?) {
        replace_operators(home)?;
    }
    let leader = home.pod_named(&holder(home)?)?;
    if node_of(&leader) != node.name {
        evict(home, name(&leader))?;
    }
    wait_for(&format!("an operator on {} leads", node.name), SOON, || {
        let leader = holder(home)?;
        let found = home.pod_named(&leader)?;
        ensure!(node_of(&found) == node.name, "{leader} on {} leads", node_of(&found));
        Ok(())
    })?;
    await_operators(home)?;
    let operators = operators(home)?;
    ensure!(are_on_all_nodes(&operators), "the operators are not spread: {}", line(&operators));
    Ok(())
}

/// Nodes that take no new pods until this is dropped.
pub(super) struct Cordoned<'a> {
    cluster: &'a Cluster,
    nodes: Vec<&'static str>,
}

impl<'a> Cordoned<'a> {
    pub(super) fn cordon(cluster: &'a Cluster, nodes: Vec<&'static str>) -> anyhow::Result<Self> {
        let cordoned = Self { cluster, nodes };
        cordoned.cluster.kubectl(&[&["cordon"][..], &cordoned.nodes].concat())?;
        Ok(cordoned)
    }
}

impl Drop for Cordoned<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.kubectl(&[&["uncordon"][..], &self.nodes].concat()) {
            eprintln!("{} still take no pods: {error:#}", self.nodes.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_counted_by_their_nodes() {
        let pods = ["node2", "node1", "node2"].map(|node| json!({"spec": {"nodeName": node}}));
        assert_eq!(line(&pods), "1 on node1, 2 on node2");
        assert!(are_on_all_nodes(&pods) && !are_on_all_nodes(&pods[..1]));
    }
}
