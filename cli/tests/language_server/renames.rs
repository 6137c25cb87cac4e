//! Renames of variables and resources, which are files.

use serde_json::{Value, json};

use crate::client::{Client, abilities};
use crate::features::{apply, lint};
use crate::{LIMIT, PRO, all_kinds};

const RESOURCE: &str = "schema_version = 1\nschema = \"../schemas/policy.json\"\n";

/// Returns a workspace with each kind of document, whose schema does not refer to objects of resources.
fn workspace() -> Vec<(&'static str, &'static str)> {
    let mut files = all_kinds();
    files.retain(|(path, _)| *path != "schemas/policy.json");
    files.push(("schemas/policy.json", "{ \"properties\": { \"next\": {} } }"));
    files
}

fn rename(client: &mut Client, path: &str, text: &str, mark: &str, new: &str) -> Value {
    client.ask("textDocument/rename", path, text, mark, json!({ "newName": new }))
}

#[test]
fn a_variable_is_renamed_in_its_own_document() {
    let mut client = Client::start(&all_kinds());
    let answer = client.ask("textDocument/prepareRename", "variables/limit.toml", LIMIT, "schema|_version", json!({}));
    assert_eq!(answer["result"]["placeholder"], "limit", "{answer}");
    let answer = rename(&mut client, "variables/limit.toml", LIMIT, "schema|_version", "max-projects");
    assert_eq!(apply(&client, &answer["result"]), 1, "{answer}");
    assert_eq!(client.read("variables/max-projects.toml"), LIMIT);
    assert!(!client.path("variables/limit.toml").exists());

    // Other documents are not renamed beside the names in them.
    let answer = rename(&mut client, "qualifiers/pro.toml", PRO, "schema|_version", "x");
    assert!(answer["error"]["message"].as_str().unwrap().contains("no name here"), "{answer}");
    assert!(client.end().success());
}

#[test]
fn a_resource_is_renamed_with_its_objects_and_the_types_of_variables() {
    let mut client = Client::start(&workspace());
    let before = lint(&client);
    for (path, text, mark, new) in [
        ("variables/policy.toml", crate::POLICY, "resource:po|licy", "plan"),
        ("resources/plan.toml", RESOURCE, "schema|_version", "tariff"),
    ] {
        let answer = rename(&mut client, path, text, mark, new);
        assert_eq!(apply(&client, &answer["result"]), 3, "{answer}");
        let folder = format!("resources/{new}-objects/strict.toml");
        assert_eq!(client.read(&folder), "retries = 1\n");
        assert_eq!(client.read(&format!("resources/{new}.toml")), RESOURCE);
        assert!(client.read("variables/policy.toml").contains(&format!("type = \"resource:{new}\"")));
        client.files_changed(&[
            "variables/policy.toml",
            "resources/policy.toml",
            "resources/plan.toml",
            "resources/policy-objects/strict.toml",
            "resources/policy-objects/calm.toml",
            "resources/plan-objects/strict.toml",
            "resources/plan-objects/calm.toml",
        ]);
    }
    assert_eq!(lint(&client).as_array().unwrap().len(), before.as_array().unwrap().len(), "{before}");
    assert!(client.end().success());
}

#[test]
fn a_rename_that_would_lose_objects_is_refused_with_the_reason() {
    let refused = |client: &mut Client, new: &str, reason: &str| {
        let answer = rename(client, "resources/policy.toml", RESOURCE, "schema|_version", new);
        assert!(answer["error"]["message"].as_str().unwrap_or_default().contains(reason), "{answer}");
    };
    // `x-rototo-resource` of the schema names it.
    let mut client = Client::start(&all_kinds());
    refused(&mut client, "plan", "the schema `schemas/policy.json` refers to objects of it");
    assert!(client.end().success());

    let mut client = Client::start(&workspace());
    client.write("resources/plan-objects/notes.txt", b"");
    refused(&mut client, "plan", "a directory `resources/plan-objects` already");
    refused(&mut client, "a/b", "can't be named");
    refused(&mut client, "policy", "`resources/policy.toml` already");
    assert!(client.end().success());

    let mut abilities = abilities();
    abilities["workspace"]["workspaceEdit"]["resourceOperations"] = json!([]);
    let mut client = Client::start_with(&workspace(), &abilities);
    refused(&mut client, "plan", "can't rename files");
    assert!(client.end().success());
}

/// The rule would check nothing any more, and nobody would see it.
#[test]
fn a_rename_of_a_name_that_a_custom_rule_has_in_quotes_is_refused() {
    let script = |text: &str| format!("function register(lint) end\nlocal id = {text}\n");
    for (text, is_refused) in [
        ("\"limit\"", true),
        ("'limit'", true),
        ("[[limit]]", true),
        ("\"variable://limit\"", true),
        ("\"variables/limit.toml\"", true),
        ("\"limits\"", false),
        ("\"value.limit\"", false),
        ("limit", false),
    ] {
        let (mut files, script) = (all_kinds(), script(text));
        files.push(("lint/ids.lua", script.as_str()));
        let mut client = Client::start(&files);
        let answer = rename(&mut client, "variables/limit.toml", LIMIT, "schema|_version", "max-projects");
        let reason = answer["error"]["message"].as_str().unwrap_or_default();
        let expected = "the custom rule `lint/ids.lua` has `limit` in line 2: change it there by hand first";
        assert_eq!(reason, if is_refused { expected } else { "" }, "{text}: {answer}");
        assert!(client.end().success());
    }
}
