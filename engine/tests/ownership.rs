//! The owner and the expiry of variables and rules: lint judges their form, and what has expired is asked for by a day.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::lint::{expired, expiry_dates};
use rototo_engine::{Date, Diagnostic, Tree, lint, parse};

const QUALIFIER: &str = "schema_version = 1\n[[predicate]]\nattribute = \"n\"\nop = \"eq\"\nvalue = 1\n";
const CONTEXT: &str = "{\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"number\"}}}";

/// A workspace of one variable with a rule; `variable` and `rule` are further lines of both.
fn tree(variable: &str, rule: &str) -> Tree {
    let text = format!(
        "schema_version = 1\n{variable}\ntype = \"int\"\nvalues = {{ a = 1, b = 2 }}\n[resolve]\ndefault = \"a\"\n\
         [[resolve.rule]]\nqualifier = \"q\"\nvalue = \"b\"\n{rule}\n"
    );
    let files = [
        ("rototo-workspace.toml", "schema_version = 1\n"),
        ("schemas/context.schema.json", CONTEXT),
        ("qualifiers/q.toml", QUALIFIER),
        ("variables/v.toml", &text),
    ];
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn found(variable: &str, rule: &str) -> Vec<Diagnostic> {
    lint(&parse(tree(variable, rule))).diagnostics
}

fn expired_on(variable: &str, rule: &str, day: &str) -> Vec<String> {
    let found = expired(&parse(tree(variable, rule)), day.parse().unwrap());
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn an_owner_that_is_no_text_and_an_expiry_that_is_no_date_are_warnings() {
    for lines in ["", "owner = \"team\"", "expires = \"2024-02-29\"", "owner = \"\"\nexpires = \"0001-01-01\""] {
        assert_eq!(found(lines, lines), [], "{lines}");
    }
    for lines in [
        "owner = [\"a\"]",
        "owner = true",
        "owner = { name = \"a\" }",
        "expires = \"soon\"",
        "expires = \"2026-02-30\"",
        "expires = \"2026-1-1\"",
        "expires = \" 2026-01-01\"",
        "expires = \"2026-12-31T00:00:00Z\"",
        "expires = 20261231",
        "expires = 2026-12-31",
    ] {
        for (variable, rule, entity) in [(lines, "", "variable"), ("", lines, "rule")] {
            let found = found(variable, rule);
            let rules: Vec<&str> = found.iter().map(|found| &*found.rule).collect();
            assert_eq!(rules, ["rototo/variable-ownership-shape"], "{lines}");
            assert!(found[0].help.is_some() && found[0].location.range.is_some());
            assert_eq!(serde_json::to_value(&found[0].entity).unwrap()["kind"], entity, "{lines}");
        }
    }
}

#[test]
fn a_date_without_quotes_gets_them() {
    let bare = found("expires = 2026-12-31", "");
    assert_eq!(bare[0].fix.as_ref().map(|fix| fix.replacement.as_str()), Some("\"2026-12-31\""));
    for other in ["expires = 2026-12-31T00:00:00Z", "expires = \"soon\"", "expires = 7"] {
        assert_eq!(found(other, "")[0].fix, None, "{other}");
    }
}

/// The author of such keys means a note, and gets no question for another one.
#[test]
fn keys_that_resemble_these_are_notes() {
    for note in ["owners = [\"a\"]", "expire = \"x\"", "expired = \"x\"", "expiry = \"2026-01-01\"", "Owner = \"a\""] {
        assert_eq!(found(note, note), [], "{note}");
    }
}

#[test]
fn what_has_expired_is_listed_from_its_day_on_with_its_owner_and_its_place() {
    let (variable, rule) = ("owner = \"team-web\"\nexpires = \"2026-12-31\"", "expires = \"2026-06-30\"");
    assert_eq!(expired_on(variable, rule, "2026-06-29"), Vec::<String>::new());
    let of_rule = "variables/v.toml:11:11: rule 0 of variable `v` expired on 2026-06-30; its owner is `team-web` [rototo/expired]";
    assert_eq!(expired_on(variable, rule, "2026-06-30"), [of_rule]);
    let of_variable =
        "variables/v.toml:3:11: variable `v` expired on 2026-12-31; its owner is `team-web` [rototo/expired]";
    assert_eq!(expired_on(variable, rule, "2026-12-31"), [of_variable, of_rule]);
    let own = expired_on("owner = \"a\"", "owner = \"b\"\nexpires = \"2026-06-30\"", "9999-12-31");
    assert!(own.len() == 1 && own[0].contains("its owner is `b`"), "{own:?}");
    let nobody = expired_on("expires = \"2026-06-30\"", "", "2027-01-01");
    assert!(nobody.len() == 1 && nobody[0].contains("it has no owner"), "{nobody:?}");
    assert_eq!(expired_on("expires = \"soon\"", "", "9999-12-31"), Vec::<String>::new());
}

#[test]
fn the_dates_of_a_workspace_are_in_their_order() {
    let dates = expiry_dates(&parse(tree("expires = \"2026-12-31\"", "expires = \"2026-06-30\"")));
    assert_eq!(dates.iter().map(Date::to_string).collect::<Vec<_>>(), ["2026-06-30", "2026-12-31"]);
}
