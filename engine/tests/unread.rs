//! Parts that an author writes and nothing reads are reported: paths beside the format's, keys that are no notes,
//! parts of a schema that check nothing, and conditions that cannot be meant.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::tree::PathKind;
use rototo_engine::{Lint, Severity, Tree, lint, lint_after, parse, parse_after};

const MANIFEST: (&str, &str) = ("rototo-workspace.toml", "schema_version = 1\n");
const VARIABLE: &str = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1, b = 2 }\n\n[resolve]\ndefault = \"a\"\n\n[[resolve.rule]]\nqualifier = \"q\"\nvalue = \"b\"\n";
const QUALIFIER: &str = "schema_version = 1\n\n[[predicate]]\nattribute = \"country\"\nop = \"eq\"\nvalue = \"US\"\n";
const CONTEXT: &str = "{\"properties\": {\"country\": {\"enum\": [\"US\", \"DE\"]}, \"n\": {\"type\": \"number\"}}}";

/// A workspace without findings, with some of its files replaced, added, or removed.
fn tree(changes: &[(&str, Option<&str>)]) -> Tree {
    let files = [
        MANIFEST,
        ("variables/v.toml", VARIABLE),
        ("qualifiers/q.toml", QUALIFIER),
        ("schemas/context.schema.json", CONTEXT),
    ];
    let mut tree: Tree = files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect();
    for (path, text) in changes {
        match text {
            Some(text) => tree.insert(*path, text.as_bytes()),
            None => tree.remove(path),
        }
    }
    tree
}

fn found(lint: &Lint) -> Vec<String> {
    let short =
        |found: &rototo_engine::Diagnostic| format!("{} {}", found.rule.trim_start_matches("rototo/"), found.message);
    lint.diagnostics.iter().map(short).collect()
}

#[track_caller]
fn check(changes: &[(&str, Option<&str>)], expected: &[&str]) {
    assert_eq!(found(&lint(&parse(tree(changes)))), expected, "{changes:?}");
}

#[test]
fn a_workspace_whose_directories_were_renamed_is_refused() {
    let mut renamed = Tree::default();
    renamed.insert(MANIFEST.0, MANIFEST.1.as_bytes());
    for path in ["Variables/v.toml", "qualifiers\\q.toml", "Schemas/context.schema.json"] {
        renamed.notice(path, PathKind::File);
    }
    let lint = lint(&parse(renamed));
    assert_eq!(lint.errors(), 3, "{lint:?}");
    assert_eq!(found(&lint)[1], "workspace-path-misnamed nothing reads `Variables`: it must be named `variables`");
    assert_eq!(lint.diagnostics[1].location.path, "Variables");
    assert_eq!(
        lint.diagnostics[1].masked_message(),
        "a path differs from one of the format only in case or separators"
    );
}

#[test]
fn what_stands_beside_the_documents_is_reported_once() {
    let nested = ["variables/team/a.toml", "variables/team/b.toml", "variables/team/deep/c.toml"];
    let nested: Vec<_> = nested.iter().map(|path| (*path, Some(VARIABLE))).collect();
    check(
        &nested,
        &["workspace-path-unread nothing reads the directory `variables/team`: documents stand in `variables` itself"],
    );
    check(
        &[("variables/w.yaml", Some(""))],
        &["workspace-path-unread nothing reads `variables/w.yaml`: documents in `variables` end in `.toml`"],
    );
    check(
        &[("variables/w.toml.txt", Some(VARIABLE))],
        &["workspace-path-unread nothing reads `variables/w.toml.txt`: documents in `variables` end in `.toml`"],
    );
    check(
        &[("variable/w.toml", Some(VARIABLE))],
        &["workspace-path-unread nothing reads `variable`; is `variables` meant?"],
    );
    check(
        &[("resources/plan-objects/a.toml", Some("")), ("resources/plan-objects/b.toml", Some(""))],
        &[
            "workspace-path-unread nothing reads the objects in `resources/plan-objects`: there is no `resources/plan.toml`",
        ],
    );
}

#[test]
fn a_repository_around_the_workspace_is_no_finding() {
    check(
        &[
            ("README.md", Some("")),
            ("package.json", Some("{}")),
            ("ownership.toml", Some("")),
            (".github/workflows/ci.yaml", Some("")),
            ("src/schemas/a.json", Some("{}")),
            ("tests/fixtures/a.toml", Some("")),
            ("Resources/logo.png", Some("")),
            ("variables/README.md", Some("")),
            ("variables/._v.toml", Some("\0\u{5}\u{16}\u{7}")),
            ("variables/.DS_Store", Some("")),
            ("qualifiers/.taplo.toml", Some("")),
            ("schemas/tests/a.json", Some("{}")),
            ("lint/selene.toml", Some("")),
        ],
        &[],
    );
}

#[test]
fn unread_paths_are_no_content_and_are_linted_anew() {
    let plain = tree(&[]);
    let mut beside = plain.clone();
    beside.notice("variables/v.TOML", PathKind::File);
    assert_eq!(beside.fingerprint(), plain.fingerprint());
    assert!(!beside.has_same_unread_paths(&plain));
    let orphan = tree(&[("resources/plan-objects/a.toml", Some(""))]);
    assert!(orphan.fingerprint() == plain.fingerprint() && !orphan.has_same_unread_paths(&plain));
    // The next version of the workspace was made from the last one.
    let next = beside.clone().after(&plain);
    assert!(next.has_same_unread_paths(&beside));
    let before = lint_after(&Default::default(), &parse(plain.clone()));
    let after = lint_after(&before, &parse_after(before.parsed(), next.clone()));
    assert_eq!((before.lint().errors(), after.lint().errors()), (0, 1));
    let healed = lint_after(&after, &parse_after(after.parsed(), plain.after(&next)));
    assert_eq!(healed.lint().errors(), 0);
    // Layers keep theirs.
    assert!(tree(&[]).over(&beside).has_same_unread_paths(&beside));
}

#[test]
fn thousands_of_unread_paths_are_a_hundred_findings() {
    let mut many = tree(&[]);
    (0..10_000).for_each(|number| many.notice(&format!("variables/{number}.yaml"), PathKind::File));
    let lint = lint(&parse(many));
    assert_eq!((lint.warnings(), lint.errors()), (101, 0));
    assert!(found(&lint).contains(&"workspace-path-unread nothing reads further paths: this lists 100".to_owned()));
}

#[test]
fn names_longer_than_a_file_system_holds_are_no_documents() {
    let name = "x".repeat(100_000);
    let lint = lint(&parse(tree(&[(&format!("variables/{name}.toml"), Some(VARIABLE))])));
    assert_eq!(lint.errors(), 1, "{:?}", found(&lint));
    assert!(found(&lint)[0].contains("a name has at most 255 bytes"), "{:?}", found(&lint));
    let text = serde_json::to_string(&lint.diagnostics).unwrap();
    assert!(text.len() < 4_000, "{}", text.len());
}

/// The findings about keys in a document with a line more at its end.
fn keys(path: &str, text: &str) -> Vec<String> {
    let lint = lint(&parse(tree(&[(path, Some(text))])));
    let about = |found: &&rototo_engine::Diagnostic| found.rule == "rototo/key-unread";
    let text = |found: &rototo_engine::Diagnostic| format!("{} {}", found.location, found.message);
    assert!(lint.diagnostics.iter().filter(about).all(|found| found.severity == Severity::Warning));
    lint.diagnostics.iter().filter(about).map(text).collect()
}

#[test]
fn slips_and_words_of_other_places_are_reported_with_what_is_meant() {
    let check = |path: &str, text: &str, expected: &str| {
        let found = keys(path, text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
    };
    let predicate = |line: &str| format!("{QUALIFIER}{line}\n");
    check(
        "qualifiers/q.toml",
        &predicate("not = true"),
        "q.toml:7:1 a predicate does not read `not`, only `attribute`",
    );
    check("qualifiers/q.toml", &predicate("not = true"), "; `neq` and `not_in` negate");
    check("qualifiers/q.toml", &predicate("vlaue = 1"), "is `value` meant?");
    check("qualifiers/q.toml", &predicate("case_insensitive = true"), "operators compare whole texts, with case");
    check("qualifiers/q.toml", &predicate("salt = \"s\""), "only a `bucket` reads `salt`");
    check("qualifiers/q.toml", &QUALIFIER.replace("[[predicate]]", "[[predicates]]"), "is `predicate` meant?");
    let rule = |line: &str| format!("{VARIABLE}{line}\n");
    check("variables/v.toml", &rule("enabled = false"), "what should not apply must be removed");
    check("variables/v.toml", &rule("weight = 10"), "a rule does not read `weight`");
    check("variables/v.toml", &VARIABLE.replace("resolve.rule", "resolve.rules"), "`resolve` does not read `rules`");
    check("variables/v.toml", &VARIABLE.replace("[[resolve.rule]]", "[[rule]]"), "a variable does not read `rule`");
    check("variables/v.toml", &format!("default = \"a\"\n{VARIABLE}"), "a variable does not read `default`");
    check(MANIFEST.0, "schema_version = 1\nextend = [\"../a\"]\n", "is `extends` meant?");
    check("resources/plan.toml", "schema_version = 1\nschmea = \"../schemas/a.json\"\n", "is `schema` meant?");
}

/// A document with each kind of table, the place of a further key in it, and what a finding calls that place.
fn places() -> [(&'static str, String, &'static str, &'static str); 7] {
    let resource = "schema_version = 1\nschema = \"../schemas/a.json\"\n";
    [
        ("variables/v.toml", format!("@\n{VARIABLE}"), "1:1", "a variable"),
        ("variables/v.toml", VARIABLE.replace("[resolve]\n", "[resolve]\n@\n"), "6:1", "`resolve`"),
        ("variables/v.toml", format!("{VARIABLE}@\n"), "11:1", "a rule"),
        ("qualifiers/q.toml", format!("@\n{QUALIFIER}"), "1:1", "a qualifier"),
        ("qualifiers/q.toml", format!("{QUALIFIER}@\n"), "7:1", "a predicate"),
        ("resources/plan.toml", format!("{resource}@\n"), "3:1", "a resource"),
        (MANIFEST.0, format!("{}@\n", MANIFEST.1), "2:1", "the manifest"),
    ]
}

#[test]
fn every_key_that_promises_or_not_a_schedule_or_off_is_reported_at_its_place() {
    let lines = "match=\"any\" operator=\"or\" logic=\"or\" combine=\"any\" negate=true invert=true until=\"2026-12-31\" start=1 \
                 from=1 to=1 schedule={} state=\"off\" environment=\"staging\" and=\"q2\" off=true kill_switch=true \
                 archived=true environments=[\"prod\"] prerequisites=[] targets=[] variants={} buckets=100 seed=7 \
                 state=\"DISABLED\" or=[] any=[] xor=true min_version=\"2\" killSwitch=true unless=\"q\" expires_at=1 \
                 paused=false sunset=\"x\" cost_center=7 deprecated=true xray=1 whatever=\"x\"";
    for (path, document, place, name) in places() {
        for line in lines.split_whitespace() {
            let found = keys(path, &document.replace('@', line));
            let (key, _) = line.split_once('=').unwrap();
            let expected = format!("{path}:{place} {name} does not read `{key}`");
            assert!(found.len() == 1 && found[0].starts_with(&expected), "{line}: {found:?}, not {expected}");
        }
    }
    let (path, rule, ..) = &places()[2];
    let found = keys(path, &rule.replace('@', "attribute = \"country\""));
    assert!(found.len() == 1 && found[0].contains("a rule does not read `attribute`"), "{found:?}");
}

#[test]
fn a_warning_says_how_the_format_expresses_what_was_meant() {
    let check = |place: usize, line: &str, expected: &str| {
        let (path, document, ..) = &places()[place];
        let found = keys(path, &document.replace('@', line));
        assert!(found.len() == 1 && found[0].ends_with(expected), "{line}: {found:?}");
    };
    let [variable, resolve, rule, qualifier, predicate, resource, manifest] = [0, 1, 2, 3, 4, 5, 6];
    for line in ["match = \"any\"", "operator = \"or\"", "logic = \"or\"", "combine = \"any\"", "match_mode = 1"] {
        check(qualifier, line, "; for OR, use `in` with a list, or a rule for each qualifier");
    }
    for line in ["negate = true", "invert = true", "is_negated = true"] {
        check(qualifier, line, "; for NOT, compare `qualifier.ID` with `false` in another qualifier");
        check(predicate, line, "; `neq` and `not_in` negate");
    }
    for line in ["until = 1", "start = 1", "from = 1", "to = 1", "schedule = {}", "valid-until = 1", "startDate = 1"] {
        check(rule, line, "; no date decides anything, not even `expires`: change the file on that day");
    }
    check(rule, "state = \"off\"", "; what should not apply must be removed");
    for line in ["state = \"DISABLED\"", "off = true", "kill_switch = true", "archived = true", "isEnabled = false"] {
        check(
            variable,
            line,
            "; nothing switches a variable off: remove its rules, and let `default` select the value",
        );
    }
    check(rule, "environment = \"staging\"", "or use layers (`extends` in the manifest)");
    check(variable, "environments = []", "or use layers (`extends` in the manifest)");
    check(rule, "and = \"q2\"", "; for AND, write a qualifier with several predicates");
    check(rule, "attribute = \"country\"", "; a rule has no condition of its own: it names a `qualifier`");
    check(
        variable,
        "prerequisites = []",
        "; variables do not depend on each other: let their rules name the same qualifier",
    );
    check(
        variable,
        "targets = []",
        "; for some contexts only, write a qualifier that compares an attribute, and a rule that names it",
    );
    check(variable, "variants = {}", "; `[values]` holds the values, and `[[resolve.rule]]` selects one");
    for line in ["buckets = 1", "seed = 1"] {
        check(predicate, line, "; for a share, write a predicate with `op = \"bucket\"`, `salt`, and `range`");
    }
    check(predicate, "operator = \"eq\"", "; `op` is the operator");
    check(resolve, "fallback = \"a\"", "; `default` is selected when no rule matches");
    check(resource, "required = []", "; the schema of the resource checks its objects");
    check(manifest, "environment = \"x\"", "; for environments, use a workspace for each, with `extends`");
    check(resource, "until = 1", "only `schema_version`, `description`, `schema`");
}

#[test]
fn keys_of_any_length_and_number_are_a_thousand_warnings() {
    let lines: String = (0..5_000).map(|key| format!("key_{key} = true\n")).collect();
    let long = format!("\"{}\" = 1\n\"\" = 1\n\"\u{e9}\u{202e}\u{1f600}\" = 1\n", "not_".repeat(50_000));
    for (path, document, ..) in places() {
        let found = lint(&parse(tree(&[(path, Some(&document.replace('@', &format!("{long}{lines}"))))])));
        assert_eq!(found.warnings(), 1_000, "{path}");
        assert!(found.diagnostics.iter().all(|found| found.message.len() < 4_000), "{path}");
    }
}

#[test]
fn notes_of_an_author_are_not_reported() {
    let notes = "team = \"growth\"\nticket = 123\nnote = \"x\"\ntags = [\"a\"]\n\
                 created_by = \"x\"\nreviewers = [\"a\"]\njira = \"A-1\"\nname = \"x\"\ntitle = \"x\"\nurl = \"x\"\n\
                 meta = { a = true }\ntodo = \"x\"\ndeprecated_since = \"x\"\n\
                 comment = \"x\"\ncomments = []\nnotes = \"x\"\nid = 7\nissue = 1\nlink = \"x\"\nlinks = []\ndocs = \"x\"\n\
                 labels = { state = \"off\" }\ncontact = \"x\"\nreviewed = true\nauthor = \"x\"\ncreated = \"x\"\n\
                 updated = \"x\"\nsince = \"x\"\nx-until = true\nx_state = \"off\"\n_match = \"any\"\n\"$schema\" = \"x\"\n\
                 metadata = { enabled = false }\nannotations.until = \"x\"\ncreatedAt = \"x\"\nReviewed-By = \"x\"\n";
    for (path, text) in [
        ("qualifiers/q.toml", format!("{QUALIFIER}{notes}")),
        ("qualifiers/q.toml", format!("owner = \"billing\"\nexpires = 2027-01-01\n{notes}{QUALIFIER}")),
        ("variables/v.toml", format!("{VARIABLE}description = \"x\"\n{notes}")),
        ("variables/v.toml", format!("{notes}{VARIABLE}")),
        ("variables/v.toml", VARIABLE.replace("[resolve]\n", &format!("[resolve]\n{notes}"))),
        (MANIFEST.0, format!("{}description = \"x\"\n{notes}", MANIFEST.1)),
    ] {
        assert_eq!(keys(path, &text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn an_owner_or_an_expiry_a_table_too_deep_is_reported() {
    for line in ["owner = \"a\"", "expires = \"2027-01-01\""] {
        let (key, _) = line.split_once(' ').unwrap();
        for (place, (path, document, at, name)) in places().iter().enumerate() {
            let expected = match place {
                1 => vec![format!(
                    "{path}:{at} {name} does not read `{key}`; `{key}` stands at the top of the file, or in a rule"
                )],
                4 => vec![format!(
                    "{path}:{at} {name} does not read `{key}`, only a variable and a rule do; a note about the qualifier \
                     stands at the top of the file"
                )],
                _ => Vec::new(),
            };
            assert_eq!(keys(path, &document.replace('@', line)), expected, "{name}");
        }
    }
    // Words that resemble them, and other notes, mean nothing anywhere.
    for line in ["owners = [\"a\"]", "Owner = \"a\"", "expiry = \"x\"", "team = \"a\"", "metadata = { owner = \"a\" }"]
    {
        for (path, document, ..) in places() {
            assert_eq!(keys(path, &document.replace('@', line)), Vec::<String>::new(), "{line}");
        }
    }
}

#[test]
fn a_closed_object_that_requires_an_undeclared_name_is_reported() {
    let found = |members: &str| {
        let context = CONTEXT.replacen('{', &format!("{{\"$defs\": {{\"a\": {{{members}}}}}, "), 1);
        found(&lint(&parse(tree(&[("schemas/context.schema.json", Some(&context))]))))
    };
    let closed = "\"properties\": {\"user\": {}}, \"additionalProperties\": false";
    let message = "schema-required-undeclared no object matches: it must have `usr`, and `additionalProperties: false` allows \
                   only names in `properties`; is `user` meant? (/$defs/a/required)";
    for more in ["", ", \"type\": \"object\"", ", \"type\": [\"null\", \"object\"]", ", \"anyOf\": [{}]"] {
        assert_eq!(found(&format!("\"required\": [\"user\", \"usr\"], {closed}{more}")), [message], "{more}");
    }
    let without = found("\"required\": [\"usr\", \"other\"], \"additionalProperties\": false");
    assert!(without.len() == 1 && without[0].contains("must have `usr`, and"), "{without:?}");
    for other in [
        "\"required\": [\"usr\"], \"properties\": {\"user\": {}}".to_owned(),
        "\"required\": [\"usr\"], \"additionalProperties\": {}".to_owned(),
        format!("\"required\": [\"user\"], {closed}"),
        format!("\"required\": [], {closed}"),
        format!("\"required\": [\"usr\"], {closed}, \"patternProperties\": {{\"^u\": {{}}}}"),
        format!("\"required\": [\"usr\"], {closed}, \"allOf\": [{{}}]"),
        format!("\"required\": [\"usr\"], {closed}, \"$ref\": \"#/properties/n\""),
        format!("\"required\": [\"usr\"], {closed}, \"type\": \"string\""),
        format!("\"default\": {{\"required\": [\"usr\"], {closed}}}"),
    ] {
        let undeclared: Vec<_> = found(&other).into_iter().filter(|found| found.contains("undeclared")).collect();
        assert_eq!(undeclared, Vec::<String>::new(), "{other}");
    }
}

#[test]
fn a_reference_to_another_file_is_named_at_its_place() {
    let object = "schema_version = 1\ntype = \"object\"\nschema = \"../schemas/a.json\"\nvalues = { a = {} }\n\
                  resolve = { default = \"a\" }\n";
    let message = |path: &str, schema: &str| {
        let user = ("schemas/user.schema.json", Some("{\"type\": \"object\"}"));
        let lint = lint(&parse(tree(&[user, ("variables/o.toml", Some(object)), (path, Some(schema))])));
        let found = lint.diagnostics.iter().find(|found| found.rule == "rototo/schema-invalid");
        found.map(|found| (found.message.clone(), found.key.clone().unwrap_or_default()))
    };
    for path in ["schemas/context.schema.json", "schemas/a.json"] {
        for reference in ["user.schema.json", "./user.schema.json#/$defs/a", "../schemas/user.schema.json"] {
            let expected = format!(
                "a reference to another file is not followed: copy `{reference}` under `$defs` (/properties/country/$ref)"
            );
            let schema = CONTEXT.replacen("{\"enum\"", &format!("{{\"$ref\": \"{reference}\", \"enum\""), 1);
            assert_eq!(message(path, &schema), Some((expected, "/properties/country/$ref".to_owned())), "{path}");
            let based = schema.replacen('{', "{\"$id\": \"https://example.com/schemas/context.schema.json\", ", 1);
            assert_eq!(message(path, &based), message(path, &schema), "{path}");
        }
        let other = message(path, "{\"type\": \"objekt\", \"$ref\": \"#/a\"}").unwrap_or_default().0;
        assert!(other.starts_with("not a valid JSON Schema: "), "{other}");
    }
}

#[test]
fn parts_of_a_schema_that_check_nothing_are_reported() {
    let context = |text: &str, expected: &[&str]| check(&[("schemas/context.schema.json", Some(text))], expected);
    let with = |more: &str| CONTEXT.replacen('{', &format!("{{{more}, "), 1);
    context(
        &with("\"properties\": {}"),
        &["schema-key-duplicate the object has `properties` twice, and only the last one counts"],
    );
    let mail = |schema: &str| {
        with(&format!("\"$schema\": \"{schema}\"")).replace("\"type\": \"number\"", "\"format\": \"email\"")
    };
    context(
        &mail("https://json-schema.org/draft/2020-12/schema"),
        &["schema-keyword-unread `format` checks nothing in this draft of JSON Schema (/properties/n/format)"],
    );
    context(&mail("http://json-schema.org/draft-07/schema#"), &[]);
    context(
        &mail("http://json-schema.org/draft-07/schema#").replace("\"email\"", "\"mail\""),
        &["schema-keyword-unread this draft of JSON Schema has no format `mail` (/properties/n/format)"],
    );
    context(
        &with("\"requird\": [\"n\"]"),
        &["schema-keyword-unread JSON Schema has no keyword `requird`; is `required` meant? (/requird)"],
    );
    let of_draft = |draft: &str, more: &str| with(&format!("\"$schema\": \"{draft}\", \"allOf\": [{{{more}}}]"));
    let silent = |draft: &str, more: &str, expected: &str| {
        let found = (!expected.is_empty()).then(|| format!("schema-keyword-unread {expected}"));
        context(&of_draft(draft, more), &found.iter().map(String::as_str).collect::<Vec<_>>());
    };
    const SEVEN: &str = "http://json-schema.org/draft-07/schema#";
    const LATEST: &str = "https://json-schema.org/draft/2020-12/schema";
    let reference = "\"$ref\": \"#/properties/n\", \"title\": \"a\", \"minimum\": 5";
    silent(SEVEN, reference, "`minimum` beside `$ref` checks nothing in this draft of JSON Schema (/allOf/0/minimum)");
    silent(LATEST, reference, "");
    let tuple = "\"prefixItems\": [{}]";
    silent(
        SEVEN,
        tuple,
        "`prefixItems` checks nothing in this draft of JSON Schema, before 2020-12 (/allOf/0/prefixItems)",
    );
    silent(LATEST, tuple, "");
    silent(LATEST, "\"then\": {}", "`then` checks nothing without `if` (/allOf/0/then)");
    silent(SEVEN, "\"if\": {}, \"then\": {}", "");
    silent(SEVEN, "\"items\": [{}], \"additionalItems\": false", "");
    silent(
        SEVEN,
        "\"items\": {}, \"additionalItems\": false",
        "`additionalItems` checks nothing without a list of `items` (/allOf/0/additionalItems)",
    );
    silent(
        LATEST,
        "\"nullable\": true",
        "JSON Schema has no keyword `nullable`; a `type` may be `\"null\"` (/allOf/0/nullable)",
    );
    silent(LATEST, "\"min\": 1", "JSON Schema has no keyword `min`; is `minimum` meant? (/allOf/0/min)");
    // Names of properties and values are no keywords.
    context(&with("\"$defs\": {\"format\": {}, \"requird\": {}}, \"default\": {\"formt\": 1}, \"x-formt\": 1"), &[]);
}

#[test]
fn conditions_that_cannot_be_meant_are_reported() {
    let constant = |lines: &str, expected: &str| {
        let text = format!("schema_version = 1\n\n[[predicate]]\n{lines}\n");
        let extra = "schema_version = 1\n[[predicate]]\nattribute = \"n\"\nop = \"gt\"\nvalue = 1\n";
        let lint = lint(&parse(tree(&[("qualifiers/q.toml", Some(&text)), ("qualifiers/p.toml", Some(extra))])));
        let found: Vec<_> = found(&lint).into_iter().filter(|found| found.contains("predicate-constant")).collect();
        assert!(found.len() == 1 && found[0].contains(expected), "{lines}: {found:?}");
    };
    constant("attribute = \"country\"\nop = \"eq\"\nvalue = \"us\"", "it is never true");
    constant("attribute = \"country\"\nop = \"neq\"\nvalue = \"us\"", "it is always true");
    constant("attribute = \"country\"\nop = \"in\"\nvalue = [\"US\", \"fr\"]", "does not allow some values");
    constant("attribute = \"n\"\nop = \"in\"\nvalue = []", "never true");
    constant("attribute = \"qualifier.p\"\nop = \"gt\"\nvalue = 1", "this always fails");
    constant("attribute = \"qualifier.p\"\nop = \"eq\"\nvalue = \"true\"", "never true");
    constant("attribute = \"qualifier.p\"\nop = \"bucket\"\nsalt = \"s\"\nrange = [0, 10]", "fails without it");
    constant(
        "attribute = \"n\"\nop = \"gt\"\nvalue = 5\n[[predicate]]\nattribute = \"n\"\nop = \"lt\"\nvalue = 3",
        "no value of `n` meets",
    );
}

#[test]
fn what_tools_put_into_the_place_of_a_file_is_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let check = |path: &str, bytes: &[u8], expected: &str| {
        let mut tree = tree(&[]);
        tree.insert(path, bytes);
        let found = found(&lint(&parse(tree)));
        assert!(found.iter().any(|found| found.contains(expected)), "{path} {bytes:?}: {found:?}");
    };
    for path in ["variables/v.toml", "qualifiers/q.toml", MANIFEST.0, "schemas/context.schema.json"] {
        check(path, pointer.as_bytes(), "this is a pointer of Git LFS, not the file");
        check(path, b"\0GITCRYPT\0\x8f\x01", "encrypted by git-crypt");
        check(path, b"\xff\xfea\0 \0=\0", "UTF-16 text");
        check(path, b"<!DOCTYPE html><html>", "a web page");
        check(path, b"<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> other\n", "both sides of a merge");
    }
    let with_mark = format!("\u{feff}{CONTEXT}");
    assert_eq!(found(&lint(&parse(tree(&[("schemas/context.schema.json", Some(&with_mark))])))), Vec::<String>::new());
    let broken = "\u{feff}{\n  \"a\": ?\n}";
    let broken = lint(&parse(tree(&[("schemas/context.schema.json", Some(broken))])));
    assert!(broken.diagnostics.iter().any(|found| found.location.to_string().ends_with(".json:2:8")), "{broken:?}");
}

#[test]
fn names_that_show_as_another_are_reported() {
    let deceptive = |changes: &[(&str, Option<&str>)], expected: &str| {
        let found = found(&lint(&parse(tree(changes))));
        let found: Vec<_> = found.iter().filter(|found| found.contains("name-deceptive")).collect();
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
        assert!(found[0].chars().all(|letter| letter == ' ' || letter.is_ascii_graphic()), "{found:?}");
    };
    deceptive(
        &[("variables/l\u{202e}imit.toml", Some(VARIABLE))],
        "`l\\u{202e}imit` has the invisible character U+202E",
    );
    deceptive(&[("qualifiers/e\u{301}.toml", Some(QUALIFIER))], "U+0301 as a character of its own");
    let cases = [("qualifiers/Pro.toml", Some(QUALIFIER)), ("qualifiers/pro.toml", Some(QUALIFIER))];
    deceptive(&cases, "the path differs from `qualifiers/pro.toml` only in case");
    let cases = [("qualifiers/Pro.toml", Some(QUALIFIER)), ("qualifiers/pRo.toml", Some(QUALIFIER))];
    deceptive(&cases, "the path differs from `qualifiers/Pro.toml` only in case");
    deceptive(&[("variables/\u{1b}[2J.toml", Some(VARIABLE))], "U+001B");
    deceptive(&[("qualifiers/\u{440}ro.toml", Some(QUALIFIER))], "letters of the Cyrillic alphabet among Latin ones");
    let value = VARIABLE.replace("b = 2", "\"b\u{200b}\" = 2, b = 3");
    deceptive(&[("variables/v.toml", Some(&value))], "U+200B");
    check(&[("variables/größe.toml", Some(VARIABLE)), ("variables/лимит.toml", Some(VARIABLE))], &[]);
}

#[test]
fn blanks_and_invisible_characters_of_an_operand_are_reported() {
    let found_with = |op: &str, value: &str, country: &str| {
        let qualifier = QUALIFIER.replace("\"eq\"", &format!("\"{op}\"")).replace("\"US\"", value);
        let context = CONTEXT.replace("{\"enum\": [\"US\", \"DE\"]}", country);
        let lint = lint(&parse(tree(&[
            ("qualifiers/q.toml", Some(&qualifier)),
            ("schemas/context.schema.json", Some(&context)),
        ])));
        assert_eq!(lint.errors(), 0, "{lint:?}");
        found(&lint)
    };
    let any = "{\"type\": \"string\"}";
    let deceptive = |text: &str| vec![format!("qualifier-predicate-value-deceptive {text}")];
    let blank = "the text that this compares with begins or ends with a blank";
    for value in ["\"pro \"", "\"\\tpro\"", "\" \"", "\"\\u00a0pro\""] {
        assert_eq!(found_with("eq", value, any), deceptive(blank), "{value}");
        assert_eq!(found_with("neq", value, any).len(), 1, "{value}");
    }
    let invisible = "the text that this compares with has the invisible character U+200B";
    for value in ["\"pro\u{200b}\"", "\"p\\u200bro\""] {
        assert_eq!(found_with("eq", value, any), deceptive(invisible), "{value}");
    }
    assert_eq!(
        found_with("in", "[\"a\", \" b\", \"c \"]", any),
        deceptive("item 2 of the list begins or ends with a blank")
    );
    assert_eq!(
        found_with("not_in", "[\"a\", \"b\u{202e}\"]", any),
        deceptive("item 2 of the list has the invisible character U+202E")
    );
    for value in ["\"café au lait\"", "\"\"", "\"größe\"", "\"лимит plan\""] {
        assert_eq!(found_with("eq", value, any), Vec::<String>::new(), "{value}");
        assert_eq!(found_with("in", &format!("[{value}, \"b c\"]"), any), Vec::<String>::new(), "{value}");
    }
    // The author of the schema means the blank.
    for country in ["{\"enum\": [\"pro \", \"b\"]}", "{\"const\": \"pro \"}"] {
        assert_eq!(found_with("in", "[\"pro \"]", country), Vec::<String>::new(), "{country}");
    }
    assert!(
        found_with("in", "[\"pro \"]", "{\"enum\": [\"pro\", \"b\"]}")
            .contains(&deceptive("item 1 of the list begins or ends with a blank")[0])
    );
}

#[test]
fn keywords_that_check_nothing_of_the_declared_type_are_reported() {
    let found = |schema: &str| {
        let context = CONTEXT.replace("{\"type\": \"number\"}", schema);
        found(&lint(&parse(tree(&[("schemas/context.schema.json", Some(&context))]))))
    };
    let unread = |text: &str, key: &str| vec![format!("schema-keyword-unread {text} (/properties/n/{key})")];
    for (schema, text, key) in [
        (
            "{\"type\": \"integer\", \"maxLength\": 3}",
            "`maxLength` checks strings, and `type` allows none",
            "maxLength",
        ),
        ("{\"type\": \"string\", \"maximum\": 100}", "`maximum` checks numbers, and `type` allows none", "maximum"),
        ("{\"type\": [\"string\", \"null\"], \"items\": {}}", "`items` checks arrays, and `type` allows none", "items"),
        (
            "{\"type\": \"array\", \"required\": [\"a\"]}",
            "`required` checks objects, and `type` allows none",
            "required",
        ),
    ] {
        assert_eq!(found(schema), unread(text, key), "{schema}");
    }
    for schema in [
        "{\"type\": [\"string\", \"null\"], \"maxLength\": 3}",
        "{\"maxLength\": 3, \"maximum\": 100}",
        "{\"type\": \"integer\", \"maximum\": 100}",
        "{\"type\": \"number\", \"multipleOf\": 2, \"enum\": [2, 4], \"default\": 2}",
        "{\"type\": \"object\", \"properties\": {\"type\": {}, \"maxLength\": {}}}",
        "{\"type\": \"integer\", \"anyOf\": [{\"maxLength\": 3}]}",
    ] {
        assert_eq!(found(schema), Vec::<String>::new(), "{schema}");
    }
}

#[test]
fn an_attribute_behind_a_reference_is_refused_with_the_reason() {
    let qualifier = QUALIFIER.replace("\"country\"", "\"account.plan\"");
    let context = |more: &str| format!("{{\"properties\": {{\"account\": {{{more}}}}}, \"$defs\": {DEFS}}}");
    const DEFS: &str =
        "{\"account\": {\"properties\": {\"plan\": {\"type\": \"string\"}}}, \"a\": {\"$ref\": \"#/$defs/a\"}}";
    let of = |context: &str| {
        tree(&[("qualifiers/q.toml", Some(&qualifier)), ("schemas/context.schema.json", Some(context))])
    };
    let plain = "workspace-context-schema-attribute the context schema does not declare `account.plan`";
    for (more, hint) in [
        ("\"$ref\": \"#/$defs/account\"", " (`$ref` is not followed here)"),
        ("\"$ref\": \"#/$defs/a\"", " (`$ref` is not followed here)"),
        ("\"allOf\": [{\"$ref\": \"#/$defs/account\"}]", " (`allOf` is not followed here)"),
        ("\"properties\": {\"tier\": {}}", ""),
    ] {
        assert_eq!(found(&lint(&parse(of(&context(more))))), [format!("{plain}{hint}")], "{more}");
        // The hint comes and goes with the schema alone.
        for earlier in ["\"properties\": {\"tier\": {}}", "\"oneOf\": [{}]"] {
            let before = lint_after(&Default::default(), &parse(of(&context(earlier))));
            let after = lint_after(&before, &parse_after(before.parsed(), of(&context(more))));
            assert_eq!(found(after.lint()), [format!("{plain}{hint}")], "{earlier} before {more}");
        }
    }
    let declared = "\"$ref\": \"#/$defs/account\", \"properties\": {\"plan\": {}}";
    assert_eq!(found(&lint(&parse(of(&context(declared))))), Vec::<String>::new());
}

#[test]
fn a_path_that_windows_can_not_check_out_is_deceptive() {
    let found = |path: &str| {
        let mut tree = Tree::default();
        tree.insert("rototo-workspace.toml", *b"schema_version = 1");
        tree.insert(path, QUALIFIER.as_bytes());
        let found = lint(&parse(tree)).diagnostics.into_iter();
        let found: Vec<String> = found
            .filter(|found| found.rule == "rototo/workspace-name-deceptive" && found.location.path == path)
            .map(|found| found.message)
            .collect();
        assert!(found.len() <= 1, "{path}: {found:?}");
        found.into_iter().next().unwrap_or_default()
    };
    for (name, device) in [("aux", "aux"), ("con.x", "con"), ("COM1", "COM1"), ("lpt9", "lpt9"), ("NUL .a", "NUL")] {
        let expected = format!("Windows can't check the file out: `{device}` is the name of a device there");
        assert_eq!(found(&format!("qualifiers/{name}.toml")), expected, "{name}");
    }
    for letter in [':', '?', '"', '<', '>', '|', '*'] {
        let expected = format!("Windows can't check the file out: no name has `{letter}` there");
        assert_eq!(found(&format!("qualifiers/a{letter}b.toml")), expected);
    }
    for name in ["a ", " a"] {
        let path = format!("qualifiers/{name}.toml");
        assert_eq!(found(&path), "a name in the path begins or ends with a blank, which nobody sees", "{name}");
    }
    for name in ["auxiliary", "com", "com0", "com10", "console", "x.con", "lpt", "a b", "a'b", "größe", "prno", "null"]
    {
        assert_eq!(found(&format!("qualifiers/{name}.toml")), "", "{name}");
    }
}
