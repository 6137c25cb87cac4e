//! Keys that nothing reads.

use super::*;

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
