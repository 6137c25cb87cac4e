//! The pages in `docs/reference/` show the output of `kubectl`.
//!
//! With `ROTOTO_UPDATE=1` the tests write the pages, and otherwise they compare them.

use std::env;
use std::fs;

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use rototo_api::workspace::RototoWorkspaceStatus;
use rototo_tests::harness::{Cluster, ControlPlane, Fleet, Namespace, Observation, PATIENCE, until, until_async};

use crate::scene::{POLICY, Scene, TRIAL, WORKSPACE};

/// The source that the pages show in place of the path of the test's repository.
const SOURCE: &str = "git+https://git.example.com/acme/runtime-config.git";
const COMMITS: [&str; 3] = [
    "5a76419f3d0c2b6e8f14a97c50de6b18a4c9f032",
    "cf5b35b530ec43420e0920fb2045baa2b3da0815",
    "6e8d7aba91f4c05e7d2b3846fa1c09e5d7b6a284",
];

#[tokio::test]
async fn kubectl_explain_matches_the_reference() {
    let cluster = ControlPlane::shared().unwrap();
    // kubectl may not have discovered a CRD that the API server already serves.
    until("kubectl to know the resource", PATIENCE, || {
        let explained = cluster.kubectl(&["explain", "rws"]);
        Ok(explained.map_or_else(|error| Observation::NotYet(error.to_string()), |_| Observation::Done(())))
    })
    .unwrap();
    let mut page = Page::new(
        "fields.md",
        "The fields of a RototoWorkspace",
        "The manual that is in the cluster: `kubectl explain rws.spec`, and so on for each field.",
    );
    for field in
        ["spec", "spec.fleet", "spec.lint", "status", "status.published", "status.fleet", "status.fleet.millis"]
    {
        let command = format!("explain rws.{field}");
        page.heading(&format!("`{field}`"));
        page.transcript(&command, &run(cluster, None, &command));
    }
    page.check();
}

#[tokio::test]
async fn kubectl_get_and_describe_match_the_reference() {
    let scene = Scene::published("docs").await;
    let first = scene.repository.head().unwrap();
    let _fleet = Fleet::start(&scene.app().name("app"), 3).await.unwrap();
    scene.wait_for_fleet(3).await;
    let second = scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    let mut page = Page::new(
        "kubectl.md",
        "A RototoWorkspace in kubectl",
        "Three pods follow a workspace. Reasons and Events are explained in [conditions.md](conditions.md).",
    );

    let status = scene.wait_for_fleet(3).await;
    let stable = Stable::new(&scene, &status, &[&first, &second]).await;
    wait_for_events(&scene, 2).await;
    page.heading("A change has reached every process");
    for command in ["get rws", "get rws -o wide", "describe rws degradation"] {
        page.transcript(command, &stable.text(&run(scene.namespace.cluster(), Some(&scene.namespace), command)));
    }

    let third = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 0").unwrap();
    let status = scene.push().await;
    let stable = Stable::new(&scene, &status, &[&first, &second, &third]).await;
    wait_for_events(&scene, 3).await;
    page.heading("The next one was refused by lint");
    for command in ["get rws", "get rws -o wide", "describe rws degradation"] {
        page.transcript(command, &stable.text(&run(scene.namespace.cluster(), Some(&scene.namespace), command)));
    }
    page.check();
}

/// The operator writes Events after the status.
async fn wait_for_events(scene: &Scene, count: usize) {
    until_async(format!("{count} Events"), PATIENCE, async || {
        let events = scene.namespace.api::<Event>().list(&ListParams::default()).await?.items;
        Ok(if events.len() == count { Observation::Done(()) } else { Observation::NotYet(format!("{events:?}")) })
    })
    .await
    .unwrap();
}

fn run(cluster: &Cluster, namespace: Option<&Namespace>, command: &str) -> String {
    let namespace = namespace.map(|namespace| ["--namespace", namespace.name()]);
    let arguments: Vec<_> = namespace.into_iter().flatten().chain(command.split(' ')).collect();
    cluster.kubectl(&arguments).unwrap()
}

/// A page of `docs/reference/`.
struct Page {
    file: &'static str,
    text: String,
}

impl Page {
    fn new(file: &'static str, title: &str, introduction: &str) -> Self {
        let source = "tests/e2e/transcripts.rs";
        let update = "`ROTOTO_UPDATE=1 cargo xtask test -p rototo-tests --test e2e transcripts`";
        let text = format!("<!-- Written by {source}: {update} -->\n\n# {title}\n\n{introduction}\n");
        Self { file, text }
    }

    fn heading(&mut self, heading: &str) {
        self.text.push_str(&format!("\n## {heading}\n"));
    }

    fn transcript(&mut self, command: &str, output: &str) {
        let lines: Vec<_> = output.trim_end().lines().map(str::trim_end).collect();
        self.text.push_str(&format!("\n```console\n$ kubectl {command}\n{}\n```\n", lines.join("\n")));
    }

    fn check(&self) {
        let path = xtask::cargo::root().join("docs/reference").join(self.file);
        if env::var_os("ROTOTO_UPDATE").is_some_and(|value| value == "1") {
            return fs::write(&path, &self.text).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = there.lines().zip(self.text.lines()).enumerate();
        let differs = lines.find(|(_, (there, shown))| there != shown);
        assert!(
            there == self.text,
            "{}: kubectl shows something else: {differs:?}; see its first line",
            path.display()
        );
    }
}

/// Replaces values that differ from run to run by fixed ones.
struct Stable(Vec<(String, String)>);

impl Stable {
    async fn new(scene: &Scene, status: &RototoWorkspaceStatus, commits: &[&str]) -> Self {
        let workspace = scene.namespace.workspace(WORKSPACE).await.unwrap();
        let metadata = workspace.metadata;
        let mut replaced = vec![
            (format!("git+file://{}", scene.repository.bare().display()), SOURCE.to_owned()),
            (metadata.uid.unwrap(), "0f1e2d3c-4b5a-4697-8877-665544332211".to_owned()),
            (scene.namespace.name().to_owned(), "checkout".to_owned()),
        ];
        replaced.extend(status.last_handled_reconcile_at.clone().map(|request| (request, "1795200000".to_owned())));
        for (commit, stable) in commits.iter().zip(COMMITS) {
            replaced.push(((*commit).to_owned(), stable.to_owned()));
            replaced.push((commit[..8].to_owned(), stable[..8].to_owned()));
        }
        let millis = status.fleet.as_ref().unwrap().millis.unwrap();
        replaced.push((format!("{}ms", millis.all.unwrap()), "64ms".to_owned()));
        replaced.push((format!("{} ms ", millis.all.unwrap()), "64 ms ".to_owned()));
        Self(replaced)
    }

    fn text(&self, output: &str) -> String {
        let output = self.0.iter().fold(output.to_owned(), |text, (from, to)| text.replace(from, to));
        let lines: Vec<_> = output.lines().map(line).collect();
        if lines.first().is_some_and(|line| line.starts_with("NAME ")) {
            return table(&lines);
        }
        let events = lines.iter().position(|line| line == "Events:").map_or(lines.len(), |at| at + 1);
        let (description, events) = lines.split_at(events);
        format!("{}\n{}", description.join("\n"), table(events))
    }
}

/// Returns a line of a description with fixed numbers and times.
fn line(line: &str) -> String {
    let Some((start, value)) = split_field(line) else { return line.to_owned() };
    let stable = match start.trim().trim_end_matches(':') {
        "Resource Version" => "4711",
        "Claim Seconds" => "45",
        "Fetched" => "28",
        "Linted" => "33",
        "Published" if value.parse::<u64>().is_ok() => "46",
        "First" => "55",
        "p50" => "58",
        "p99" | "All" | "Converged Millis" => "64",
        _ if is_time(value) => "2026-11-20T18:40:00Z",
        _ => value,
    };
    format!("{start}{stable}")
}

fn is_time(word: &str) -> bool {
    word.len() >= 20 && word.ends_with('Z') && word.as_bytes()[4] == b'-' && word.as_bytes()[10] == b'T'
}

/// Splits `Name:   value` before the value.
fn split_field(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(": ")?;
    let value = rest.trim_start();
    let start = line.len() - value.len();
    (!name.is_empty()).then(|| line.split_at(start))
}

/// Returns a table whose columns are as wide as their new cells, with fixed ages. No cell is empty or has two spaces in
/// a row.
fn table(lines: &[String]) -> String {
    let cells = |line: &String| -> Vec<String> {
        line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    };
    let mut rows: Vec<_> = lines.iter().map(cells).collect();
    let Some(header) = rows.first() else { return String::new() };
    let is_age = |heading: &String| ["age", "claimed"].iter().any(|age| heading.eq_ignore_ascii_case(age));
    let ages: Vec<usize> =
        header.iter().enumerate().filter(|(_, heading)| is_age(heading)).map(|(age, _)| age).collect();
    for row in &mut rows {
        for age in &ages {
            if let Some(age) = row.get_mut(*age).filter(|age| age.starts_with(|c: char| c.is_ascii_digit())) {
                "12s".clone_into(age);
            }
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (indent, gap) = if lines[0].starts_with(' ') { ("  ", "  ") } else { ("", "   ") };
    let padded = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column)));
        format!("{indent}{}", cells.collect::<Vec<_>>().join(gap)).trim_end().to_owned()
    };
    rows.iter().map(padded).collect::<Vec<_>>().join("\n")
}
