//! The API server's own counts of writes.

use std::collections::BTreeMap;

use rototo_tests::harness::Cluster;

/// Counts by verb and resource.
pub type Counts = BTreeMap<String, u64>;

/// Reads the counts of writes, reviews among them.
pub fn requests(cluster: &Cluster) -> anyhow::Result<Counts> {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"])?;
    let mut counts = Counts::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{")) {
        let Some((labels, count)) = line.rsplit_once("} ") else { continue };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let (verb, resource, sub) = (label("verb"), label("resource"), label("subresource").unwrap_or_default());
        let (Some(verb), Some(resource)) = (verb, resource) else { continue };
        if !["GET", "LIST", "WATCH"].contains(&verb) {
            let separator = if sub.is_empty() { "" } else { "/" };
            let name = format!("{verb} {resource}{separator}{sub}");
            *counts.entry(name).or_default() += count.parse::<f64>().unwrap_or_default() as u64;
        }
    }
    Ok(counts)
}

/// Prints how much each count has grown.
pub fn print(before: &Counts, after: &Counts) {
    let grown = after.iter().map(|(name, count)| (name, count - before.get(name).copied().unwrap_or_default()));
    let grown: Vec<_> = grown.filter(|(_, count)| *count > 0).collect();
    if grown.is_empty() {
        println!("{:>8}", "none");
    }
    for (name, count) in grown {
        println!("{count:>8}  {name}");
    }
}
