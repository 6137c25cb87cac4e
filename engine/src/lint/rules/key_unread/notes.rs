//! Keys that are deliberate notes. Nothing reads them, and nobody expects an effect of them.

use super::remedies::MAX_WORD;
use crate::parse::{KeyPlace, OWNERSHIP_KEYS};

/// Names of notes, at every place except those of [`is_misplaced`]. `doc.md` lists the same names, which a test compares.
pub(super) const NOTES: &[&str] = &[
    "$schema",
    "annotations",
    "author",
    "authors",
    "comment",
    "comments",
    "contact",
    "contacts",
    "created",
    "created_at",
    "created_by",
    "created_on",
    "deprecated_since",
    "description",
    "display_name",
    "doc",
    "docs",
    "documentation",
    "expire",
    "expired",
    "expires",
    "expiry",
    "id",
    "issue",
    "issues",
    "jira",
    "label",
    "labels",
    "link",
    "links",
    "maintainer",
    "maintainers",
    "meta",
    "metadata",
    "name",
    "note",
    "notes",
    "owner",
    "owners",
    "reason",
    "reviewed",
    "reviewed_at",
    "reviewed_by",
    "reviewed_on",
    "reviewer",
    "reviewers",
    "since",
    "summary",
    "tag",
    "tags",
    "team",
    "teams",
    "ticket",
    "tickets",
    "title",
    "todo",
    "tool",
    "updated",
    "updated_at",
    "updated_by",
    "updated_on",
    "url",
    "urls",
];

/// Returns whether a key is a note: one of [`NOTES`] in any case and with any separators, or a name that begins with
/// `x-`, `x_`, or `_`.
pub(in crate::lint) fn is_note(name: &str) -> bool {
    let is_private = name.starts_with('_') || matches!(name.as_bytes(), [b'x' | b'X', b'-' | b'_', ..]);
    is_private || name.len() <= MAX_WORD && NOTES.iter().any(|note| letters(name).eq(letters(note)))
}

/// Returns whether a key is an owner or an expiry a table too deep: a line after the header of a table belongs to that
/// table, and an author may mean the file.
pub(super) fn is_misplaced(place: KeyPlace, name: &str) -> bool {
    matches!(place, KeyPlace::Resolve | KeyPlace::Predicate(_)) && OWNERSHIP_KEYS.contains(&name)
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|letter| !matches!(letter, '-' | '_' | ' ')).map(|letter| letter.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_of_the_rule_lists_exactly_the_notes() {
        let doc = include_str!("doc.md");
        let (_, list) = doc.split_once("These keys are notes").expect("doc.md lists the notes");
        let (list, _) = list.split_once("\n\n").expect("the list is a paragraph");
        let (_, list) = list.split_once(':').expect("the list follows a colon");
        let listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, NOTES);
    }

    #[test]
    fn notes_are_known_in_every_spelling_and_other_words_are_not() {
        for note in ["owner", "Owner", "createdBy", "created-by", "CREATED_BY", "x-cost", "X_cost", "_old", "_", "x-"] {
            assert!(is_note(note), "{note}");
        }
        for other in ["", "x", "xray", "until", "descriptions", "created_for", "-", "é", "ownér", &"_a".repeat(40)[1..]]
        {
            assert!(!is_note(other), "{other}");
        }
    }
}
