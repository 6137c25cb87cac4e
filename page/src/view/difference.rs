//! The command that shows what a publish decides otherwise than the one before it.
//!
//! The page has no differences itself. They are made of values, which who may see the page may not always read, and an
//! operator does not keep what was published before: git has it, and who may read it there has the command.

use rototo_api::workspace::HistoryEntry;
use serde::Serialize;

/// A publish of the history, the newest first.
#[derive(Debug, Serialize)]
pub(super) struct PublishLine {
    #[serde(flatten)]
    entry: HistoryEntry,
    /// The command that compares it with the publish before; absent if that is not known by a commit.
    difference: Option<String>,
}

/// Returns the publishes of a workspace with this source, each with the command that compares it with the one before.
pub(super) fn lines(source: &str, history: Vec<HistoryEntry>) -> Vec<PublishLine> {
    let commits: Vec<Option<String>> = history.iter().map(commit).collect();
    let differences = commits.iter().zip(commits.iter().skip(1)).map(|(new, old)| {
        let (old, new) = (old.as_deref()?, new.as_deref()?);
        difference(source, old, new)
    });
    let differences: Vec<Option<String>> = differences.chain([None]).collect();
    history.into_iter().zip(differences).map(|(entry, difference)| PublishLine { entry, difference }).collect()
}

/// Returns the commit of a publish.
fn commit(entry: &HistoryEntry) -> Option<String> {
    let (_, commit) = entry.revision.as_deref()?.rsplit_once("@sha1:")?;
    let is_whole = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| commit.to_owned())
}

/// Returns the command for two commits of a git source. The same commit with other layers is no difference of one source.
fn difference(source: &str, old: &str, new: &str) -> Option<String> {
    let (address, fragment) = source.split_once('#').unwrap_or((source, ""));
    let is_quotable = !source.contains('\'') && !source.chars().any(char::is_control);
    if !address.starts_with("git+") || !is_quotable || old == new {
        return None;
    }
    let directory = fragment.split_once(':').map(|(_, directory)| format!(":{directory}")).unwrap_or_default();
    Some(format!("rototo diff '{address}#{old}{directory}' '{address}#{new}{directory}'"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SOURCE: &str = "git+https://git.example.com/acme/config.git#main:workspaces/prod";

    fn commands(source: &str, revisions: &[Value]) -> Vec<Value> {
        let entry = |revision: &Value| json!({ "fingerprint": "sha256:9f2c", "updatedAt": "2026-11-20T18:38:00.000000Z", "revision": revision });
        let history = revisions.iter().map(|revision| serde_json::from_value(entry(revision)).unwrap()).collect();
        let lines = serde_json::to_value(lines(source, history)).unwrap();
        lines.as_array().unwrap().iter().map(|line| line["difference"].clone()).collect()
    }

    fn revision(digit: &str) -> Value {
        json!(format!("main@sha1:{}", digit.repeat(40)))
    }

    #[test]
    fn each_publish_has_the_command_that_compares_it_with_the_one_before() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let at = |commit: &str| format!("'git+https://git.example.com/acme/config.git#{commit}:workspaces/prod'");
        let expected = format!("rototo diff {} {}", at(&a), at(&b));
        assert_eq!(commands(SOURCE, &[revision("b"), revision("a")]), [json!(expected), Value::Null]);
        let root = format!("rototo diff 'git+ssh://git@host/c.git#{a}' 'git+ssh://git@host/c.git#{b}'");
        for source in ["git+ssh://git@host/c.git", "git+ssh://git@host/c.git#v1"] {
            assert_eq!(commands(source, &[revision("b"), revision("a")]), [json!(root), Value::Null]);
        }
    }

    #[test]
    fn without_two_commits_of_a_repository_there_is_no_command() {
        let none = |source: &str, revisions: &[Value]| {
            assert!(commands(source, revisions).iter().all(Value::is_null), "{source} {revisions:?}");
        };
        none(SOURCE, &[]);
        none(SOURCE, &[revision("a"), revision("a")]);
        none(SOURCE, &[revision("b"), Value::Null, revision("a")]);
        none(SOURCE, &[revision("b"), json!("main@sha1:$(reboot)")]);
        none("https://host/config.tar.gz", &[revision("b"), revision("a")]);
        none("git+https://host/'$(reboot)'.git", &[revision("b"), revision("a")]);
    }
}
