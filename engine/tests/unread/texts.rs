//! Conditions that cannot be meant, and names and texts that are not what they look like.

use super::*;

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
    for (op, list, expected) in [
        ("in", "[\"true\"]", "no other value of this list"),
        ("not_in", "[true, 1]", "no other value of this list"),
        ("in", "[true, false]", "always true"),
        ("not_in", "[false, true]", "never true"),
        ("in", "[]", "never true"),
    ] {
        constant(&format!("attribute = \"qualifier.p\"\nop = \"{op}\"\nvalue = {list}"), expected);
    }
    constant("attribute = \"qualifier.p\"\nop = \"bucket\"\nsalt = \"s\"\nrange = [0, 10]", "fails without it");
    constant(
        "attribute = \"n\"\nop = \"gt\"\nvalue = 5\n[[predicate]]\nattribute = \"n\"\nop = \"lt\"\nvalue = 3",
        "no value of `n` meets",
    );
}

#[test]
fn conditions_that_decide_are_not_reported() {
    let silent = |lines: &str, context: &str| {
        let text = format!("schema_version = 1\n\n[[predicate]]\n{lines}\n");
        let changes = [("qualifiers/q.toml", Some(&*text)), ("schemas/context.schema.json", Some(context))];
        let found = found(&lint(&parse(tree(&changes))));
        let constant: Vec<_> = found.iter().filter(|found| found.contains("predicate-constant")).collect();
        assert_eq!(constant, Vec::<&String>::new(), "{lines}");
    };
    // In draft 7 only the reference counts.
    let beside = "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"definitions\": {\"p\": {\"type\": \"string\"}}, \
                  \"properties\": {\"country\": {\"$ref\": \"#/definitions/p\", \"enum\": [\"DE\"]}}}";
    silent("attribute = \"country\"\nop = \"eq\"\nvalue = \"US\"", beside);
    silent("attribute = \"country\"\nop = \"in\"\nvalue = [\"US\"]", CONTEXT);
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
