//! Tests of diffs as text, as readers see them.

use rototo_engine::{Context, Tree, compile, parse};
use serde_json::json;

use crate::diff::*;

const FILES: &[(&str, &str)] = &[
    ("rototo-workspace.toml", "schema_version = 1\n"),
    (
        "qualifiers/high.toml",
        "schema_version = 1\n[[predicate]]\nattribute = \"service.pressure\"\nop = \"eq\"\nvalue = \"high\"\n",
    ),
    (
        "qualifiers/trial.toml",
        "schema_version = 1\n[[predicate]]\nattribute = \"qualifier.high\"\nop = \"eq\"\nvalue = true\n\
         [[predicate]]\nattribute = \"account.id\"\nop = \"bucket\"\nsalt = \"s\"\nrange = [0, 1000]\n",
    ),
    (
        "variables/limit.toml",
        "schema_version = 1\ntype = \"object\"\n[values]\nsmall = { max = 10, mode = \"a\" }\nlarge = { max = 50 }\n\
         [resolve]\ndefault = \"large\"\n[[resolve.rule]]\nqualifier = \"trial\"\nvalue = \"small\"\n",
    ),
];

/// Returns the workspace with `changes`: a path, the old text, and the new text.
fn workspace(changes: &[(&str, &str, &str)]) -> Parsed {
    let mut tree = Tree::default();
    for (path, text) in FILES {
        let mut text = (*text).to_owned();
        for (_, from, to) in changes.iter().filter(|(changed, ..)| changed == path) {
            assert!(text.contains(from), "{text}");
            text = text.replace(from, to);
        }
        tree.insert(*path, text.into_bytes());
    }
    parse(tree)
}

fn check(changes: &[(&str, &str, &str)], expected: &[&str]) {
    let (old, new) = (workspace(&[]), workspace(changes));
    let text = text(&compare(&old, &new), &old, &new, ValueVisibility::Shown);
    let text = anstream::adapter::strip_str(&text).to_string();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_description_changes_nothing_for_anybody() {
    let change = ("variables/limit.toml", "type =", "description = \"new\"\ntype =");
    check(&[change], &["nothing changes for anybody"]);
}

#[test]
fn a_wider_bucket_is_shown_in_percent_at_the_variable_that_it_decides() {
    check(
        &[("qualifiers/trial.toml", "[0, 1000]", "[0, 3000]")],
        &["variable limit", "  ~ qualifier trial: widened from 10 % to 30 % of account.id ([0,1000] -> [0,3000])"],
    );
    check(
        &[("qualifiers/trial.toml", "\"s\"", "\"t\"")],
        &[
            "variable limit",
            "  ~ qualifier trial: everybody is assigned anew by another salt: 10 % instead of 10 % of account.id",
        ],
    );
}

#[test]
fn a_rule_is_shown_with_its_audience() {
    let rule = "[[resolve.rule]]\nqualifier = \"trial\"\nvalue = \"small\"\n";
    check(
        &[("variables/limit.toml", rule, "")],
        &[
            "variable limit",
            "  - rule[0] is gone: small for service.pressure eq \"high\" and 10 % of account.id (qualifier trial)",
            "what applications send",
            "  - need not hold account.id any more",
            "  - need not hold service.pressure any more",
        ],
    );
    check(
        &[("variables/limit.toml", "value = \"small\"", "value = \"large\"")],
        &[
            "variable limit",
            "  ~ rule[0] gives large instead of small to service.pressure eq \"high\" and 10 % of account.id \
                (qualifier trial)",
        ],
    );
}

#[test]
fn values_are_compared_field_by_field() {
    check(
        &[("variables/limit.toml", "{ max = 10, mode = \"a\" }", "{ max = 12, burst = 3 }")],
        &[
            "variable limit",
            "  + value small, burst is new: 3",
            "  ~ value small, max: 10 -> 12",
            "  - value small, mode is gone: \"a\"",
        ],
    );
}

#[test]
fn constraints_of_qualifiers_and_the_default_are_shown() {
    check(
        &[
            ("qualifiers/high.toml", "\"high\"", "\"extreme\""),
            ("variables/limit.toml", "default = \"large\"", "default = \"small\""),
        ],
        &[
            "variable limit",
            "  ~ everybody else gets small instead of large",
            "  ~ qualifier high: it asks for service.pressure eq \"extreme\" instead of service.pressure eq \"high\"",
        ],
    );
}

#[test]
fn a_redacted_diff_holds_no_value() {
    let changes = [
        ("qualifiers/high.toml", "\"high\"", "\"secret\""),
        ("variables/limit.toml", "max = 10", "max = 99123"),
        ("variables/limit.toml", "value = \"small\"", "value = \"large\""),
    ];
    let (old, new) = (workspace(&[]), workspace(&changes));
    let mut diff = compare(&old, &new);
    diff.redact();
    let all = [
        text(&diff, &old, &new, ValueVisibility::Redacted),
        markdown(&diff, &old, &new, ValueVisibility::Redacted),
        serde_json::to_string(&diff).unwrap(),
    ];
    for text in all {
        assert!(!text.contains("secret") && !text.contains("99123") && !text.contains("high\\\""), "{text}");
        assert!(text.contains("max"), "{text}");
    }
}

#[test]
fn decisions_flip_for_the_contexts_that_are_given() {
    let (old, new) = (workspace(&[]), workspace(&[("qualifiers/trial.toml", "[0, 1000]", "[0, 10000]")]));
    let context = |value| Context::from_json(value).unwrap();
    let contexts = [
        ("high".to_owned(), context(json!({"service": {"pressure": "high"}, "account": {"id": "acct-1"}}))),
        ("low".to_owned(), context(json!({"service": {"pressure": "low"}, "account": {"id": "acct-1"}}))),
    ];
    let found = decisions(&compile(&old).unwrap(), &compile(&new).unwrap(), &contexts);
    assert_eq!((found.compared, found.flipped.len()), (2, 1));
    assert_eq!((found.flipped[0].context.as_str(), found.flipped[0].variable.as_str()), ("high", "limit"));
    let mut diff = compare(&old, &new);
    diff.decisions = Some(found);
    let text = markdown(&diff, &old, &new, ValueVisibility::Shown);
    assert!(
        text.contains("**1 of 2 decisions flip**\n\n- ✏️ variable `limit` for `high`: `large` -> `small`\n"),
        "{text}"
    );
}

#[test]
fn markdown_quotes_what_could_be_markup() {
    let old = workspace(&[]);
    let new = workspace(&[("variables/limit.toml", "mode = \"a\"", "mode = \"`@all` <b>\"")]);
    let text = markdown(&compare(&old, &new), &old, &new, ValueVisibility::Shown);
    assert!(text.contains("`\"a\"` -> `` \"`@all` <b>\" ``"), "{text}");
}

#[test]
fn a_context_schema_that_requires_more_is_a_change() {
    let with = |schema: &str| {
        let mut tree = workspace(&[]).tree().clone();
        tree.insert("schemas/context.schema.json", schema.as_bytes().to_vec());
        parse(tree)
    };
    let (old, new) = (with(r#"{"type": "object"}"#), with(r#"{"type": "object", "required": ["plan"]}"#));
    let diff = compare(&old, &new);
    assert_eq!(diff.context.schema, Some(ChangeKind::Changed));
    let shown = text(&diff, &old, &new, ValueVisibility::Shown);
    assert!(shown.contains("it may refuse contexts that it accepted"), "{shown}");
    assert!(!shown.contains("nothing changes"), "{shown}");
    let shown = markdown(&diff, &old, &new, ValueVisibility::Shown);
    assert!(shown.contains("no variable changes") && !shown.contains("for anybody"), "{shown}");
    let same = compare(&old, &with(r#"{ "type" : "object" }"#));
    assert!(same.is_empty());
}

#[test]
fn a_workspace_from_which_nothing_resolves_is_no_empty_diff() {
    for broken in [("rototo-workspace.toml", "= 1", "= 2"), ("rototo-workspace.toml", "= 1", "=")] {
        let (old, new) = (workspace(&[]), workspace(&[broken]));
        assert_eq!(compare(&old, &new).unreadable, ["rototo-workspace.toml"], "{broken:?}");
    }
}

#[test]
fn the_order_of_tests_is_a_change_where_it_decides() {
    let (high, trial) = (
        "[[predicate]]\nattribute = \"qualifier.high\"\nop = \"eq\"\nvalue = true\n",
        "[[predicate]]\nattribute = \"account.id\"\nop = \"bucket\"\nsalt = \"s\"\nrange = [0, 1000]\n",
    );
    let change = ("qualifiers/trial.toml", &*format!("{high}{trial}"), &*format!("{trial}{high}"));
    let expected = "  ~ qualifier trial: it asks in another order, which decides where an attribute is missing";
    check(&[change], &["variable limit", expected]);
}

#[test]
fn tests_are_paired_with_those_that_have_most_in_common() {
    let tests = |tests: &[(&str, [i64; 2])]| -> String {
        let test = |(salt, [start, end]): &(&str, [i64; 2])| {
            format!("[[predicate]]\nattribute = \"id\"\nop = \"bucket\"\nsalt = \"{salt}\"\nrange = [{start}, {end}]\n")
        };
        format!("schema_version = 1\n{}", tests.iter().map(test).collect::<String>())
    };
    let with = |text: String| {
        let mut tree = workspace(&[]).tree().clone();
        tree.insert("qualifiers/trial.toml", text.into_bytes());
        parse(tree)
    };
    let old = with(tests(&[("a", [0, 1000]), ("b", [0, 5000])]));
    let new = with(tests(&[("b", [0, 6000]), ("a", [0, 2000])]));
    let shown = text(&compare(&old, &new), &old, &new, ValueVisibility::Redacted);
    assert!(!shown.contains("assigned anew"), "{shown}");
    assert!(shown.contains("from 10 % to 20 %") && shown.contains("from 50 % to 60 %"), "{shown}");
}

#[test]
fn markdown_fits_into_a_comment() {
    let values = |value: usize| -> String {
        let values: String = (0..4000).map(|number| format!("key-{number} = {value}\n")).collect();
        format!("schema_version = 1\ntype = \"int\"\n[values]\n{values}[resolve]\ndefault = \"key-0\"\n")
    };
    let with = |text: String| {
        let mut tree = workspace(&[]).tree().clone();
        tree.insert("variables/limit.toml", text.into_bytes());
        parse(tree)
    };
    let (old, new) = (with(values(1)), with(values(2)));
    let shown = markdown(&compare(&old, &new), &old, &new, ValueVisibility::Shown);
    assert!(shown.chars().count() <= 65_536, "{}", shown.chars().count());
    assert!(shown.contains("value `key-0`") && shown.ends_with(" more: `rototo diff` shows them.\n"), "{shown}");
}
