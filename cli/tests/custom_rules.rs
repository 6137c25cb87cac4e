//! Custom rules in Lua, as the command shows them.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use serde_json::json;
use support::{copy, example, fails, json, prints};

const RULES: &str = r#"function register(lint)
  lint:on({
    stage = "policy",
    entity = "variable",
    field = "resolve",
    rule = { id = "team/no-default", title = "Nothing has a default", help = "Think again.", severity = "warning" },
    handler = "check",
  })
  lint:on({
    stage = "policy",
    entity = "qualifier",
    field = "predicates",
    rule = { id = "team/no-trials", title = "There are no trials", help = "Remove it." },
    handler = "check_trial",
  })
end

function check(ctx)
  return { { message = ctx.target.id .. " defaults to " .. ctx.target.toml.resolve.default } }
end

function check_trial(ctx)
  if ctx.target.toml.predicate[1].op == "bucket" then
    return { { message = "a trial" } }
  end
end
"#;

fn workspace(script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&example(), directory.path());
    std::fs::create_dir_all(directory.path().join("lint")).unwrap();
    std::fs::write(directory.path().join("lint/team.lua"), script).unwrap();
    directory
}

#[test]
fn lint_shows_findings_of_custom_rules_like_those_of_built_in_rules() {
    let workspace = workspace(RULES);
    let (code, text) = fails(workspace.path(), &["lint"]);
    assert_eq!(code, 1);
    assert!(text.contains("error[team/no-trials]: a trial\n"), "{text}");
    assert!(text.contains("qualifiers/degradation-trial-bucket.toml:") && text.contains("[[predicate]]"), "{text}");
    assert!(text.contains("warning[team/no-default]: service-degradation-policy defaults to normal\n"), "{text}");
    assert!(text.contains("help: Think again."), "{text}");
    let text = prints(workspace.path(), &["lint", "--lint-rule", "team/no-default"]);
    assert!(text.contains("team/no-default") && !text.contains("team/no-trials"), "{text}");
    for selection in [&["--lint-authority", "team"][..], &["--linters"]] {
        let (_, text) = fails(workspace.path(), &[&["lint"], selection].concat());
        assert!(text.contains("team/no-default") && text.contains("team/no-trials"), "{text}");
    }
}

#[test]
fn show_and_inspect_list_them() {
    let workspace = workspace(RULES);
    let rule =
        json!({ "rule": "team/no-trials", "severity": "error", "title": "There are no trials", "help": "Remove it." });
    let report = json(workspace.path(), &["show", ".", "--lint-rule", "team/no-trials"]);
    assert_eq!(report["lint_rules"], json!([rule]));
    let report = json(workspace.path(), &["show"]);
    assert_eq!(report["lint_authorities"][0]["authority"], "team");
    assert_eq!(report["lint_authorities"][0]["rules"].as_array().unwrap().len(), 2);
    assert_eq!(report["linters"], json!([{ "id": "team", "path": "lint/team.lua" }]));
    let report = json(workspace.path(), &["inspect", "--linters"]);
    assert_eq!(
        report["linters"][0]["registrations"],
        json!([
            { "stage": "policy", "entity": "variable", "field": "resolve", "rule": "team/no-default",
                "handler": "check" },
            { "stage": "policy", "entity": "qualifier", "field": "predicates", "rule": "team/no-trials",
                "handler": "check_trial" },
        ])
    );
    let (_, text) = fails(workspace.path(), &["show", ".", "--lint-rule", "team/no-trial"]);
    assert!(text.contains("did you mean `team/no-trials`?"), "{text}");
}

#[test]
fn a_script_that_fails_is_shown_at_its_line() {
    let workspace = workspace("function register(lint)\n  lint.nothing.on({})\nend\n");
    let (code, text) = fails(workspace.path(), &["lint"]);
    assert_eq!(code, 1);
    assert!(text.contains("lint/team.lua:2:3") && text.contains("lint.nothing.on({})"), "{text}");
    let workspace = self::workspace("function register(lint) while true do end end");
    let (_, text) = fails(workspace.path(), &["lint"]);
    assert!(text.contains("more than 1000000 instructions"), "{text}");
}

#[test]
fn a_rule_that_fails_is_selected_with_its_linter() {
    let failing = RULES.replace("return { { message = \"a trial\" } }", "error(\"no\")");
    let workspace = workspace(&failing);
    std::fs::write(workspace.path().join("lint/other.lua"), "function register(lint) end\n").unwrap();
    for selection in [&["--linter", "team"][..], &["--linters"]] {
        let (code, text) = fails(workspace.path(), &[&["lint"], selection].concat());
        assert!(
            code == 1 && text.contains("error[rototo/custom-lint-failed]: `check_trial` of lint/team.lua"),
            "{text}"
        );
    }
    let report = json(workspace.path(), &["lint", "--linter", "other"]);
    assert!(!report["diagnostics"].to_string().contains("custom-lint-failed"), "{report}");
}

#[test]
fn the_page_on_custom_rules_shows_what_lint_prints() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/custom-rules.md")).unwrap();
    let block = |language: &str| page.split_once(&format!("```{language}\n")).unwrap().1.split_once("```").unwrap().0;
    let workspace = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("rototo-workspace.toml", "schema_version = 1\n"),
        ("lint/capacity.lua", block("lua")),
        ("variables/pool.toml", block("toml")),
        ("schemas/pool.json", "{}\n"),
    ] {
        let path = workspace.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    assert_eq!(fails(workspace.path(), &["lint", "."]), (1, block("text").to_owned()));
}
