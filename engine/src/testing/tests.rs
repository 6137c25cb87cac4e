use serde_json::json;

use super::*;
use crate::{Severity, Tree, compile, lint, parse};

const FILES: &[(&str, &str)] = &[
    ("rototo-workspace.toml", "schema_version = 1\n"),
    (
        "variables/limit.toml",
        "schema_version = 1\ntype = \"int\"\nvalues = { small = 3, large = 50 }\n[resolve]\ndefault = \"small\"\n\n\
         [[resolve.rule]]\nqualifier = \"pro\"\nvalue = \"large\"\n",
    ),
    (
        "qualifiers/pro.toml",
        "schema_version = 1\n[[predicate]]\nattribute = \"account.plan\"\nop = \"eq\"\nvalue = \"pro\"\n",
    ),
    (
        "schemas/context.schema.json",
        "{ \"type\": \"object\", \"properties\": { \"account\": { \"type\": \"object\", \
      \"properties\": { \"plan\": { \"type\": \"string\" } } } } }",
    ),
];

/// Runs a test file of the workspace above.
fn run_file(text: &str) -> TestReport {
    let mut tree: Tree = FILES.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let fingerprint = tree.fingerprint();
    tree.insert("tests/limits.toml", text.as_bytes().to_vec());
    assert_eq!(tree.fingerprint(), fingerprint, "a test is no content");
    let parsed = parse(tree);
    assert!(lint(&parsed).diagnostics.is_empty());
    run(&parsed, &compile(&parsed).unwrap(), parsed.tree().tests(), || true)
}

#[track_caller]
fn check(body: &str, expected: &[&str]) {
    let report = run_file(&format!("schema_version = 1\n{body}"));
    let found: Vec<String> = report.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn cases_and_rows_that_hold_are_counted() {
    let report = run_file(
        "schema_version = 1\ndescription = \"Limits\"\ncontext = { account = { plan = \"free\", id = 1 } }\n\
         [[case]]\nname = \"the context of the file\"\nexpect = { limit = \"small\" }\nqualifiers = { pro = false }\n\
         [[case]]\ncontext = { account = { plan = \"pro\" } }\nexpect = { limit = { value = 50.0 } }\n\
         [[table]]\nattributes = [\"account.plan\"]\nvariables = [\"limit\"]\nrows = [[\"free\", \"small\"], [\"pro\", { key = \"large\" }]]\n",
    );
    assert_eq!(report.diagnostics, []);
    assert_eq!((report.files, report.cases, report.checks, report.interrupted), (1, 4, 5, false));
    assert_eq!((report.coverage.decisions(), report.coverage.results()), ((2, 2), (2, 2)));
    assert_eq!(
        serde_json::to_value(&report.coverage).unwrap(),
        json!({
            "variables": {"limit": {"path": "variables/limit.toml", "by_default": 2,
                "rules": [{"line": 7, "qualifier": "pro", "decided": 2}]}},
            "qualifiers": {"pro": {"path": "qualifiers/pro.toml", "holds": 2, "fails": 3}},
        })
    );
}

#[test]
fn a_case_that_fails_names_its_line_and_the_rule_that_decided() {
    let report = run_file(
        "schema_version = 1\n[[case]]\nname = \"pro\"\ncontext = { account = { plan = \"pro\" } }\nexpect = { limit = \"small\" }\n",
    );
    let [found] = &report.diagnostics[..] else { panic!("{report:?}") };
    assert_eq!(
        found.to_string(),
        "tests/limits.toml:5:12: pro: `limit` is `large` (50), and `small` is expected [rototo/test-failed]"
    );
    assert_eq!(found.masked_message(), "the workspace decides otherwise than a test expects (at `limit`)");
    assert_eq!(found.severity, Severity::Error);
    assert_eq!(
        (found.related[0].location.to_string(), &*found.related[0].message),
        ("variables/limit.toml:7:1".to_owned(), "rule 0 decides")
    );
}

#[test]
fn each_kind_of_failure_is_reported_at_its_place() {
    check(
        "[[case]]\ncontext.account.plan = \"free\"\nexpect = { limit = { value = 4 } }\nqualifiers = { pro = true }\n",
        &[
            "tests/limits.toml:4:12: case 1: `limit` is `small` (3), and 4 is expected [rototo/test-failed]",
            "tests/limits.toml:5:16: case 1: qualifier `pro` is false, and true is expected [rototo/test-failed]",
        ],
    );
    check(
        "[[case]]\nexpect = { limit = \"small\" }\n",
        &[
            "tests/limits.toml:3:12: case 1: the context has no `account.plan`, which qualifier `pro` reads [rototo/test-failed]",
        ],
    );
    check(
        "[[case]]\ncontext = { account = 1 }\nexpect = { limit = \"small\" }\n",
        &[
            "tests/limits.toml:4:12: case 1: the context does not match the context schema: `type` is violated at `account` [rototo/test-failed]",
        ],
    );
    check(
        "[[table]]\nname = \"plans\"\nattributes = [\"account.plan\"]\nvariables = [\"limit\"]\nrows = [\n  [\"free\", \"small\"],\n  [\"pro\", \"small\"],\n]\n",
        &[
            "tests/limits.toml:8:11: plans, row 2: `limit` is `large` (50), and `small` is expected [rototo/test-failed]",
        ],
    );
}

/// A file that nobody reads must not pass for one that passed.
#[test]
fn a_file_whose_name_has_a_slip_is_a_mistake() {
    let files = [("rototo-workspace.toml", "schema_version = 1"), ("tests/a.TOML", ""), ("tests/notes.md", "")];
    let mut tree: Tree = files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect();
    assert!(tree.has_tests() && tree.tests().next().is_none());
    let found = |tree: Tree| -> Vec<String> {
        let parsed = parse(tree);
        let report = run(&parsed, &compile(&parsed).unwrap(), parsed.tree().tests(), || true);
        report.diagnostics.iter().map(ToString::to_string).collect()
    };
    let expected = "tests/a.TOML: nothing reads `tests/a.TOML`, so none of its tests ran; is `tests/a.toml` meant? \
                    [rototo/test-invalid]";
    assert_eq!(found(tree.clone()), [expected]);
    let top: Tree = files.into_iter().take(1).map(|(path, text)| (path.to_owned(), text.into())).collect();
    assert_eq!(found(top.over(&tree)), [""; 0], "tests of a layer are about that layer");
    tree = files
        .into_iter()
        .filter(|(path, _)| *path != "tests/a.TOML")
        .map(|(path, text)| (path.to_owned(), text.into()))
        .collect();
    assert!(!tree.has_tests());
}

/// A test with a slip must not pass.
#[test]
fn mistakes_in_a_file_are_reported_all_at_once() {
    for (body, expected) in [
        ("expect = { limt = \"small\" }", "the workspace has no variable `limt`; is `limit` meant?"),
        ("expect = { limit = \"smal\" }", "variable `limit` has no value `smal`; is `small` meant?"),
        ("qualifiers = { pre = true }", "the workspace has no qualifier `pre`; is `pro` meant?"),
        ("qualifiers = { pro = 1 }", "a qualifier is expected to be `true` or `false`"),
        ("expect = { limit = 3 }", "an expected result is a value key, such as \"large\", or `{ value = 50 }`"),
        ("expect = { limit = { value = 3, key = \"small\" } }", "an expected result is a value key"),
        ("expect = { limit = { value = 2026-01-01 } }", "dates are no values"),
        (
            "expects = { limit = \"small\" }",
            "nothing reads `expects` here: the keys are name, context, expect, qualifiers",
        ),
        ("expect = \"small\"", "`expect` is a table of ids and expected results"),
        ("name = 1\nexpect = { limit = \"small\" }", "a name is a text"),
        ("context = 1\nexpect = { limit = \"small\" }", "a context is a table"),
        ("name = \"empty\"", "`empty` expects nothing"),
    ] {
        let report = run_file(
            &format!("schema_version = 1\n[[case]]\ncontext.account.plan = \"free\"\n{body}\n")
                .replace("context.account.plan = \"free\"\ncontext", "context"),
        );
        let found: Vec<String> = report.diagnostics.iter().map(ToString::to_string).collect();
        assert!(
            found.iter().any(|found| found.contains(expected) && found.ends_with("[rototo/test-invalid]")),
            "{body}: {found:?}"
        );
    }
    let table = |rest: &str| format!("[[table]]\n{rest}\n");
    for (body, expected) in [
        (table("attributes = [\"a..b\"]\nvariables = [\"limit\"]\nrows = [[1, \"small\"]]"), "an attribute is a path"),
        (table("attributes = [\"a\"]\nvariables = [\"limit\"]"), "`table 1` has no `rows`"),
        (
            table("attributes = [\"a\"]\nvariables = [\"limit\"]\nrows = [[1]]"),
            "a row has a value for each of the 1 `attributes`",
        ),
        (table("attributes = [\"a\"]\nrows = [[1]]"), "a value key for each of the 0 `variables`"),
        (table("attributes = \"a\"\nvariables = [\"limit\"]\nrows = [[\"small\"]]"), "`attributes` is a list of names"),
        (
            table("attributes = [\"a\", \"a.b\"]\nvariables = [\"limit\"]\nrows = [[1, 2, \"small\"]]"),
            "contradict each other",
        ),
        (
            table("attributes = [\"a.b\", \"a\"]\nvariables = [\"limit\"]\nrows = [[1, 2, \"small\"]]"),
            "the `attributes` `a.b` and `a` contradict each other",
        ),
        (
            table("attributes = [\"a\", \"ab\", \"a\"]\nvariables = [\"limit\"]\nrows = [[1, 2, 3, \"small\"]]"),
            "the `attributes` `a` and `a` contradict each other",
        ),
        (
            table("attributes = [\"qualifier.pro\"]\nvariables = [\"limit\"]\nrows = [[true, \"small\"]]"),
            "`qualifier.pro` is no attribute",
        ),
        (String::new(), "the file tests nothing"),
        ("case = 1\n".to_owned(), "write `[[case]]` above each case"),
        ("[[cases]]\n".to_owned(), "nothing reads `cases` here"),
        ("schema_version = 1\n".to_owned(), "is not TOML"),
    ] {
        let report = run_file(&format!("schema_version = 1\n{body}"));
        assert!(
            report.diagnostics.iter().any(|found| found.message.contains(expected)),
            "{body}: {:?}",
            report.diagnostics
        );
    }
    let report = run_file("schema_version = 2\n");
    assert_eq!(
        report.diagnostics[0].to_string(),
        "tests/limits.toml:1:18: the file must declare `schema_version = 1` [rototo/test-invalid]"
    );
    assert_eq!(run_file("").diagnostics[0].location.to_string(), "tests/limits.toml");
}

#[test]
fn a_caller_can_stop_between_cases() {
    let parsed = parse(FILES.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect());
    let text = "schema_version = 1\n[[case]]\nqualifiers = { pro = true }\n[[case]]\nqualifiers = { pro = true }\n";
    let (path, bytes): (Arc<str>, Arc<[u8]>) = ("tests/a.toml".into(), text.as_bytes().into());
    let mut left = 1;
    let report = run(&parsed, &compile(&parsed).unwrap(), [(&path, &bytes)], || {
        left -= 1;
        left >= 0
    });
    assert!(report.interrupted && report.cases == 1, "{report:?}");
}

#[test]
fn a_caller_can_stop_between_expected_results() {
    let parsed = parse(FILES.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect());
    let text = "schema_version = 1\n[[case]]\nqualifiers = { pro = true }\nexpect = { limit = \"small\" }\n";
    let (path, bytes): (Arc<str>, Arc<[u8]>) = ("tests/a.toml".into(), text.as_bytes().into());
    let mut left = 2;
    let report = run(&parsed, &compile(&parsed).unwrap(), [(&path, &bytes)], || {
        left -= 1;
        left >= 0
    });
    assert_eq!((report.interrupted, report.cases, report.checks), (true, 1, 1), "{report:?}");
}

#[test]
fn a_layer_below_brings_no_tests() {
    let with_test = |path: &str| Tree::from_iter([(path.to_owned(), b"schema_version = 1".to_vec())]);
    let both = with_test("tests/own.toml").over(&with_test("tests/base.toml"));
    assert_eq!(both.tests().map(|(path, _)| &**path).collect::<Vec<_>>(), ["tests/own.toml"]);
    let next = with_test("tests/own.toml").after(&with_test("tests/base.toml"));
    assert!(next.has_same_tests(&both) && !next.has_same_tests(&Tree::default()));
}

/// A misspelt column changes nothing, so its cases may hold for another reason.
#[test]
fn an_attribute_that_nothing_reads_is_a_warning_once_and_no_failure() {
    let warnings = |body: &str| {
        let report = run_file(&format!("schema_version = 1\n{body}"));
        let shown = report.warnings.iter().inspect(|found| assert_eq!(found.severity, Severity::Warning));
        (report.diagnostics.len(), shown.map(ToString::to_string).collect::<Vec<_>>())
    };
    let unread = |place: &str, rest: &str| {
        let message = format!("{rest} [rototo/test-attribute-unread]");
        format!("tests/limits.toml:{place}: no qualifier reads {message}")
    };
    let plain = "context.account.plan = \"free\"\n";
    let column = "[[table]]\nattributes = [\"account.plna\"]\nvariables = [\"limit\"]\nrows = [[\"free\", \"small\"], [\"pro\", \"small\"]]\n";
    let meant = "`account.plna`, and no context schema declares it; is `account.plan` meant?";
    assert_eq!(warnings(&format!("{plain}{column}")), (0, vec![unread("4:15", meant)]));
    let case = "[[case]]\ncontext = { account = { plan = \"free\", plna = \"pro\" }, \"account.plan\" = 1, a.b.c = 1 }\nexpect = { limit = \"small\" }\n";
    let quoted = "`account.plan`, and no context schema declares it: in quotes it is one name, and `account.plan` without quotes is a path";
    let other = "`a.b.c`, and no context schema declares it";
    assert_eq!(
        warnings(&format!("{case}{case}")),
        (0, vec![unread("3:40", meant), unread("3:56", quoted), unread("3:80", other)])
    );
    // The parts of an attribute that is read, and an object around one, belong to it.
    let own = "[[case]]\ncontext = { account = { plan = \"free\" } }\nexpect = { limit = \"small\" }\n[[table]]\nattributes = [\"account\"]\nvariables = [\"limit\"]\nrows = [[{ plan = \"free\" }, \"small\"]]\n";
    assert_eq!(warnings(own), (0, vec![]));
}
