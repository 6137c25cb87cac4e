//! Workspaces inside of other ones, which come and go while documents are open.

use serde_json::json;

use crate::client::{Client, text_at};
use crate::{LIMIT, MANIFEST, PRO, UNKNOWN};

const INNER: &str = "overlays/prod/rototo-workspace.toml";
const OPEN: &str = "overlays/prod/variables/limit.toml";
const ANOTHER: &str = "overlays/test/variables/limit.toml";

/// Returns a workspace, and directories in it that are none yet.
fn files() -> [(&'static str, &'static str); 4] {
    [MANIFEST, ("qualifiers/pro.toml", PRO), (OPEN, LIMIT), (ANOTHER, LIMIT)]
}

/// Types a line at the beginning of an open document, and asks for a rename. Returns the document: the server must know
/// what was typed.
#[track_caller]
fn type_and_rename(client: &mut Client, path: &str, version: i64, text: &str) -> String {
    let (typed, start) = (format!("# typed\n{text}"), json!({ "line": 0, "character": 0 }));
    let change = json!([{ "range": { "start": start, "end": start }, "text": "# typed\n" }]);
    client.change_by(path, version, change);
    let answer = client.ask("textDocument/rename", path, &typed, "sma|ll = 10", json!({ "newName": "tiny" }));
    let change = &answer["result"]["documentChanges"][0];
    assert_eq!(change["textDocument"]["version"], version, "{answer}");
    for edit in change["edits"].as_array().unwrap() {
        assert!(text_at(&typed, &edit["range"]).contains("small"), "{edit}");
    }
    typed
}

#[test]
fn open_documents_move_to_a_workspace_that_comes_inside_of_another_and_back() {
    let mut client = Client::start(&files());
    for path in [OPEN, ANOTHER] {
        client.open_file(path);
        assert_eq!(client.findings_of(path, 1), Vec::<serde_json::Value>::new());
    }
    client.write(INNER, MANIFEST.1.as_bytes());
    client.files_changed(&[INNER]);
    let text = type_and_rename(&mut client, OPEN, 2, LIMIT);
    assert_eq!(client.findings_of(OPEN, 2)[0]["code"], UNKNOWN);
    client.change(ANOTHER, 2, LIMIT);
    assert!(client.findings_of(ANOTHER, 2).is_empty());

    std::fs::remove_file(client.path(INNER)).unwrap();
    client.files_changed(&[INNER]);
    client.change(OPEN, 3, &text);
    assert!(client.findings_of(OPEN, 3).is_empty());
    // A manifest that is open and not saved makes one, too.
    client.open(INNER, MANIFEST.1);
    type_and_rename(&mut client, OPEN, 4, &text);
    assert_eq!(client.findings_of(OPEN, 4)[0]["code"], UNKNOWN);
    assert!(client.end().success());
}

#[test]
fn open_documents_return_to_the_workspace_around_one_that_goes() {
    let (manifest, document) = ("variables/rototo-workspace.toml", "variables/limit.toml");
    let mut client = Client::start(&[MANIFEST, ("qualifiers/pro.toml", PRO), (document, LIMIT)]);
    client.open_file(document);
    client.open(manifest, MANIFEST.1);
    client.change(document, 2, &format!("# typed\n{LIMIT}"));
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": client.uri(manifest) } }));
    type_and_rename(&mut client, document, 3, &format!("# typed\n{LIMIT}"));
    assert!(client.end().success());
}
