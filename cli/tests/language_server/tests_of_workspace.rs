//! The names in the tests of a workspace: renames, references, and definitions.

use serde_json::{Value, json};

use crate::client::{Client, abilities, places, text_at};
use crate::features::{apply, hover, lint};
use crate::{LIMIT, MANIFEST, POLICY, PRO, all_kinds};

const PATH: &str = "tests/limits.toml";

const TEST: &str = "schema_version = 1

[[case]]
name = \"a large customer\"
context = { account = { plan = \"pro\", seats = 20 } }
expect = { limit = \"large\", policy = { key = \"strict\" } }
qualifiers = { pro = true, adult = true }

[[table]]
attributes = [\"account.plan\", \"account.seats\"]
variables = [\"limit\", \"policy\"]
rows = [
  [\"free\", 1, \"small\", \"calm\"],
  [\"pro\", 20, \"large\", \"strict\"],
]
";

fn workspace() -> Vec<(&'static str, &'static str)> {
    [all_kinds(), vec![(PATH, TEST)]].concat()
}

/// Asks for a new name of the value `small` of the variable `limit`.
fn rename_small(client: &mut Client) -> Value {
    let new = json!({ "newName": "tiny" });
    client.ask("textDocument/rename", "variables/limit.toml", LIMIT, "sma|ll = 10", new)
}

/// Returns the edits of a test in an answer to `rename_small`: the version, and the old texts.
fn edits(client: &Client, answer: &Value, path: &str, text: &str) -> Option<(Value, Vec<String>)> {
    let changes = answer["result"]["documentChanges"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let change = changes.iter().find(|change| change["textDocument"]["uri"] == client.uri(path))?;
    let old = |edit: &Value| text_at(text, &edit["range"]).to_owned();
    Some((change["textDocument"]["version"].clone(), change["edits"].as_array().unwrap().iter().map(old).collect()))
}

/// Runs the tests in the client's directory with `rototo test`.
#[track_caller]
fn passes(client: &Client) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rototo"));
    let output = command.arg("test").current_dir(client.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", client.read(PATH));
}

#[test]
fn each_kind_of_name_is_renamed_in_tests_too() {
    let mut client = Client::start(&workspace());
    passes(&client);
    let mut rename = |path: &str, mark: &str, new: &str, changes: usize, changed: &[&str]| {
        let text = client.read(path);
        let answer = client.ask("textDocument/rename", path, &text, mark, json!({ "newName": new }));
        assert_eq!(apply(&client, &answer["result"]), changes, "{answer}");
        passes(&client);
        client.files_changed(&[&[PATH], changed].concat());
    };
    let limit = "variables/max-projects.toml";
    rename("variables/limit.toml", "schema|_version", "max-projects", 2, &["variables/limit.toml", limit]);
    let changed = ["qualifiers/pro.toml", "qualifiers/paying.toml", "qualifiers/adult.toml", limit];
    rename(PATH, "qualifiers = { p|ro", "paying", 4, &changed);
    rename(limit, "lar|ge = 100", "at most", 2, &[limit]);
    rename(PATH, "\"sma|ll\"", "low", 2, &[limit]);
    let objects = ["calm", "strict", "hard"].map(|key| format!("resources/policy-objects/{key}.toml"));
    let changed = [&objects[0], &objects[1], &objects[2], "variables/policy.toml"];
    rename("variables/policy.toml", "value = \"str|ict\"", "hard", 4, &changed);
    // A key with a dot is one in quotes.
    rename(PATH, "variables = [\"max-projects\", \"po|licy\"]", "policy.new", 2, &["variables/policy.toml"]);
    assert_eq!(
        client.read(PATH),
        TEST.replace("limit = ", "max-projects = ")
            .replace("policy = ", "\"policy.new\" = ")
            .replace("{ pro = ", "{ paying = ")
            .replace("[\"limit\", \"policy\"]", "[\"max-projects\", \"policy.new\"]")
            .replace("\"large\"", "\"at most\"")
            .replace("\"small\"", "\"low\"")
            .replace("\"strict\"", "\"hard\"")
    );
    assert!(client.end().success());
}

#[test]
fn references_and_definitions_lead_into_tests_and_out_of_them() {
    let mut client = Client::start(&workspace());
    let mut references = |path: &str, text: &str, mark: &str, with_definition: bool, expected: &[&str]| {
        let context = json!({ "context": { "includeDeclaration": with_definition } });
        let answer = client.ask("textDocument/references", path, text, mark, context);
        assert_eq!(places(&client, &answer["result"]), expected, "{path} {mark}");
    };
    let [expect, qualifiers, variables, free, pro] = [6, 7, 11, 13, 14].map(|line| format!("{PATH}:{line}"));
    let of_limit: [&str; 3] = ["variables/limit.toml:1", &expect, &variables];
    references("variables/limit.toml", LIMIT, "schema|_version", true, &of_limit);
    references(PATH, TEST, "expect = { li|mit", false, &of_limit[1..]);
    references("variables/limit.toml", LIMIT, "lar|ge = 100", false, &["variables/limit.toml:13", &expect, &pro]);
    references("variables/limit.toml", LIMIT, "\"sm|all\"", false, &["variables/limit.toml:9", &free]);
    references(
        "qualifiers/pro.toml",
        PRO,
        "schema|_version",
        false,
        &["qualifiers/adult.toml:4", "variables/limit.toml:12", &qualifiers],
    );
    let of_strict = ["resources/policy-objects/calm.toml:1", "variables/policy.toml:9", &expect, &pro];
    references("variables/policy.toml", POLICY, "value = \"str|ict\"", false, &of_strict);

    let mut definition = |mark: &str, expected: &str| {
        let answer = client.ask("textDocument/definition", PATH, TEST, mark, json!({}));
        assert_eq!(places(&client, &answer["result"]), [expected], "{mark}");
    };
    definition("expect = { li|mit", "variables/limit.toml:1");
    definition("\"lar|ge\", policy", "variables/limit.toml:6");
    definition("key = \"str|ict\"", "resources/policy-objects/strict.toml:1");
    definition("adu|lt = true", "qualifiers/adult.toml:1");
    definition("variables = [\"limit\", \"po|licy\"]", "variables/policy.toml:1");
    definition("1, \"small\", \"ca|lm\"", "resources/policy-objects/calm.toml:1");

    let answer = client.ask("textDocument/documentHighlight", PATH, TEST, "\"lar|ge\", policy", json!({}));
    let lines: Vec<_> = answer["result"].as_array().unwrap().iter().map(|it| &it["range"]["start"]["line"]).collect();
    assert_eq!(lines, [5, 13]);
    let answer = client.ask("textDocument/prepareRename", PATH, TEST, "expect = { li|mit", json!({}));
    assert_eq!(text_at(TEST, &answer["result"]["range"]), "limit");

    // A test selects nothing, and applications use a variable.
    let page = hover(&mut client, "variables/limit.toml", LIMIT, "lar|ge = 100");
    assert!(page.contains("It is selected by") && !page.contains(PATH), "{page}");
    let page = hover(&mut client, PATH, TEST, "expect = { li|mit");
    assert_eq!(page, "variable `limit`");
    assert!(client.end().success());
}

#[test]
fn an_open_test_is_used_in_place_of_its_file_and_files_are_followed() {
    let mut client = Client::start(&workspace());
    let registration = client.receive(|message| message["method"] == "client/registerCapability");
    assert!(registration.to_string().contains("**/tests/*.toml"), "{registration}");
    let small = || vec!["\"small\"".to_owned()];
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, PATH, TEST), Some((Value::Null, small())));

    let typed = format!("# Limits\n{TEST}\n[[case]]\nexpect = {{ limit = 'small' }}\n");
    client.open(PATH, TEST);
    client.change(PATH, 2, &typed);
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, PATH, &typed), Some((json!(2), [small(), vec!["'small'".to_owned()]].concat())));
    client.change(PATH, 3, "schema_version = 1\n");
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, PATH, ""), None);
    // Closed without saving: the file counts again.
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": client.uri(PATH) } }));
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, PATH, TEST), Some((Value::Null, small())));

    // One that was never saved is gone when it is closed.
    let new = "tests/new.toml";
    client.open(new, TEST);
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, new, TEST), Some((json!(1), small())));
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": client.uri(new) } }));
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, new, TEST), None);

    // Files come, change, and go.
    client.write(new, TEST.as_bytes());
    client.files_changed(&[new]);
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, new, TEST), Some((Value::Null, small())));
    client.write(new, typed.as_bytes());
    client.files_changed(&[new]);
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, new, &typed).unwrap().1.len(), 2);
    std::fs::remove_file(client.path(new)).unwrap();
    client.files_changed(&[new]);
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, new, TEST), None);
    std::fs::remove_dir_all(client.path("tests")).unwrap();
    client.files_changed(&["tests"]);
    let answer = rename_small(&mut client);
    assert_eq!(edits(&client, &answer, PATH, TEST), None);
    assert!(client.end().success());
}

#[test]
fn a_rename_is_refused_if_a_test_may_hide_a_mention() {
    #[track_caller]
    fn refused(client: &mut Client, reason: &str) {
        let answer = rename_small(client);
        assert!(answer["error"]["message"].as_str().unwrap_or_default().contains(reason), "{answer}");
    }
    let mut client = Client::start(&workspace());
    client.open(PATH, &TEST.replace("name = \"a large customer\"", "name ="));
    refused(&mut client, "`tests/limits.toml` has a fault, and may mention it: correct that first (line 4: ");
    client.change(PATH, 2, &TEST.replace("expect = {", "expects = {"));
    refused(&mut client, "(line 6: nothing reads `expects` here");
    client.change(PATH, 3, TEST);
    assert!(rename_small(&mut client)["result"].is_object());
    // The new name is that of something that a test expects.
    client.change(PATH, 4, &TEST.replace("\"small\"", "\"tiny\""));
    refused(&mut client, "`tiny` is mentioned already");
    client.change(PATH, 5, TEST);

    // Other software may have files there.
    client.write("tests/other.toml", b"speed = 3\n[[case]]\nname = 1\n");
    client.write("tests/fixtures/broken.toml", b"speed =");
    client.files_changed(&["tests/other.toml", "tests/fixtures/broken.toml"]);
    assert!(rename_small(&mut client)["result"].is_object());
    client.write("tests/other.toml", b"speed =");
    client.files_changed(&["tests/other.toml"]);
    refused(&mut client, "`tests/other.toml` has a fault");
    client.write("tests/other.toml", b"speed = 3");

    // The documents are read without the tests.
    std::os::unix::fs::symlink("other.toml", client.path("tests/link.toml")).unwrap();
    client.files_changed(&["tests/other.toml", "tests"]);
    refused(&mut client, "the tests can't be read, and may mention it: ");
    let page = hover(&mut client, "variables/limit.toml", LIMIT, "qualifier = \"p|ro\"");
    assert!(page.contains("Customers who pay"), "{page}");
    std::fs::remove_file(client.path("tests/link.toml")).unwrap();
    client.files_changed(&["tests/link.toml"]);
    assert!(rename_small(&mut client)["result"].is_object());
    assert!(client.end().success());
}

#[test]
fn a_file_that_the_editor_renames_takes_its_mentions_in_tests_with_it() {
    let mut client = Client::start(&workspace());
    let mut moved = |old: &str, new: &str, expected: usize| {
        let file = json!({ "oldUri": client.uri(old), "newUri": client.uri(new) });
        let answer = client.request("workspace/willRenameFiles", json!({ "files": [file] }));
        assert_eq!(apply(&client, &answer["result"]), expected, "{answer}");
        std::fs::rename(client.path(old), client.path(new)).unwrap();
        passes(&client);
        client.files_changed(&[old, new, PATH, "variables/limit.toml", "qualifiers/adult.toml"]);
    };
    moved("qualifiers/pro.toml", "qualifiers/paying.toml", 3);
    moved("variables/limit.toml", "variables/max-projects.toml", 1);
    assert!(client.end().success());
}

#[test]
fn files_that_the_editor_renames_together_change_each_document_once() {
    let mut client = Client::start(&workspace());
    let findings = |client: &Client| lint(client).as_array().unwrap().len();
    let before = findings(&client);
    let names =
        [("qualifiers/pro.toml", "qualifiers/paying.toml"), ("qualifiers/adult.toml", "qualifiers/of age.toml")];
    let file =
        |client: &Client, (old, new): (&str, &str)| json!({ "oldUri": client.uri(old), "newUri": client.uri(new) });
    // Some editors name a file twice.
    let files = [names[0], names[1], names[0]].map(|names| file(&client, names));
    let answer = client.request("workspace/willRenameFiles", json!({ "files": files }));
    let changes = answer["result"]["documentChanges"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let changed: Vec<&Value> = changes.iter().map(|change| &change["textDocument"]["uri"]).collect();
    let paths = ["qualifiers/adult.toml", PATH, "variables/limit.toml", "variables/policy.toml"];
    assert_eq!(changed, paths.map(|path| client.uri(path)).iter().collect::<Vec<_>>());
    apply(&client, &answer["result"]);
    names.iter().for_each(|(old, new)| std::fs::rename(client.path(old), client.path(new)).unwrap());
    passes(&client);
    assert_eq!(findings(&client), before);
    assert!(client.read(PATH).contains("qualifiers = { paying = true, \"of age\" = true }"), "{}", client.read(PATH));
    assert!(client.end().success());

    // An editor that takes no edits in an order.
    let mut abilities = abilities();
    abilities["workspace"]["workspaceEdit"] = json!({});
    let mut client = Client::start_with(&workspace(), &abilities);
    let files = names.map(|names| file(&client, names));
    let answer = client.request("workspace/willRenameFiles", json!({ "files": files }));
    assert_eq!(answer["result"]["changes"][client.uri(PATH)].as_array().unwrap().len(), 2, "{answer}");
    assert!(client.end().success());
}

#[test]
fn the_tests_of_a_layer_are_its_own() {
    let case = "schema_version = 1\n[[case]]\nexpect = { limit = \"small\" }\n";
    let mut client = Client::start(&[
        ("base/rototo-workspace.toml", MANIFEST.1),
        ("base/qualifiers/pro.toml", PRO),
        ("base/tests/limits.toml", case),
        ("prod/rototo-workspace.toml", "schema_version = 1\nextends = [\"../base\"]\n"),
        ("prod/variables/limit.toml", LIMIT),
        ("prod/tests/limits.toml", &format!("{case}qualifiers = {{ pro = true }}\n")),
    ]);
    client.open_file("prod/variables/limit.toml");
    client.findings_of("prod/variables/limit.toml", 1);
    let context = json!({ "context": { "includeDeclaration": false } });
    let mark = "\"sma|ll\"";
    let answer = client.ask("textDocument/references", "prod/variables/limit.toml", LIMIT, mark, context);
    assert_eq!(places(&client, &answer["result"]), ["prod/variables/limit.toml:9", "prod/tests/limits.toml:3"]);
    // A test of the workspace leads to a document of the layer.
    let text = client.read("prod/tests/limits.toml");
    let answer = client.ask("textDocument/definition", "prod/tests/limits.toml", &text, "{ p|ro", json!({}));
    assert_eq!(places(&client, &answer["result"]), ["base/qualifiers/pro.toml:1"]);
    assert!(client.end().success());
}
