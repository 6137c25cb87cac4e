//! Completion of the members that a JSON Schema declares.

use serde_json::json;

use crate::MANIFEST;
use crate::client::{Client, text_at};
use crate::features::proposals;

const SCHEMA: &str = r##"{
  "type": "object",
  "required": ["retries", "backoff"],
  "properties": {
    "label": { "type": "string", "description": "A text for people" },
    "next": { "x-rototo-resource": "policy" },
    "retries": { "type": "integer" },
    "backoff": { "$ref": "#/$defs/backoff" },
    "hosts": { "type": "array", "items": { "allOf": [{ "properties": { "name": {}, "a b": {} } }] } }
  },
  "additionalProperties": { "properties": { "other": {} } },
  "$defs": {
    "backoff": {
      "type": "object",
      "properties": {
        "kind": { "enum": ["linear", "exponential", 3, null] },
        "jitter": { "type": "boolean" },
        "inner": { "$ref": "#/$defs/backoff" }
      }
    }
  }
}"##;

const OBJECT: &str = "resources/policy-objects/calm.toml";
const VARIABLE: &str = "variables/retry.toml";

fn workspace() -> Vec<(&'static str, &'static str)> {
    vec![
        MANIFEST,
        ("schemas/policy.json", SCHEMA),
        ("resources/policy.toml", "schema_version = 1\nschema = \"../schemas/policy.json\"\n"),
        (OBJECT, "retries = 1\n"),
        ("resources/policy-objects/strict.toml", "retries = 1\n"),
        (VARIABLE, "schema_version = 1\n"),
    ]
}

#[test]
fn members_of_objects_are_those_that_the_schema_declares() {
    let mut client = Client::start(&workspace());
    client.open_file(OBJECT);
    client.open_file(VARIABLE);
    let mut version = 1;
    let mut check = |path: &str, marked: &str, expected: &[&str]| {
        version += 1;
        assert_eq!(proposals(&mut client, path, version, marked), expected, "{marked}");
    };
    // The ones that must be there come first.
    check(OBJECT, "|", &["backoff", "retries", "hosts", "label", "next"]);
    check(OBJECT, "retries = 1\nla|", &["backoff", "hosts", "label", "next"]);
    check(OBJECT, "[backoff]\n|", &["inner", "jitter", "kind"]);
    check(OBJECT, "[backoff.inner.inner]\nkind = \"linear\"\n|", &["inner", "jitter"]);
    check(OBJECT, "backoff = { | }", &["inner", "jitter", "kind"]);
    check(OBJECT, "backoff.|", &["inner", "jitter", "kind"]);
    check(OBJECT, "[[hosts]]\n|", &["a b", "name"]);
    check(OBJECT, "[mine]\n|", &["other"]);
    check(OBJECT, "[backoff.|]", &["inner", "jitter", "kind"]);
    check(OBJECT, "[backoff]\nkind = |", &["\"linear\"", "\"exponential\"", "3"]);
    check(OBJECT, "[backoff]\njitter = |", &["true", "false"]);
    check(OBJECT, "next = \"|\"", &["calm", "strict"]);
    check(OBJECT, "label = |", &[]);

    let start = "type = \"object\"\nschema = \"../schemas/policy.json\"\n";
    check(
        VARIABLE,
        &format!("{start}[values.patient]\n|"),
        &["backoff", "retries", "hosts", "label", "next", "[values]", "[resolve]", "[[resolve.rule]]"],
    );
    check(VARIABLE, &format!("{start}[values]\npatient = {{ backoff = {{ | }} }}"), &["inner", "jitter", "kind"]);
    check(VARIABLE, &format!("{start}[values.patient.backoff]\nkind = |"), &["\"linear\"", "\"exponential\"", "3"]);
    check(VARIABLE, "type = \"object\"\n[values]\npatient = { | }", &[]);
    assert!(client.end().success());
}

#[test]
fn a_member_is_written_as_a_key_with_its_type_beside_it() {
    let mut client = Client::start(&workspace());
    client.open_file(OBJECT);
    let text = "re\n[[hosts]]\na\n";
    client.change(OBJECT, 2, text);
    let mut item = |mark: &str, label: &str| {
        let answer = client.ask("textDocument/completion", OBJECT, text, mark, json!({}));
        let items = answer["result"]["items"].as_array().unwrap();
        items.iter().find(|item| item["label"] == label).unwrap().clone()
    };
    let retries = item("re|\n", "retries");
    assert_eq!(text_at(text, &retries["textEdit"]["range"]), "re");
    assert_eq!(
        (&retries["textEdit"]["newText"], &retries["detail"]),
        (&json!("retries = "), &json!("\"integer\", required"))
    );
    assert_eq!(item("re|\n", "label")["documentation"]["value"], "A text for people");
    assert_eq!(item("\na|\n", "a b")["textEdit"]["newText"], "\"a b\" = ");
    assert!(client.end().success());
}
