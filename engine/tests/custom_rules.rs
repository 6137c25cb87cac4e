//! The calls of the engine to a program that runs Lua, and the effect of their results, with scripts that are plain
//! data.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::lint::{Call, Declared, Objection, Refuse, Script, ScriptError, ScriptErrorKind, Scripts};
use rototo_engine::{Lint, Tree, lint, lint_with, parse};

/// Gives the same result to every call, and counts the calls.
#[derive(Default)]
struct Always {
    declared: Vec<Declared>,
    answer: Option<Result<Vec<Objection>, ScriptError>>,
    asked: Vec<String>,
}

impl Scripts for Always {
    fn register(&mut self, _: Script<'_>) -> Result<Vec<Declared>, ScriptError> {
        Ok(self.declared.clone())
    }

    fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, ScriptError> {
        self.asked.push(format!("{} {}", call.handler, call.target["name"].as_str().unwrap_or_default()));
        self.answer.clone().unwrap_or(Ok(Vec::new()))
    }
}

fn declared(id: &str, title: &str) -> Declared {
    Declared {
        stage: "value".to_owned(),
        entity: "value".to_owned(),
        id: id.to_owned(),
        title: title.to_owned(),
        help: "help".to_owned(),
        handler: "check".to_owned(),
        callable: true,
        line: Some(2),
        ..Declared::default()
    }
}

fn tree() -> Tree {
    let files = [
        ("rototo-workspace.toml", "schema_version = 1\n"),
        (
            "variables/n.toml",
            "schema_version = 1\ntype = \"int\"\nvalues = { x = 1, y = 2 }\nresolve = { default = \"x\" }\n",
        ),
        ("lint/a.lua", "-- one\n  -- two\n"),
    ];
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

/// The findings by or about custom rules.
fn said(lint: &Lint) -> Vec<String> {
    let found = lint.diagnostics.iter().filter(|found| !found.rule.starts_with("rototo/variable"));
    found.map(ToString::to_string).collect()
}

#[test]
fn each_handler_runs_on_each_target_and_its_findings_have_that_place() {
    let answer = Some(Ok(vec![Objection { message: "no".to_owned(), field: None }]));
    let mut scripts = Always { declared: vec![declared("team/rule", "t")], answer, ..Always::default() };
    let lint = lint_with(&parse(tree()), &mut scripts);
    assert_eq!(scripts.asked, ["check x", "check y"]);
    assert_eq!(said(&lint), ["variables/n.toml:3:12: no [team/rule]", "variables/n.toml:3:19: no [team/rule]"]);
    assert_eq!(lint.custom.rules["team/rule"].title, "t");
}

#[test]
fn an_invalid_declaration_is_reported_at_its_line() {
    let check = |change: fn(&mut Declared), rule: &str, words: &str| {
        let mut one = declared("team/rule", "t");
        change(&mut one);
        let mut scripts = Always { declared: vec![declared("team/rule", "t"), one], ..Always::default() };
        let said = said(&lint_with(&parse(tree()), &mut scripts));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("lint/a.lua:2:3: ") && said[0].contains(rule) && said[0].contains(words),
            "{said:?}"
        );
    };
    let invalid = "custom-lint-registration-invalid";
    check(|one| one.stage = "parse".to_owned(), invalid, "no stage `parse`");
    check(|one| one.entity = "limit".to_owned(), invalid, "no entity `limit`");
    check(|one| one.field = Some("value..x".to_owned()), invalid, "no field `value..x`");
    check(|one| one.callable = false, invalid, "no function `check`");
    check(|one| one.id = "rototo/rule".to_owned(), invalid, "built in");
    check(|one| one.id = "Team/rule".to_owned(), invalid, "no name for a rule");
    check(|one| one.severity = Some("info".to_owned()), invalid, "not `info`");
    check(|one| one.title = "another".to_owned(), "custom-lint-rule-conflict", "another title");
    check(|_| {}, "custom-lint-registration-duplicate", "registered twice");
}

#[test]
fn a_key_that_nothing_reads_is_a_warning_and_the_rule_runs() {
    let check = |key: &str, expected: &str| {
        let one = Declared { unread: vec![key.to_owned()], ..declared("team/rule", "t") };
        let mut scripts = Always { declared: vec![one], ..Always::default() };
        let lint = lint_with(&parse(tree()), &mut scripts);
        let expected =
            (!expected.is_empty()).then(|| format!("lint/a.lua:2:3: {expected} [rototo/custom-lint-key-unread]"));
        assert_eq!(said(&lint), Vec::from_iter(expected), "{key}");
        assert_eq!((lint.errors(), scripts.asked.len()), (0, 2), "{key}");
    };
    check("feild", "`lint:on` does not read `feild`; is `field` meant?");
    check("rule.severty", "`rule` does not read `severty`; is `severity` meant?");
    check("severity", "`lint:on` does not read `severity`; `rule` does");
    check("rule.field", "`rule` does not read `field`; `lint:on` does");
    check("until", "`lint:on` does not read `until`, only `stage`, `entity`, `field`, `rule`, `handler`");
    check("1", "`lint:on` does not read `1`, only `stage`, `entity`, `field`, `rule`, `handler`");
    for note in ["owner", "expires", "team", "metadata", "x-cost", "_old", "rule.x_reviewed", "rule.docs"] {
        check(note, "");
    }
}

#[test]
fn a_script_without_a_result_is_a_fault_with_a_reason() {
    let answer = Some(Err(ScriptError::new(ScriptErrorKind::Memory, "too much")));
    let mut scripts = Always { declared: vec![declared("team/rule", "t")], answer, ..Always::default() };
    let lint = lint_with(&parse(tree()), &mut scripts);
    assert_eq!((scripts.asked.len(), lint.errors(), lint.custom.interrupted), (2, 2, false));
    let first = lint.diagnostics.iter().find(|found| found.rule == "rototo/custom-lint-failed").unwrap();
    assert!(first.masked_message().ends_with("(at `memory limit`)"), "{}", first.masked_message());

    let answer = Some(Err(ScriptError::new(ScriptErrorKind::TotalTime, "too long")));
    let mut scripts = Always { declared: vec![declared("team/rule", "t")], answer, ..Always::default() };
    let lint = lint_with(&parse(tree()), &mut scripts);
    assert_eq!((scripts.asked.len(), lint.errors(), lint.custom.interrupted), (1, 1, true));
}

#[test]
fn too_many_findings_end_the_run() {
    let many = vec![Objection { message: "no".to_owned(), field: None }; 6_000];
    let mut scripts =
        Always { declared: vec![declared("team/rule", "t")], answer: Some(Ok(many)), ..Always::default() };
    let lint = lint_with(&parse(tree()), &mut scripts);
    assert_eq!(scripts.asked.len(), 1);
    assert!(lint.diagnostics.iter().any(|found| found.rule == "rototo/custom-lint-failed"));
}

#[test]
fn without_lua_every_script_is_a_fault() {
    let parsed = parse(tree());
    assert_eq!(said(&lint(&parsed)), ["lint/a.lua: rules in Lua are not run here [rototo/custom-lint-failed]"]);
    let refused = lint_with(&parsed, &mut Refuse("not today"));
    assert_eq!(said(&refused), ["lint/a.lua: not today [rototo/custom-lint-failed]"]);
}
