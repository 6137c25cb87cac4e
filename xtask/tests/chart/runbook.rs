//! The runbook has a section for each alert and for each reason of a condition or an Event.

use crate::{alerts, read};

/// A section of the page, with its heading.
struct Section {
    title: String,
    text: String,
}

fn sections() -> Vec<Section> {
    let page = read("docs/runbook.md");
    let sections = page.split("\n### ").skip(1).map(|section| {
        let (title, text) = section.split_once('\n').unwrap();
        let text = text.split("\n## ").next().unwrap();
        Section { title: title.trim_matches('`').to_owned(), text: text.to_owned() }
    });
    sections.collect()
}

/// Returns the reasons in the code, from the lines `NAME = "Reason";`.
fn reasons() -> Vec<String> {
    let code = read("api/src/condition.rs");
    let code = code.split_once("reasons! {").unwrap().1;
    let reasons = code.lines().filter_map(|line| Some(line.split_once(" = \"")?.1.strip_suffix("\";")?.to_owned()));
    reasons.collect()
}

fn expected() -> Vec<String> {
    alerts::rules().iter().map(|rule| alerts::name(rule).to_owned()).chain(reasons()).collect()
}

#[test]
fn each_alert_and_each_reason_has_one_section_and_no_other_has() {
    assert!(reasons().len() > 20, "{:?}", reasons());
    let (sections, expected) = (sections(), expected());
    for name in &expected {
        let count = sections.iter().filter(|section| section.title == *name).count();
        assert_eq!(count, 1, "docs/runbook.md has {count} sections `### {name}`");
    }
    let unknown: Vec<&str> = sections.iter().map(|section| section.title.as_str()).collect();
    let unknown: Vec<&&str> = unknown.iter().filter(|title| !expected.iter().any(|name| name == **title)).collect();
    assert!(unknown.is_empty(), "docs/runbook.md has sections on what does not exist: {unknown:?}");
}

#[test]
fn each_section_has_a_meaning_three_commands_and_whom_to_wake() {
    for Section { title, text } in sections() {
        let blocks: Vec<&str> = text.split("```").collect();
        assert_eq!(blocks.len(), 3, "{title}: one block of commands");
        assert!(!blocks[0].trim().is_empty(), "{title}: the meaning comes first");
        let commands: Vec<&str> = blocks[1].lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(commands.len(), 3, "{title}: {commands:?}");
        let known = ["kubectl ", "rototo ", "git "];
        assert!(commands.iter().all(|line| known.iter().any(|name| line.starts_with(name))), "{title}: {commands:?}");
        assert!(blocks[2].contains("**Wake:** "), "{title}: whom to wake");
    }
}

/// The metric is 1 for each reason for which a revision is held.
#[test]
fn the_table_of_metrics_names_each_reason_for_which_a_revision_is_held() {
    let code = read("api/src/rollout.rs");
    let held = code.split_once("pub struct HeldStatus {").unwrap().1;
    let reasons = held.split_once("/// The reason: ").unwrap().1.lines().next().unwrap();
    let reasons: Vec<&str> = reasons.split('`').skip(1).step_by(2).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    let page = read("docs/operating.md");
    let row = page.lines().find(|line| line.starts_with("| `rototo_workspace_held")).unwrap();
    for reason in reasons {
        assert!(row.contains(&format!("`{reason}`")), "{reason}: {row}");
    }
}
