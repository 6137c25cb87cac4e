//! A client of the Language Server Protocol speaks with `rototo lsp` over stdio, for each thing that the server can do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod features;
mod members;
mod nested;
mod renames;
mod robustness;
mod tests_of_workspace;

use client::{Client, position_of, text_at};
use serde_json::json;

pub const MANIFEST: (&str, &str) = ("rototo-workspace.toml", "schema_version = 1\n");

pub const LIMIT: &str = "schema_version = 1
type = \"int\"

[values]
small = 10
large = 100

[resolve]
default = \"small\"

[[resolve.rule]]
qualifier = \"pro\"
value = \"large\"
";

pub const PRO: &str = "schema_version = 1
description = \"Customers who pay\"

[[predicate]]
attribute = \"account.plan\"
op = \"eq\"
value = \"pro\"
";

const ADULT: &str = "schema_version = 1

[[predicate]]
attribute = \"qualifier.pro\"
op = \"eq\"
value = true

[[predicate]]
attribute = \"account.seats\"
op = \"gte\"
value = 18
";

const CONTEXT: &str = r#"{
  "type": "object",
  "properties": {
    "account": {
      "type": "object",
      "properties": {
        "plan": { "type": "string", "enum": ["free", "pro"], "description": "The tariff" },
        "seats": { "type": "integer" },
        "beta": { "type": "boolean" }
      }
    }
  }
}
"#;

pub const POLICY: &str = "schema_version = 1
type = \"resource:policy\"

[resolve]
default = \"calm\"

[[resolve.rule]]
qualifier = \"adult\"
value = \"strict\"
";

/// The rule about a qualifier that is not there.
pub const UNKNOWN: &str = "rototo/variable-rule-unknown-qualifier";

/// Returns a workspace with each kind of document.
pub fn all_kinds() -> Vec<(&'static str, &'static str)> {
    vec![
        MANIFEST,
        ("variables/limit.toml", LIMIT),
        ("variables/policy.toml", POLICY),
        ("qualifiers/pro.toml", PRO),
        ("qualifiers/adult.toml", ADULT),
        ("schemas/context.schema.json", CONTEXT),
        ("schemas/policy.json", r#"{ "properties": { "next": { "x-rototo-resource": "policy" } } }"#),
        ("resources/policy.toml", "schema_version = 1\nschema = \"../schemas/policy.json\"\n"),
        ("resources/policy-objects/calm.toml", "next = \"strict\"\n"),
        ("resources/policy-objects/strict.toml", "retries = 1\n"),
    ]
}

#[test]
fn findings_follow_every_change_of_an_open_document() {
    let mut client = Client::start(&all_kinds());
    let text = client.open_file("variables/limit.toml");
    assert!(client.findings_of("variables/limit.toml", 1).is_empty());

    // The range counts UTF-16 code units: the emoji has two.
    let faulty =
        text.replace("value = \"large\"", "value = \"😀\"").replace("default = \"small\"", "default = \"smal\"");
    client.change("variables/limit.toml", 2, &faulty);
    let found = client.findings_of("variables/limit.toml", 2);
    let rules: Vec<_> =
        found.iter().map(|found| (found["code"].as_str().unwrap(), found["severity"].clone())).collect();
    assert!(rules.contains(&("rototo/variable-unknown-value", json!(1))), "{rules:?}");
    let texts: Vec<&str> = found.iter().map(|found| text_at(&faulty, &found["range"])).collect();
    assert!(texts.contains(&"\"smal\"") && texts.contains(&"\"😀\""), "{texts:?}");
    let unknown = found.iter().find(|found| found["code"] == "rototo/variable-unknown-value").unwrap();
    assert_eq!(unknown["source"], "rototo");
    assert_eq!(
        unknown["codeDescription"]["href"],
        "https://docs.example.com/lint-rules.html#rototovariable-unknown-value"
    );
    assert!(unknown["message"].as_str().unwrap().starts_with("[values] of `limit` has no `smal`; is `small` meant?"));

    // A keystroke: the letter that is missing, behind a line with an emoji.
    let place = faulty.find("smal\"").unwrap() + "smal".len();
    let place = position_of(&faulty, place);
    client.change_by("variables/limit.toml", 3, json!([{ "range": { "start": place, "end": place }, "text": "l" }]));
    let found = client.findings_of("variables/limit.toml", 3);
    assert!(found.iter().all(|found| !found["message"].as_str().unwrap().contains("smal`")), "{found:?}");

    // Two changes in one message, of which the second is about the result of the first.
    let start = json!({ "line": 0, "character": 0 });
    let changes = json!([
        { "text": "😀\n" },
        { "range": { "start": start, "end": { "line": 0, "character": 2 } }, "text": LIMIT },
    ]);
    client.change_by("variables/limit.toml", 4, changes);
    assert!(client.findings_of("variables/limit.toml", 4).is_empty());
    assert!(client.end().success());
}

#[test]
fn findings_in_other_documents_come_and_go_with_a_change() {
    let mut client = Client::start(&all_kinds());
    client.open_file("qualifiers/pro.toml");
    client.findings_of("qualifiers/pro.toml", 1);
    client.change(
        "qualifiers/pro.toml",
        2,
        "schema_version = 1\n[[predicate]]\nattribute = \"qualifier.adult\"\nop = \"eq\"\nvalue = true\n",
    );
    let found = client.findings("qualifiers/adult.toml", |params| params["diagnostics"] != json!([]));
    assert_eq!(found["diagnostics"][0]["code"], "rototo/qualifier-cycle");
    // Closed without saving: the file counts again.
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": client.uri("qualifiers/pro.toml") } }));
    client.findings("qualifiers/adult.toml", |params| params["diagnostics"] == json!([]));
    assert!(client.end().success());
}

#[test]
fn several_workspaces_of_one_folder_are_apart() {
    let mut client = Client::start(&[
        ("a/rototo-workspace.toml", "schema_version = 1\n"),
        ("a/variables/limit.toml", LIMIT),
        ("b/rototo-workspace.toml", "schema_version = 1\n"),
        ("b/variables/limit.toml", LIMIT),
        ("b/qualifiers/pro.toml", PRO),
        ("notes/variables/limit.toml", "no workspace"),
    ]);
    for path in ["a/variables/limit.toml", "b/variables/limit.toml", "notes/variables/limit.toml"] {
        client.open_file(path);
    }
    assert_eq!(client.findings_of("a/variables/limit.toml", 1)[0]["code"], UNKNOWN);
    let found = client.findings_of("b/variables/limit.toml", 1);
    assert!(found.iter().all(|found| found["code"] != UNKNOWN), "{found:?}");
    let hover = client.ask("textDocument/hover", "notes/variables/limit.toml", "no workspace", "no| work", json!({}));
    assert_eq!(hover["result"], json!(null));
    assert!(client.end().success());
}

#[test]
fn layers_lie_below_the_documents_of_the_workspace() {
    let mut client = Client::start(&[
        ("base/rototo-workspace.toml", "schema_version = 1\n"),
        ("base/qualifiers/pro.toml", PRO),
        ("prod/rototo-workspace.toml", "schema_version = 1\nextends = [\"../base\"]\n"),
        ("prod/variables/limit.toml", LIMIT),
    ]);
    client.open_file("prod/variables/limit.toml");
    assert!(client.findings_of("prod/variables/limit.toml", 1).iter().all(|found| found["severity"] != 1));
    let hover = client.ask("textDocument/hover", "prod/variables/limit.toml", LIMIT, "qualifier = \"p|ro", json!({}));
    assert!(hover["result"]["contents"]["value"].as_str().unwrap().contains("Customers who pay"), "{hover}");

    let mark = "qualifier = \"p|ro";
    let answer = client.ask("textDocument/definition", "prod/variables/limit.toml", LIMIT, mark, json!({}));
    assert_eq!(client::places(&client, &answer["result"]), ["base/qualifiers/pro.toml:1"]);
    let manifest = "schema_version = 1\nextends = [\"../base\"]\n";
    let answer = client.ask("textDocument/definition", "prod/rototo-workspace.toml", manifest, "../b|ase", json!({}));
    assert_eq!(client::places(&client, &answer["result"]), ["base/rototo-workspace.toml:1"]);
    let page = features::hover(&mut client, "prod/rototo-workspace.toml", manifest, "../b|ase");
    assert!(page.contains("layer `../base`: the directory `") && page.contains("/base`"), "{page}");
    // A rename must not change the files of another workspace.
    let new = json!({ "newName": "x" });
    let answer = client.ask("textDocument/rename", "prod/variables/limit.toml", LIMIT, mark, new);
    assert!(answer["error"]["message"].as_str().unwrap().contains("is a document of a layer"), "{answer}");

    // A document of the layer goes, and comes back.
    client.forget();
    let unknown = |params: &serde_json::Value| params["diagnostics"].to_string().contains(UNKNOWN);
    std::fs::remove_file(client.path("base/qualifiers/pro.toml")).unwrap();
    client.files_changed(&["base/qualifiers/pro.toml"]);
    client.findings("prod/variables/limit.toml", unknown);
    client.write("base/qualifiers/pro.toml", PRO.as_bytes());
    client.files_changed(&["base/qualifiers/pro.toml"]);
    client.findings("prod/variables/limit.toml", |params| !unknown(params));

    // The layer is gone from the disk, and comes back as a directory.
    client.open_file("prod/rototo-workspace.toml");
    client.write("prod/rototo-workspace.toml", b"schema_version = 1\nextends = [\"../gone\"]\n");
    client.files_changed(&["prod/rototo-workspace.toml"]);
    let failed = |params: &serde_json::Value| params["diagnostics"].to_string().contains("workspace can't be read");
    client.findings("prod/rototo-workspace.toml", failed);
    client.forget();
    client.write("gone/rototo-workspace.toml", MANIFEST.1.as_bytes());
    client.write("gone/qualifiers/pro.toml", PRO.as_bytes());
    client.files_changed(&["gone"]);
    client.findings("prod/rototo-workspace.toml", |params| !failed(params));
    assert!(client.end().success());
}

#[test]
fn a_layer_of_a_layer_counts_when_it_is_saved_and_not_while_it_is_typed() {
    // An editor that reports no files.
    let files = [
        ("common/rototo-workspace.toml", MANIFEST.1),
        ("base/rototo-workspace.toml", "schema_version = 1\nextends = [\"../common\"]\n"),
        ("prod/rototo-workspace.toml", "schema_version = 1\nextends = [\"../base\"]\n"),
        ("prod/variables/limit.toml", LIMIT),
    ];
    let mut client = Client::start_with(&files, &json!({}));
    client.open_file("prod/variables/limit.toml");
    assert_eq!(client.findings_of("prod/variables/limit.toml", 1)[0]["code"], UNKNOWN);
    client.open("common/qualifiers/pro.toml", PRO);
    client.findings_of("common/qualifiers/pro.toml", 1);
    client.change("prod/variables/limit.toml", 2, LIMIT);
    assert_eq!(client.findings_of("prod/variables/limit.toml", 2)[0]["code"], UNKNOWN);
    client.write("common/qualifiers/pro.toml", PRO.as_bytes());
    let document = json!({ "uri": client.uri("common/qualifiers/pro.toml") });
    client.notify("textDocument/didSave", json!({ "textDocument": document }));
    client.findings("prod/variables/limit.toml", |params| !params["diagnostics"].to_string().contains(UNKNOWN));
    assert!(client.end().success());
}
