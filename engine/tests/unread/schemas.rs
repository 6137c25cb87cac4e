//! Parts of schemas that check nothing.

use super::*;

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
    silent(
        LATEST,
        "\"x-rototo-resorce\": \"plan\"",
        "`x-rototo-resorce` checks nothing; is `x-rototo-resource` meant? (/allOf/0/x-rototo-resorce)",
    );
    silent(
        LATEST,
        "\"x-rototo-resource\": [\"plan\"]",
        "`x-rototo-resource` checks nothing: its value is no name of a resource (/allOf/0/x-rototo-resource)",
    );
    // Names of properties and values are no keywords.
    context(&with("\"$defs\": {\"format\": {}, \"requird\": {}}, \"default\": {\"formt\": 1}, \"x-formt\": 1"), &[]);
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
fn the_attribute_that_is_meant_is_named_where_the_schema_declares_another() {
    let context = "{\"properties\": {\"account\": {\"properties\": {\"plan\": {}, \"country\": {}}}}}";
    for (attribute, meant) in [
        ("account.plna", "; is `account.plan` meant?"),
        ("acount.plan", "; is `account.plan` meant?"),
        ("plan", "; is `account.plan` meant?"),
        ("device.os", ""),
    ] {
        let qualifier = QUALIFIER.replace("\"country\"", &format!("\"{attribute}\""));
        let lint = lint(&parse(tree(&[
            ("qualifiers/q.toml", Some(&qualifier)),
            ("schemas/context.schema.json", Some(context)),
        ])));
        let message = format!("the context schema does not declare `{attribute}`{meant}");
        assert_eq!(found(&lint), [format!("workspace-context-schema-attribute {message}")]);
        let fix = lint.diagnostics[0].fix.as_ref().map(|fix| fix.replacement.as_str());
        assert_eq!(fix, (!meant.is_empty()).then_some("\"account.plan\""), "{attribute}");
    }
}

#[test]
fn a_keyword_of_references_that_is_not_followed_is_reported() {
    let plan = "{\"type\": \"string\", \"x-rototo-resource\": \"plan\"}";
    let found = |schema: &str| {
        let variable = "schema_version = 1\ntype = \"object\"\nschema = \"../schemas/v.json\"\nvalues = { a = {} }\nresolve = { default = \"a\" }\n";
        let schema = schema.replace("PLAN", plan);
        let files = [("variables/limits.toml", Some(variable)), ("schemas/v.json", Some(&*schema))];
        found(&lint(&parse(tree(&files))))
    };
    for (schema, way, at) in [
        ("{\"additionalProperties\": PLAN}", "additionalProperties", "/additionalProperties"),
        ("{\"prefixItems\": [PLAN]}", "prefixItems", "/prefixItems/0"),
        ("{\"items\": [PLAN], \"$schema\": \"http://json-schema.org/draft-07/schema#\"}", "items", "/items/0"),
        ("{\"patternProperties\": {\"a\": {\"items\": PLAN}}}", "patternProperties", "/patternProperties/a/items"),
        ("{\"properties\": {\"p\": {\"$ref\": \"#/$defs/p\"}}, \"$defs\": {\"p\": PLAN}}", "$ref", "/$defs/p"),
        ("{\"if\": {}, \"then\": {\"items\": PLAN}}", "then", "/then/items"),
    ] {
        let message = format!("`x-rototo-resource` checks nothing here: `{way}` is not followed to it");
        assert_eq!(found(schema), [format!("schema-keyword-unread {message} ({at}/x-rototo-resource)")], "{schema}");
    }
    for schema in [
        "{\"properties\": {\"p\": PLAN}}",
        "{\"items\": {\"anyOf\": [{\"oneOf\": [PLAN]}, {\"allOf\": [PLAN]}]}}",
        "{\"additionalProperties\": {\"x-note\": \"plan\"}}",
    ] {
        assert_eq!(found(schema), Vec::<String>::new(), "{schema}");
    }
    assert_eq!(
        found("{\"type\": \"array\", \"x-rototo-resource\": \"plan\"}"),
        [
            "schema-keyword-unread `x-rototo-resource` checks strings, and `type` allows none (/x-rototo-resource)",
            "variable-value-type-mismatch `a` does not match its schema: {} is not of type \"array\""
        ]
    );
}
