//! Both engines have the same results for every generated workspace, except for the intended differences.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use rototo_differential::differences::{Difference, MEANT, OWN_RULES, explain};
use rototo_differential::generate::{self, Numbers};
use rototo_differential::outcome::{our_answer, our_lint, their_answer, their_lint, write};
use rototo_differential::reference::Reference;

/// The number of workspaces in a test run. `ROTOTO_DIFFERENTIAL_CASES` sets another.
const CASES: u64 = 400;

#[derive(Default)]
struct DifferentialReport {
    meant: BTreeMap<&'static str, usize>,
    others: Vec<String>,
}

impl DifferentialReport {
    fn add(&mut self, seed: u64, difference: &Difference<'_>) {
        match explain(difference) {
            Some(meant) => *self.meant.entry(meant.name).or_default() += 1,
            None => self.others.push(format!("seed {seed}: {difference:?}")),
        }
    }
}

#[test]
fn both_engines_have_the_same_results_for_every_generated_workspace() {
    let cases = std::env::var("ROTOTO_DIFFERENTIAL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let (mut report, mut findings, mut answers) = (DifferentialReport::default(), 0, 0);
    let mut reference = Reference::start();
    for seed in 0..cases {
        let mut numbers = Numbers::new(seed);
        let mut files = generate::workspace(&mut numbers);
        for _ in 0..numbers.below(4) {
            if !files.is_empty() {
                generate::spoil(&mut files, &mut numbers);
            }
        }
        let root = tempfile::tempdir().unwrap();
        write(&files, root.path());
        let ((ours, parsed), theirs) = (our_lint(&files), their_lint(&mut reference, root.path()));
        let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for key in keys {
            let count = |all: &rototo_differential::outcome::FindingCounts| all.get(key).copied().unwrap_or(0);
            findings += count(&theirs);
            if count(&ours) != count(&theirs) {
                let (rule, _, path, _) = key;
                let (all_ours, all_theirs) = (&ours, &theirs);
                let difference = Difference::Finding {
                    rule,
                    path,
                    ours: count(&ours),
                    theirs: count(&theirs),
                    all_ours,
                    all_theirs,
                };
                report.add(seed, &difference);
            }
        }
        if ours.keys().chain(theirs.keys()).any(|(_, severity, _, _)| severity == "error") {
            continue;
        }
        let compiled = rototo_engine::compile(&parsed).unwrap();
        for _ in 0..2 {
            let context = generate::context(&mut numbers);
            for id in compiled.variables() {
                let (ours, theirs) =
                    (our_answer(&compiled, id, &context), their_answer(&mut reference, root.path(), id, &context));
                answers += 1;
                if ours != theirs {
                    report.add(seed, &Difference::Answer { ours: &ours, theirs: &theirs });
                }
            }
        }
    }
    println!("{cases} workspaces, {findings} findings, {answers} answers; intended differences:");
    for meant in MEANT {
        println!("  {:>5}  {}", report.meant.get(meant.name).copied().unwrap_or(0), meant.name);
    }
    assert!(findings > 100 && answers > 100, "the generated workspaces have too few findings or answers");
    assert!(
        report.others.is_empty(),
        "{} differences:\n{}",
        report.others.len(),
        report.others[..report.others.len().min(25)].join("\n")
    );
}

/// The paths and keys that the reference leaves out without a word. Ours says so, and refuses only paths that differ from
/// the format's in case or separators.
#[test]
fn what_the_reference_accepts_stays_accepted_except_for_misnamed_paths() {
    let variable = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1 }\nresolve = { default = \"a\" }\n";
    let manifest = "schema_version = 1\n";
    let predicate = |more: &str| format!("schema_version = 1\n[[predicate]]\nattribute = \"n\"\n{more}\n");
    let schema = "{\"properties\": {\"n\": {\"format\": \"email\", \"requird\": 1}}, \"properties\": {\"n\": {}}}";
    let cases: [(&[(&str, &str)], bool); 17] = [
        (&[("Variables/v.toml", variable)], true),
        (&[("variables\\v.toml", variable)], true),
        (&[("variables/v.TOML", variable)], true),
        (&[("variables/v.toml", variable), ("Schemas/a.json", "{}")], true),
        (&[("variable/v.toml", variable)], false),
        (&[("variables/team/v.toml", variable)], false),
        (&[("variables/v.yaml", "a: 1")], false),
        (&[("resources/plan-objects/a.toml", "n = 1")], false),
        (&[("variables/v.toml", variable), ("README.md", ""), ("package.json", "{}")], false),
        (&[("rototo-workspace.toml", "schema_version = 1\nextend = [\"../nowhere\"]\n")], false),
        (&[("variables/v.toml", &format!("enabled = false\n{variable}"))], false),
        (&[("qualifiers/q.toml", &predicate("op = \"eq\"\nvalue = 1\nnot = true"))], false),
        (&[("qualifiers/q.toml", &predicate("op = \"in\"\nvalue = []"))], false),
        (
            &[(
                "qualifiers/q.toml",
                &predicate("op = \"gt\"\nvalue = 5\n[[predicate]]\nattribute = \"n\"\nop = \"lt\"\nvalue = 3"),
            )],
            false,
        ),
        (&[("schemas/context.schema.json", schema)], false),
        (&[("variables/lim\u{430}t.toml", variable)], false),
        (&[("variables/._v.toml", "schema_version = 1\n\u{0}")], false),
    ];
    let mut reference = Reference::start();
    for (files, is_refused) in cases {
        let mut all = generate::Files::from([("rototo-workspace.toml".to_owned(), manifest.to_owned())]);
        all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        let root = tempfile::tempdir().unwrap();
        write(&all, root.path());
        let ((ours, _), theirs) = (our_lint(&all), their_lint(&mut reference, root.path()));
        let errors = |findings: &rototo_differential::outcome::FindingCounts| -> Vec<String> {
            let errors = findings.keys().filter(|(_, severity, _, _)| severity == "error");
            errors.map(|(rule, _, _, _)| rule.clone()).collect()
        };
        let is_hidden = files.iter().any(|(path, _)| path.contains("/._"));
        assert!(is_hidden || errors(&theirs).is_empty(), "{files:?}: {theirs:?}");
        let expected: &[&str] = if is_refused { &["rototo/workspace-path-misnamed"] } else { &[] };
        assert_eq!(errors(&ours), expected, "{files:?}");
        let is_plain = files.iter().any(|(path, _)| path.contains("README") || path.contains("/._"));
        let is_reported = ours.keys().any(|(rule, _, _, _)| OWN_RULES.contains(&&**rule));
        assert_eq!(is_reported, !is_plain, "{files:?}: {ours:?}");
    }
}

/// The reference accepts any text under `owner` and `expires`, in variables and in rules, and decides as without them. It
/// refuses a date of TOML, of which ours warns.
#[test]
fn the_reference_reads_documents_with_owner_and_expiry_and_decides_alike() {
    let variable = |of_variable: &str, of_rule: &str| {
        format!(
            "schema_version = 1\n{of_variable}\ntype = \"int\"\nvalues = {{ a = 1, b = 2 }}\n[resolve]\ndefault = \"a\"\n\
             [[resolve.rule]]\nqualifier = \"q\"\nvalue = \"b\"\n{of_rule}\n"
        )
    };
    let owned = "owner = \"team-web\"\nexpires = \"2020-01-01\"";
    let cases = [
        (owned, owned, false),
        (owned, "", false),
        ("", owned, false),
        ("expires = \"soon\"", "owner = [\"a\", \"b\"]", false),
        ("owner = 3", "expires = { on = \"x\" }", false),
        ("expires = 2020-01-01", "", true),
        ("", "expires = 2020-01-01", true),
    ];
    let context = serde_json::json!({ "n": 1 });
    let mut reference = Reference::start();
    for (of_variable, of_rule, is_refused) in cases {
        let files = [
            ("rototo-workspace.toml", "schema_version = 1\n".to_owned()),
            (
                "qualifiers/q.toml",
                "schema_version = 1\n[[predicate]]\nattribute = \"n\"\nop = \"eq\"\nvalue = 1\n".to_owned(),
            ),
            ("schemas/context.schema.json", "{\"properties\": {\"n\": {\"type\": \"integer\"}}}".to_owned()),
            ("variables/v.toml", variable(of_variable, of_rule)),
        ];
        let files: generate::Files = files.into_iter().map(|(path, text)| (path.to_owned(), text)).collect();
        let root = tempfile::tempdir().unwrap();
        write(&files, root.path());
        let ((ours, parsed), theirs) = (our_lint(&files), their_lint(&mut reference, root.path()));
        let rules = |found: &rototo_differential::outcome::FindingCounts| -> Vec<String> {
            found.keys().map(|(rule, _, _, _)| rule.clone()).collect()
        };
        let is_well_formed = [of_variable, of_rule].iter().all(|lines| lines.is_empty() || *lines == owned);
        let expected: &[&str] = if is_well_formed { &[] } else { &["rototo/variable-ownership-shape"] };
        assert_eq!(rules(&ours), expected, "{of_variable} {of_rule}");
        assert_eq!(rules(&theirs).contains(&"rototo/variable-parse-failed".to_owned()), is_refused, "{theirs:?}");
        if !is_refused {
            assert_eq!(rules(&theirs), Vec::<String>::new(), "{of_variable} {of_rule}");
            let compiled = rototo_engine::compile(&parsed).unwrap();
            let theirs = their_answer(&mut reference, root.path(), "v", &context);
            assert_eq!(our_answer(&compiled, "v", &context), theirs, "{of_variable} {of_rule}");
        }
    }
}
