//! Writes the workspaces of several clusters as one table, and one answer below it. Pure: from statuses and the time.

use std::collections::BTreeMap;

use clap::builder::styling::Style;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;
use rototo_page::{Claim, row};

use crate::cluster::claim::{self, is_ahead};
use crate::cluster::page::{ago, short_fingerprint};
use crate::terminal::style::{BAD, DIM, GOOD};
use crate::terminal::wording::{count, plain};

/// The workspaces of a cluster.
pub(crate) struct ClusterWorkspaces {
    /// The context of the kubeconfig.
    pub(crate) context: String,
    /// The workspaces, or the reason why they can't be read.
    pub(crate) workspaces: anyhow::Result<Vec<RototoWorkspace>>,
}

/// The text of a cell, and its style.
type Cell = (String, Style);

const PLAIN: Style = Style::new();
const HEADER: [&str; 6] = ["CLUSTER", "WORKSPACE", "STATE", "PUBLISHED", "FLEET", "CLAIMED"];

/// Returns a line for each workspace, and the answer for all of them.
pub(crate) fn table(clusters: &[ClusterWorkspaces], now: Timestamp) -> String {
    let header = HEADER.map(|title| (title.to_owned(), DIM)).to_vec();
    let rows: Vec<Vec<Cell>> = std::iter::once(header).chain(clusters.iter().flat_map(|one| rows(one, now))).collect();
    let width =
        |column: usize| rows.iter().map(|row| row.get(column).map_or(0, |(text, _)| text.chars().count())).max();
    let widths: Vec<usize> = (0..HEADER.len()).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, ((cell, style), width))| {
            let last = column + 1 == row.len();
            let padding = if last { 0 } else { width.saturating_sub(cell.chars().count()) };
            format!("{style}{cell}{style:#}{:padding$}", "")
        });
        text += &cells.collect::<Vec<_>>().join("  ");
        text.push('\n');
    }
    format!("{text}\n{}\n", answer(clusters, now))
}

fn rows(cluster: &ClusterWorkspaces, now: Timestamp) -> Vec<Vec<Cell>> {
    let context = plain(&cluster.context);
    let workspaces = match &cluster.workspaces {
        Ok(workspaces) if workspaces.is_empty() => return vec![vec![(context, PLAIN), ("none".to_owned(), DIM)]],
        Ok(workspaces) => workspaces,
        Err(_) => return vec![vec![(context, PLAIN), ("can't be read".to_owned(), BAD)]],
    };
    let line = |workspace: &RototoWorkspace| {
        let shown = row(workspace, Claim::Stored);
        let (applied, total) = shown.fleet();
        let state = if shown.is_converged() { GOOD } else { BAD };
        let claimed = workspace.status.as_ref().and_then(claim::as_of);
        let clock = if claimed.is_some_and(|time| is_ahead(time, now)) { BAD } else { PLAIN };
        vec![
            (context.clone(), PLAIN),
            (full_name(workspace), PLAIN),
            (shown.title().to_owned(), state),
            (shown.version().map_or_else(|| "-".to_owned(), plain), PLAIN),
            (format!("{applied}/{total}"), PLAIN),
            (claimed.map_or_else(|| "never".to_owned(), |time| ago(time, now)), clock),
        ]
    };
    workspaces.iter().map(line).collect()
}

fn full_name(workspace: &RototoWorkspace) -> String {
    format!("{}/{}", workspace.namespace().unwrap_or_default(), workspace.name_any())
}

/// Returns one sentence for all clusters. A cluster that can't be read has converged nowhere.
fn answer(clusters: &[ClusterWorkspaces], now: Timestamp) -> String {
    let workspaces: Vec<&RototoWorkspace> = clusters.iter().flat_map(|one| one.workspaces.iter().flatten()).collect();
    let converged = workspaces.iter().filter(|workspace| row(workspace, Claim::Stored).is_converged()).count();
    let mut text = format!("{converged} of {} converged", count(workspaces.len(), "workspace"));
    let claims = workspaces.iter().filter_map(|workspace| claim::as_of(workspace.status.as_ref()?));
    let (ahead, past): (Vec<_>, Vec<_>) = claims.partition(|time| is_ahead(*time, now));
    if let Some(oldest) = past.into_iter().min() {
        text += &format!("; the oldest claim is of {}", ago(oldest, now));
    }
    if let Some(newest) = ahead.into_iter().max() {
        text += &format!("; a claim is of {} by this machine's clock: one of the clocks is wrong", ago(newest, now));
    }
    let unread = clusters.iter().filter(|one| one.workspaces.is_err()).count();
    if unread > 0 {
        text += &format!("; {} can't be read", count(unread, "cluster"));
    }
    for (name, versions) in versions(clusters) {
        text += &format!("\n{name} is not the same everywhere: {}", versions.join(", "));
    }
    text
}

/// Returns the workspaces that publish different content in different clusters.
fn versions(clusters: &[ClusterWorkspaces]) -> BTreeMap<String, Vec<String>> {
    let mut contents: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    for cluster in clusters {
        for workspace in cluster.workspaces.iter().flatten() {
            let published = workspace.status.as_ref().and_then(|status| status.published.as_ref());
            let content = published.map_or_else(|| "nothing".to_owned(), |one| short_fingerprint(&one.fingerprint));
            contents.entry(full_name(workspace)).or_default().push((&cluster.context, content));
        }
    }
    contents.retain(|_, contents| contents.iter().any(|(_, content)| *content != contents[0].1));
    let shown = |(context, content): (&str, String)| format!("{content} in {}", plain(context));
    contents.into_iter().map(|(name, contents)| (name, contents.into_iter().map(shown).collect())).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use serde_json::json;

    use super::*;

    fn workspace(fingerprint: &str, converged: &str, as_of: &str) -> RototoWorkspace {
        let condition = |type_: &str, status: &str| {
            json!({ "type": type_, "status": status, "reason": "Test", "message": "",
                "lastTransitionTime": "2026-11-20T18:30:00Z" })
        };
        let reason = if converged == "True" { "Converged" } else { "DeadlineExceeded" };
        let mut conditions = [condition("Ready", converged), condition("Converged", converged)];
        conditions[1]["reason"] = json!(reason);
        serde_json::from_value(json!({
            "metadata": { "namespace": "shop", "name": "policy" }, "spec": { "source": "x" },
            "status": {
                "conditions": conditions,
                "published": { "fingerprint": fingerprint, "revision": "main@sha1:4d123d613b6bc220",
                    "updatedAt": "2026-11-20T18:38:00.000000Z" },
                "fleet": { "expected": 3, "processes": 3, "applied": 3, "rejected": 0, "silent": 0, "asOf": as_of },
            },
        }))
        .unwrap()
    }

    fn shown(clusters: &[ClusterWorkspaces]) -> String {
        anstream::adapter::strip_str(&table(clusters, "2026-11-20T18:41:00Z".parse().unwrap())).to_string()
    }

    fn cluster(context: &str, workspaces: anyhow::Result<Vec<RototoWorkspace>>) -> ClusterWorkspaces {
        ClusterWorkspaces { context: context.to_owned(), workspaces }
    }

    #[test]
    fn several_clusters_have_a_line_for_each_workspace_and_one_answer() {
        let content = "sha256:9f2c1a7d00";
        let clusters = [
            cluster("eu", Ok(vec![workspace(content, "True", "2026-11-20T18:40:57Z")])),
            cluster("us-east", Ok(vec![workspace(content, "True", "2026-11-20T18:38:00Z")])),
        ];
        let expected = "\
CLUSTER  WORKSPACE    STATE      PUBLISHED  FLEET  CLAIMED
eu       shop/policy  Converged  4d123d61   3/3    3 s ago
us-east  shop/policy  Converged  4d123d61   3/3    3 min ago

2 of 2 workspaces converged; the oldest claim is of 3 min ago
";
        assert_eq!(shown(&clusters), expected);
    }

    #[test]
    fn a_claim_from_the_future_is_shown_as_the_fault_of_a_clock() {
        let content = "sha256:9f2c1a7d00";
        let [ahead, hardly] = ["2026-11-20T21:41:00Z", "2026-11-20T18:41:59Z"];
        let clusters = [
            cluster("eu", Ok(vec![workspace(content, "True", ahead)])),
            cluster("us", Ok(vec![workspace(content, "True", hardly)])),
        ];
        let text = shown(&clusters);
        assert!(text.contains("3/3    3 h in the future\n") && text.contains("3/3    0 s ago\n"), "{text}");
        let answer = "; the oldest claim is of 0 s ago; a claim is of 3 h in the future by this machine's clock: one of \
            the clocks is wrong\n";
        assert!(text.ends_with(answer), "{text}");
        let styled = table(&clusters, "2026-11-20T18:41:00Z".parse().unwrap());
        assert!(styled.contains(&format!("{BAD}3 h in the future{BAD:#}")), "{styled}");
    }

    #[test]
    fn a_spec_that_nobody_has_observed_has_not_converged() {
        let mut changed = workspace("sha256:9f2c1a7d00", "True", "2026-11-20T18:40:57Z");
        changed.metadata.generation = Some(2);
        changed.status.as_mut().unwrap().observed_generation = Some(1);
        let text = shown(&[cluster("eu", Ok(vec![changed]))]);
        assert!(text.contains("shop/policy  Not observed ") && text.contains("\n0 of 1 workspace converged"), "{text}");
    }

    #[test]
    fn a_cluster_that_cannot_be_read_and_different_contents_are_part_of_the_answer() {
        let clusters = [
            cluster("eu", Ok(vec![workspace("sha256:9f2c1a7d00", "True", "2026-11-20T18:40:57Z")])),
            cluster("us", Ok(vec![workspace("sha256:1bca000000", "False", "2026-11-20T18:40:59Z")])),
            cluster("ap", Err(anyhow!("no route"))),
            cluster("sa", Ok(vec![])),
        ];
        let text = shown(&clusters);
        assert!(text.contains("us       shop/policy    Behind "), "{text}");
        assert!(text.contains("ap       can't be read\nsa       none\n"), "{text}");
        let answer = "1 of 2 workspaces converged; the oldest claim is of 3 s ago; 1 cluster can't be read\n\
            shop/policy is not the same everywhere: 9f2c1a7d in eu, 1bca0000 in us\n";
        assert!(text.ends_with(answer), "{text}");
    }
}
