//! Definitions, references, hover, completion, rename, and fixes.

use serde_json::{Value, json};

use crate::client::{Client, abilities, places, text_at};
use crate::{ADULT, LIMIT, POLICY, PRO, all_kinds};

#[test]
fn a_definition_is_found_from_each_kind_of_name() {
    let mut client = Client::start(&all_kinds());
    let mut check = |path: &str, text: &str, mark: &str, definition: &str| {
        let answer = client.ask("textDocument/definition", path, text, mark, json!({}));
        assert_eq!(places(&client, &answer["result"]), [definition], "{path} {mark}");
    };
    check("variables/limit.toml", LIMIT, "qualifier = \"p|ro\"", "qualifiers/pro.toml:1");
    check("variables/limit.toml", LIMIT, "default = \"small|\"", "variables/limit.toml:5");
    check("variables/limit.toml", LIMIT, "value = |\"large\"", "variables/limit.toml:6");
    check("variables/policy.toml", POLICY, "\"resource:|policy\"", "resources/policy.toml:1");
    check("variables/policy.toml", POLICY, "value = \"str|ict\"", "resources/policy-objects/strict.toml:1");
    check("qualifiers/adult.toml", ADULT, "\"qualifier.p|ro\"", "qualifiers/pro.toml:1");
    check("qualifiers/pro.toml", PRO, "\"account.|plan\"", "schemas/context.schema.json:7");
    let resource = client.read("resources/policy.toml");
    let mut check = |path: &str, text: &str, mark: &str, definition: &str| {
        let answer = client.ask("textDocument/definition", path, text, mark, json!({}));
        assert_eq!(places(&client, &answer["result"]), [definition], "{path} {mark}");
    };
    check("resources/policy.toml", &resource, "/schemas|/policy", "schemas/policy.json:1");
    check(
        "resources/policy-objects/calm.toml",
        "next = \"strict\"\n",
        "\"st|rict\"",
        "resources/policy-objects/strict.toml:1",
    );
    assert!(client.end().success());
}

#[test]
fn references_are_found_in_all_documents() {
    let mut client = Client::start(&all_kinds());
    let mut check = |path: &str, text: &str, mark: &str, with_definition: bool, expected: &[&str]| {
        let context = json!({ "context": { "includeDeclaration": with_definition } });
        let answer = client.ask("textDocument/references", path, text, mark, context);
        assert_eq!(places(&client, &answer["result"]), expected, "{path} {mark}");
    };
    let of_pro = ["qualifiers/pro.toml:1", "qualifiers/adult.toml:4", "variables/limit.toml:12"];
    check("variables/limit.toml", LIMIT, "qualifier = \"p|ro\"", true, &of_pro);
    // Beside any name, it is about the document.
    check("qualifiers/pro.toml", PRO, "schema_version| = 1", false, &of_pro[1..]);
    check("variables/limit.toml", LIMIT, "sma|ll = 10", false, &["variables/limit.toml:9"]);
    let of_strict = ["resources/policy-objects/calm.toml:1", "variables/policy.toml:9"];
    check("variables/policy.toml", POLICY, "value = \"str|ict\"", false, &of_strict);
    check("resources/policy-objects/strict.toml", "retries = 1\n", "ret|ries", false, &of_strict);
    check("schemas/policy.json", "{ \"properties\": {", "{ \"pro|perties", false, &["resources/policy.toml:2"]);
    check("resources/policy.toml", "schema_version = 1", "schema|_version", false, &["variables/policy.toml:2"]);
    check("qualifiers/pro.toml", PRO, "account.|plan", false, &["qualifiers/pro.toml:5"]);
    let answer = client.ask("textDocument/documentHighlight", "variables/limit.toml", LIMIT, "sma|ll = 10", json!({}));
    assert_eq!(answer["result"].as_array().unwrap().len(), 2, "{answer}");
    assert!(client.end().success());
}

pub fn hover(client: &mut Client, path: &str, text: &str, mark: &str) -> String {
    let answer = client.ask("textDocument/hover", path, text, mark, json!({}));
    answer["result"]["contents"]["value"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn hover_explains_a_thing_and_its_users() {
    let mut client = Client::start(&all_kinds());
    let limit = client.uri("variables/limit.toml");
    let page = hover(&mut client, "variables/limit.toml", LIMIT, "qualifier = \"p|ro\"");
    for part in [
        "Customers who pay",
        "- `account.plan` eq `\"pro\"`",
        &format!("[rule 1 of variable limit]({limit}#L12), which selects `large`"),
        "predicate 1 of qualifier adult",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let page = hover(&mut client, "variables/limit.toml", LIMIT, "lar|ge = 100");
    assert!(page.contains("```json\n100\n```") && page.contains("if `pro` is true"), "{page}");
    let page = hover(&mut client, "variables/limit.toml", LIMIT, "default = \"sm|all\"");
    assert!(page.contains("the default of variable limit"), "{page}");
    let page = hover(&mut client, "qualifiers/pro.toml", PRO, "\"account.|plan\"");
    assert!(page.contains("The tariff") && page.contains("enum: `[\"free\",\"pro\"]`"), "{page}");
    let page = hover(&mut client, "variables/policy.toml", POLICY, "resource:po|licy");
    assert!(page.contains("2 objects") && page.contains("variable policy"), "{page}");
    let page = hover(&mut client, "qualifiers/pro.toml", PRO, "o|p = ");
    assert!(page.contains("The operator that compares the attribute"), "{page}");
    let page = hover(&mut client, "qualifiers/pro.toml", PRO, "\"e|q\"");
    assert!(page.contains("The attribute equals the value"), "{page}");
    let page = hover(&mut client, "variables/limit.toml", LIMIT, "[[resolve.ru|le");
    assert!(page.contains("the first whose qualifier is true decides"), "{page}");
    assert!(client.end().success());
}

#[test]
fn hover_shows_the_owner_and_the_expiry() {
    let mut client = Client::start(&all_kinds());
    let owned = "owner = \"team_web\"\nexpires = \"2027-06-30\"\ntype = \"int\"\n";
    let text = LIMIT.replace("type = \"int\"\n", owned) + "expires = \"2026-12-31\"\n";
    client.open("variables/limit.toml", &text);
    let page = hover(&mut client, "variables/limit.toml", &text, "lar|ge = 100");
    for part in ["Owner: team\\_web", "Expires on 2027-06-30", "if `pro` is true, expires on 2026-12-31"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let page = hover(&mut client, "variables/limit.toml", &text, "exp|ires = \"2027");
    assert!(page.contains("The day from which it should be gone"), "{page}");
    assert!(client.end().success());
}

#[test]
fn hover_has_the_reason_of_a_finding_and_shows_texts_as_they_are() {
    let mut client = Client::start(&all_kinds());
    client.open("variables/limit.toml", &LIMIT.replace("\"large\"\n", "\"larg\"\n"));
    client.findings_of("variables/limit.toml", 1);
    let text = LIMIT.replace("\"large\"\n", "\"larg\"\n");
    let page = hover(&mut client, "variables/limit.toml", &text, "value = \"la|rg\"");
    assert!(page.contains("`rototo/variable-unknown-value`: "), "{page}");
    let text = PRO.replace("Customers who pay", "<img src=x> [a](command:b)\\u001b[2J");
    client.open("qualifiers/pro.toml", &text);
    let page = hover(&mut client, "qualifiers/adult.toml", ADULT, "\"qualifier.p|ro\"");
    assert!(page.contains(r"\<img src=x\> \[a\]\(command:b\)") && !page.contains('\u{1b}'), "{page}");
    assert!(client.end().success());
}

/// Returns the labels of the proposals at the `|` in a document that is typed there.
pub fn proposals(client: &mut Client, path: &str, version: i64, marked: &str) -> Vec<String> {
    let text = marked.replacen('|', "", 1);
    client.change(path, version, &text);
    let at = crate::client::position_of(&text, marked.find('|').unwrap());
    let uri = client.uri(path);
    let answer = client.request("textDocument/completion", json!({ "textDocument": { "uri": uri }, "position": at }));
    let items = answer["result"]["items"].as_array().unwrap();
    items.iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn completion_knows_what_may_be_at_a_place_of_half_typed_text() {
    let mut client = Client::start(&all_kinds());
    client.open_file("variables/limit.toml");
    client.open_file("qualifiers/pro.toml");
    let mut version = 1;
    let mut check = |path: &str, marked: &str, expected: &[&str]| {
        version += 1;
        let found = proposals(&mut client, path, version, marked);
        assert_eq!(found, expected, "{marked}");
    };
    let limit = "variables/limit.toml";
    let headers = ["[values]", "[resolve]", "[[resolve.rule]]"];
    check(
        limit,
        "|",
        &[&["schema_version", "description", "owner", "expires", "type", "schema"][..], &headers].concat(),
    );
    check(
        limit,
        "type = \"int\"\nde|\n[values]\n[resolve]\n",
        &["schema_version", "description", "owner", "expires", "schema", "[[resolve.rule]]"],
    );
    check(limit, "type = \"|", &["bool", "int", "number", "string", "list", "object", "resource:policy"]);
    check(limit, "schema = |", &["../schemas/policy.json"]);
    let start = "type = \"int\"\n[values]\nlow = 1\n\"a b\" = 2\n[resolve]\n";
    check(limit, &format!("{start}default = \"|"), &["a b", "low"]);
    check(limit, &format!("{start}[[resolve.rule]]\nqualifier = \"|\"\nvalue ="), &["adult", "pro"]);
    check(
        limit,
        &format!("{start}[[resolve.rule]]\nqualifier = \"pro\"\n|"),
        &["value", "owner", "expires", "[[resolve.rule]]"],
    );
    check(limit, &format!("{start}rule = [{{ qualifier = \"pro\", value = | }}]"), &["a b", "low"]);
    check(limit, "type = \"resource:policy\"\n[resolve]\ndefault = '|'", &["calm", "strict"]);
    check(limit, "[re|", &["values", "resolve"]);
    check(limit, "[[resolve.|]]", &["rule"]);
    let pro = "qualifiers/pro.toml";
    check(
        pro,
        "schema_version = 1\n[[predicate]]\nop = \"|",
        &["eq", "neq", "in", "not_in", "gt", "gte", "lt", "lte", "bucket"],
    );
    let attributes = ["account", "account.beta", "account.plan", "account.seats", "qualifier.adult"];
    check(pro, "[[predicate]]\nattribute = \"acc|", &attributes);
    check(pro, "[[predicate]]\nattribute = \"account.plan\"\nvalue = |", &["\"free\"", "\"pro\""]);
    check(pro, "[[predicate]]\nattribute = \"account.beta\"\nvalue = |", &["true", "false"]);
    check(pro, "[[predicate]]\n|\nop = \"eq\"", &["attribute", "value", "salt", "range", "[[predicate]]"]);
    check(pro, "description = \"no | proposals\"", &[]);
    check(pro, "# no | proposals", &[]);
    assert!(client.end().success());
}

#[test]
fn a_proposal_replaces_the_half_typed_text_with_its_quotes() {
    let mut client = Client::start(&all_kinds());
    client.open_file("variables/limit.toml");
    let text = "type = \"int\"\n[[resolve.rule]]\nqualifier = \"😀\"\n";
    client.change("variables/limit.toml", 2, text);
    let answer = client.ask("textDocument/completion", "variables/limit.toml", text, "= \"|😀", json!({}));
    let item =
        answer["result"]["items"].as_array().unwrap().iter().find(|item| item["label"] == "pro").unwrap().clone();
    assert_eq!(text_at(text, &item["textEdit"]["range"]), "\"😀\"");
    assert_eq!((&item["textEdit"]["newText"], &item["filterText"]), (&json!("\"pro\""), &json!("\"pro\"")));
    assert_eq!(item["detail"], "Customers who pay");
    assert!(client.end().success());
}

/// Applies the edits of documents to the files, renames files, and returns the number of changed documents.
pub fn apply(client: &Client, edit: &Value) -> usize {
    let root = format!("{}/", client.uri(""));
    let path = |uri: &Value| uri.as_str().unwrap().strip_prefix(&root).unwrap().replace("%20", " ");
    let changes = edit["documentChanges"].as_array().unwrap();
    for change in changes {
        if change["kind"] == "rename" {
            std::fs::rename(client.path(&path(&change["oldUri"])), client.path(&path(&change["newUri"]))).unwrap();
            continue;
        }
        let path = path(&change["textDocument"]["uri"]);
        let mut text = client.read(&path);
        let mut edits: Vec<(usize, &str, &str)> = Vec::new();
        for edit in change["edits"].as_array().unwrap() {
            let old = text_at(&text, &edit["range"]);
            edits.push((old.as_ptr() as usize - text.as_ptr() as usize, old, edit["newText"].as_str().unwrap()));
        }
        edits.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
        let edits: Vec<(usize, usize, String)> =
            edits.into_iter().map(|(at, old, new)| (at, at + old.len(), new.to_owned())).collect();
        edits.into_iter().for_each(|(start, end, new)| text.replace_range(start..end, &new));
        client.write(&path, text.as_bytes());
    }
    changes.len()
}

/// Returns the findings of `rototo lint` in the client's directory.
pub fn lint(client: &Client) -> Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rototo"));
    let output = command.args(["lint", "--json"]).current_dir(client.path("")).output().unwrap();
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["diagnostics"].clone()
}

#[test]
fn a_rename_changes_every_mention_and_the_file() {
    let mut client = Client::start(&all_kinds());
    let before = lint(&client);
    let prepared =
        client.ask("textDocument/prepareRename", "qualifiers/adult.toml", ADULT, "qualifier.p|ro", json!({}));
    assert_eq!(text_at(ADULT, &prepared["result"]["range"]), "pro");
    assert_eq!(prepared["result"]["placeholder"], "pro");

    let new = json!({ "newName": "paying" });
    let answer = client.ask("textDocument/rename", "variables/limit.toml", LIMIT, "qualifier = \"p|ro\"", new);
    assert_eq!(apply(&client, &answer["result"]), 3, "{answer}");
    assert!(client.read("variables/limit.toml").contains("qualifier = \"paying\""));
    assert!(client.read("qualifiers/adult.toml").contains("attribute = \"qualifier.paying\""));
    assert_eq!(client.read("qualifiers/paying.toml"), PRO);
    assert!(!client.path("qualifiers/pro.toml").exists());

    let new = json!({ "newName": "very strict" });
    let answer = client.ask("textDocument/rename", "variables/policy.toml", POLICY, "value = \"str|ict\"", new);
    assert_eq!(apply(&client, &answer["result"]), 3, "{answer}");
    assert!(client.path("resources/policy-objects/very strict.toml").exists());
    assert_eq!(client.read("resources/policy-objects/calm.toml"), "next = \"very strict\"\n");

    let new = json!({ "newName": "at most" });
    let answer = client.ask("textDocument/rename", "variables/limit.toml", LIMIT, "lar|ge = 100", new);
    assert_eq!(apply(&client, &answer["result"]), 1, "{answer}");
    let text = client.read("variables/limit.toml");
    assert!(text.contains("\"at most\" = 100") && text.contains("value = \"at most\""), "{text}");
    assert_eq!(lint(&client).as_array().unwrap().len(), before.as_array().unwrap().len(), "{before}");
    assert!(client.end().success());
}

#[test]
fn a_rename_that_would_break_something_is_refused_with_the_reason() {
    let mut client = Client::start(&all_kinds());
    let mut refused = |mark: &str, new: &str, reason: &str| {
        let new = json!({ "newName": new });
        let answer = client.ask("textDocument/rename", "variables/limit.toml", LIMIT, mark, new);
        assert!(answer["error"]["message"].as_str().unwrap_or_default().contains(reason), "{answer}");
    };
    refused("qualifier = \"p|ro\"", "adult", "`qualifiers/adult.toml` already");
    refused("qualifier = \"p|ro\"", "../pro", "can't be named");
    refused("qualifier = \"p|ro\"", "", "not empty");
    refused("sma|ll = 10", "large", "mentioned already");
    refused("sma|ll = 10", "a\nb", "on one line");
    client.open("qualifiers/adult.toml", "[[predicate]]\nattribute =");
    let new = json!({ "newName": "x" });
    let answer = client.ask("textDocument/rename", "variables/limit.toml", LIMIT, "qualifier = \"p|ro\"", new);
    assert!(answer["error"]["message"].as_str().unwrap().contains("`qualifiers/adult.toml` has a fault"), "{answer}");
    assert!(client.end().success());

    let mut abilities = abilities();
    abilities["workspace"]["workspaceEdit"] = json!({});
    let mut client = Client::start_with(&all_kinds(), &abilities);
    let new = json!({ "newName": "x" });
    let answer = client.ask("textDocument/rename", "variables/limit.toml", LIMIT, "qualifier = \"p|ro\"", new);
    assert!(answer["error"]["message"].as_str().unwrap().contains("can't rename files"), "{answer}");
    let new = json!({ "newName": "x" });
    let answer = client.ask("textDocument/rename", "variables/limit.toml", LIMIT, "sma|ll = 10", new);
    let uri = client.uri("variables/limit.toml");
    assert_eq!(answer["result"]["changes"][&uri].as_array().unwrap().len(), 2, "{answer}");
    assert!(client.end().success());
}

#[test]
fn a_value_that_is_written_in_parts_is_not_renamed() {
    let text = "schema_version = 1\ntype = \"object\"\n[values.small.a]\nx = 1\n[values.small.b]\ny = 1\n[resolve]\ndefault = \"small\"\n";
    let mut client = Client::start(&[crate::MANIFEST, ("variables/limit.toml", text)]);
    let new = json!({ "newName": "tiny" });
    let answer = client.ask("textDocument/rename", "variables/limit.toml", text, "default = \"sma|ll\"", new);
    assert!(answer["error"]["message"].as_str().unwrap().contains("several parts"), "{answer}");
    assert!(client.end().success());
}

#[test]
fn a_file_that_the_editor_renames_takes_its_mentions_with_it() {
    let mut client = Client::start(&all_kinds());
    let file = json!({ "oldUri": client.uri("qualifiers/pro.toml"), "newUri": client.uri("qualifiers/paying.toml") });
    let answer = client.request("workspace/willRenameFiles", json!({ "files": [file] }));
    assert_eq!(apply(&client, &answer["result"]), 2, "{answer}");
    assert!(client.read("variables/limit.toml").contains("qualifier = \"paying\""));
    let file = json!({ "oldUri": client.uri("qualifiers/pro.toml"), "newUri": client.uri("elsewhere/pro.toml") });
    let answer = client.request("workspace/willRenameFiles", json!({ "files": [file] }));
    assert_eq!(answer["result"], json!(null));
    assert!(client.end().success());
}

/// Returns the titles and new texts of the fixes of a whole document.
fn fixes(client: &mut Client, path: &str, version: i64, text: &str) -> Vec<(String, String)> {
    client.change(path, version, text);
    client.findings_of(path, version);
    let uri = client.uri(path);
    let whole = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 999, "character": 0 } });
    let params = json!({ "textDocument": { "uri": uri }, "range": whole, "context": { "diagnostics": [] } });
    let answer = client.request("textDocument/codeAction", params);
    let fix = |action: &Value| {
        let edit = &action["edit"]["changes"][&uri][0];
        assert_eq!((&action["kind"], &action["diagnostics"][0]["source"]), (&json!("quickfix"), &json!("rototo")));
        (text_at(text, &edit["range"]).to_owned(), edit["newText"].as_str().unwrap().to_owned())
    };
    answer["result"].as_array().unwrap().iter().map(fix).collect()
}

#[test]
fn slips_have_a_fix() {
    let mut client = Client::start(&all_kinds());
    client.open_file("variables/limit.toml");
    client.open_file("qualifiers/adult.toml");
    let mut version = 1;
    let mut check = |path: &str, text: &str, old: &str, new: &str| {
        version += 1;
        let found = fixes(&mut client, path, version, text);
        assert!(found.contains(&(old.to_owned(), new.to_owned())), "{path}: {old} to {new} is not in {found:?}");
    };
    let limit = "variables/limit.toml";
    check(limit, &LIMIT.replace("qualifier = \"pro\"", "qualifier = \"prro\""), "\"prro\"", "\"pro\"");
    check(limit, &LIMIT.replace("default = \"small\"", "default = 'smal'"), "'smal'", "\"small\"");
    check(limit, &LIMIT.replace("[values]", "[value]"), "value", "values");
    check(limit, &LIMIT.replace("\"int\"", "\"itn\""), "\"itn\"", "\"int\"");
    check(limit, &LIMIT.replace("schema_version = 1\n", "# a note\n"), "", "schema_version = 1\n");
    let policy = POLICY.replace("resource:policy", "resource:polici");
    check(limit, &policy, "\"resource:polici\"", "\"resource:policy\"");
    let adult = "qualifiers/adult.toml";
    check(adult, &ADULT.replace("qualifier.pro", "qualifier.prro"), "\"qualifier.prro\"", "\"qualifier.pro\"");
    check(adult, &ADULT.replace("\"gte\"", "\"gtee\""), "\"gtee\"", "\"gte\"");

    // The table has the key that is meant already.
    let twice = LIMIT.replace("default = \"small\"", "default = \"small\"\ndefaul = \"small\"");
    version += 1;
    assert!(fixes(&mut client, limit, version, &twice).is_empty());
    assert!(client.end().success());
}
