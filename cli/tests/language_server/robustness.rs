//! Nothing that a client or a disk does stops the server.

use serde_json::json;

use crate::client::{Client, position_of};
use crate::{ADULT, LIMIT, MANIFEST, PRO, UNKNOWN, all_kinds};

#[test]
fn a_message_that_it_does_not_understand_has_an_error_as_its_answer() {
    let mut client = Client::start(&all_kinds());
    let code = |answer: &serde_json::Value| answer["error"]["code"].as_i64();
    assert_eq!(code(&client.request("textDocument/unknown", json!({}))), Some(-32601));
    for params in [json!(null), json!([]), json!({ "textDocument": 7 }), json!("x")] {
        for method in ["textDocument/hover", "textDocument/rename", "textDocument/completion"] {
            assert_eq!(code(&client.request(method, params.clone())), Some(-32602), "{method}");
        }
        client.notify("textDocument/didOpen", params.clone());
        client.notify("textDocument/didChange", params.clone());
        client.notify("$/unknown", params);
    }
    client.send(&json!({ "jsonrpc": "2.0", "id": 99, "result": null }));
    for text in ["", "{", "[1]", "null", "{\"jsonrpc\": \"2.0\"}", &"[".repeat(100_000)] {
        client.send_text(text);
    }
    client.send_bytes(b"Content-Length: x\r\n\r\nContent-Length: 2\r\n\r\n\xff\xfe");
    // Documents that are not open, and addresses that are no files.
    client.change("variables/limit.toml", 7, "x");
    for uri in ["untitled:1", "", "file:///", "git:/x", "file://%ff"] {
        let at = json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 0 } });
        assert_eq!(client.request("textDocument/hover", at)["result"], json!(null), "{uri}");
        let document = json!({ "uri": uri, "languageId": "toml", "version": 1, "text": "x" });
        client.notify("textDocument/didOpen", json!({ "textDocument": document }));
    }
    let beyond = json!({ "textDocument": { "uri": client.uri("variables/limit.toml") },
        "position": { "line": 4_294_967_295_u32, "character": 4_294_967_295_u32 } });
    assert!(client.request("textDocument/completion", beyond).get("error").is_none());
    client.open_file("variables/limit.toml");
    client.findings_of("variables/limit.toml", 1);
    assert!(client.end().success());
}

#[test]
fn what_it_does_not_understand_about_a_client_hides_nothing_else() {
    let abilities = json!({
        "general": 7,
        "textDocument": { "rename": [] },
        "workspace": { "workspaceEdit": {
            "changeAnnotationSupport": true, "resourceOperations": [3, "rename"], "documentChanges": "yes",
        } },
    });
    let files = all_kinds().into_iter().filter(|(path, _)| *path != "qualifiers/adult.toml").collect::<Vec<_>>();
    let mut client = Client::start_with(&files, &abilities);
    client.findings("variables/policy.toml", |params| params["diagnostics"].to_string().contains(UNKNOWN));
    let new = json!({ "newName": "paying" });
    let answer = client.ask("textDocument/rename", "variables/limit.toml", LIMIT, "qualifier = \"p|ro", new);
    assert!(answer["result"].to_string().contains("\"kind\":\"rename\""), "{answer}");
    assert!(client.end().success());
}

#[test]
fn the_protocol_orders_the_start_and_the_end() {
    let mut client = Client::spawn(&[]);
    let early = client.request("textDocument/hover", json!({}));
    assert_eq!(early["error"]["code"], -32002, "{early}");
    client.request("initialize", json!({ "capabilities": { "workspace": 7 } }));
    client.notify("initialized", json!({}));
    client.request("shutdown", json!(null));
    assert_eq!(client.request("textDocument/hover", json!({}))["error"]["code"], -32600);
    assert!(client.hang_up().success());
    let client = Client::start(&[]);
    assert_eq!(client.hang_up().code(), Some(1), "the client has not asked to shut down");
}

/// Another process may hold the client's end of the pipe open.
#[test]
#[cfg(target_os = "linux")]
fn the_server_ends_with_the_process_of_its_client() {
    let mut editor = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let id = editor.id();
    let mut client = Client::spawn(&[]);
    client.request("initialize", json!({ "processId": id, "capabilities": {} }));
    client.notify("initialized", json!({}));
    client.request("textDocument/hover", json!({}));
    editor.kill().unwrap();
    editor.wait().unwrap();
    assert_eq!(client.outlive().code(), Some(1));

    // A process that is not there is one of another machine or container.
    let mut client = Client::spawn(&[]);
    client.request("initialize", json!({ "processId": id, "capabilities": {} }));
    client.notify("initialized", json!({}));
    assert!(client.end().success());
}

#[test]
fn every_beginning_of_a_document_has_an_answer() {
    let mut client = Client::start(&all_kinds());
    client.open_file("variables/limit.toml");
    client.open_file("qualifiers/pro.toml");
    for (path, text) in [("variables/limit.toml", LIMIT), ("qualifiers/pro.toml", PRO)] {
        let text = text.replace("large", "😀").replace("pay", "p\u{301}äy");
        let ends = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
        for (version, end) in (2..).zip(ends) {
            let typed = &text[..end];
            client.change(path, version, typed);
            let at = json!({ "textDocument": { "uri": client.uri(path) }, "position": position_of(typed, end) });
            for method in ["completion", "hover", "definition", "prepareRename", "documentHighlight"] {
                let answer = client.request(&format!("textDocument/{method}"), at.clone());
                assert!(answer.get("error").is_none(), "{typed}: {answer}");
            }
        }
    }
    assert!(client.end().success());
}

#[test]
fn nonsense_in_a_buffer_is_a_finding_and_nothing_else() {
    let mut client = Client::start(&all_kinds());
    client.open_file("variables/limit.toml");
    client.open_file("schemas/context.schema.json");
    let nested = format!("a = {}", "[".repeat(20_000));
    let dotted = format!("a{} = 1", ".a".repeat(20_000));
    let tables = format!("a = {}", "{ a = ".repeat(5_000));
    let texts = ["\0\0\0", "[[[[", "\u{feff}type = 1", "= = =", "<html", "\r\n\r\r", &nested, &dotted, &tables];
    for (version, text) in (2..).zip(texts) {
        client.change("variables/limit.toml", version, text);
        let found = client.findings_of("variables/limit.toml", version);
        assert!(!found.is_empty(), "{}", &text[..text.len().min(40)]);
        let at = json!({ "textDocument": { "uri": client.uri("variables/limit.toml") },
            "position": position_of(text, text.len()) });
        for method in ["completion", "hover", "definition"] {
            let answer = client.request(&format!("textDocument/{method}"), at.clone());
            assert!(answer.get("error").is_none(), "{answer}");
        }
        let deep = format!("{}1{}", "{\"properties\":".repeat(500), "}".repeat(500));
        client.change("schemas/context.schema.json", version, &deep);
        let hover = client.ask("textDocument/definition", "qualifiers/pro.toml", PRO, "account.|plan", json!({}));
        assert!(hover.get("error").is_none());
    }
    client.change("variables/limit.toml", 99, LIMIT);
    client.findings_of("variables/limit.toml", 99);
    assert!(client.end().success());
}

#[test]
fn a_huge_buffer_is_not_checked_until_it_is_closed() {
    let mut client = Client::start(&all_kinds());
    client.open_file("variables/limit.toml");
    client.findings_of("variables/limit.toml", 1);
    let huge = format!("{LIMIT}# {}\n", "x".repeat(9 << 20));
    client.change("variables/limit.toml", 2, &huge);
    let found = client.findings_of("variables/limit.toml", 2);
    assert!(found[0]["message"].as_str().unwrap().contains("more than 8 MiB"), "{found:?}");
    client.change("variables/limit.toml", 3, LIMIT);
    assert!(client.findings_of("variables/limit.toml", 3).is_empty());
    assert!(client.end().success());
}

#[test]
fn files_that_change_on_the_disk_are_read_again() {
    let mut client = Client::start(&all_kinds());
    client.receive(|message| message["method"] == "client/registerCapability");
    client.open_file("variables/limit.toml");
    client.findings_of("variables/limit.toml", 1);
    let codes = |params: &serde_json::Value| params["diagnostics"].to_string();

    // A checkout of another branch: one file goes, one changes, one comes.
    std::fs::remove_file(client.path("qualifiers/pro.toml")).unwrap();
    client.write("qualifiers/adult.toml", b"\xff\xfe not text");
    client.write("qualifiers/new.toml", ADULT.replace("qualifier.pro", "account.beta").as_bytes());
    client.files_changed(&["qualifiers/pro.toml", "qualifiers/adult.toml", "qualifiers/new.toml"]);
    client.findings("variables/limit.toml", |params| codes(params).contains("variable-rule-unknown-qualifier"));
    client.findings("qualifiers/adult.toml", |params| codes(params).contains("qualifier-parse-failed"));

    // Clients report a directory that is gone, and not the files in it.
    std::fs::remove_dir_all(client.path("resources")).unwrap();
    client.files_changed(&["resources"]);
    client.findings("variables/policy.toml", |params| codes(params).contains("variable-unknown-resource"));

    // All of it is gone while a document is open, and comes back.
    std::fs::remove_dir_all(client.path("")).unwrap();
    client.forget();
    client.files_changed(&["", "rototo-workspace.toml"]);
    client.findings("variables/policy.toml", |params| params["diagnostics"] == json!([]));
    client.change("variables/limit.toml", 2, LIMIT);
    all_kinds().iter().for_each(|(path, text)| client.write(path, text.as_bytes()));
    client.files_changed(&all_kinds().iter().map(|(path, _)| *path).collect::<Vec<_>>());
    client.change("variables/limit.toml", 3, LIMIT);
    client.findings("variables/limit.toml", |params| params["diagnostics"] == json!([]) && params["version"] == 3);
    assert!(client.end().success());
}

/// Returns two workspaces, each with a finding.
fn two_workspaces() -> [(&'static str, &'static str); 4] {
    let [a, b] = ["a/rototo-workspace.toml", "b/rototo-workspace.toml"];
    [(a, MANIFEST.1), ("a/variables/limit.toml", LIMIT), (b, MANIFEST.1), ("b/variables/limit.toml", LIMIT)]
}

#[test]
fn the_findings_of_a_workspace_go_with_its_manifest_and_come_back_with_it() {
    let mut client = Client::start(&two_workspaces());
    let document = "a/variables/limit.toml";
    for path in [document, "b/variables/limit.toml"] {
        client.open_file(path);
        assert!(!client.findings_of(path, 1).is_empty());
    }
    client.forget();
    std::fs::remove_file(client.path("a/rototo-workspace.toml")).unwrap();
    client.files_changed(&["a/rototo-workspace.toml"]);
    client.findings(document, |params| params["diagnostics"] == json!([]));
    let hover = client.ask("textDocument/hover", document, LIMIT, "qualifier = \"p|ro", json!({}));
    assert_eq!(hover["result"], json!(null));
    // The text that the editor has counts when the manifest is there again.
    client.change(document, 2, &LIMIT.replace("pro", "gold"));
    client.write("a/rototo-workspace.toml", MANIFEST.1.as_bytes());
    client.files_changed(&["a/rototo-workspace.toml"]);
    let found = client.findings_of(document, 2);
    assert!(found[0]["message"].as_str().unwrap().contains("gold"), "{found:?}");
    assert!(client.end().success());
}

/// Waits until the client is asked to watch these directories.
fn watched(client: &mut Client, directories: &[&str]) {
    let watcher = |directory: &&str| json!({ "globPattern": format!("**/{directory}"), "kind": 5 });
    let watchers: serde_json::Value = directories.iter().map(watcher).collect();
    client.receive(|message| {
        message["method"] == "client/registerCapability"
            && message["params"]["registrations"][0]["registerOptions"]["watchers"] == watchers
    });
}

/// Clients report only the directory.
#[test]
fn the_findings_of_a_workspace_go_with_its_directory() {
    let mut client = Client::start(&two_workspaces());
    for (directory, document) in [("a", "a/variables/limit.toml"), ("b", "b/variables/limit.toml")] {
        client.open_file(document);
        assert!(!client.findings_of(document, 1).is_empty());
        watched(&mut client, &[directory]);
    }
    std::fs::remove_dir_all(client.path("a")).unwrap();
    client.files_changed(&["a"]);
    client.findings("a/variables/limit.toml", |params| params["diagnostics"] == json!([]));
    // A directory around one, with special letters of patterns, and the directory of a layer.
    client.write("x/y[1]/prod/rototo-workspace.toml", b"schema_version = 1\nextends = [\"../base\"]\n");
    client.write("x/y[1]/base/rototo-workspace.toml", MANIFEST.1.as_bytes());
    client.open("x/y[1]/prod/variables/limit.toml", LIMIT);
    watched(&mut client, &["x/y?1?/prod", "x/y?1?", "x"]);
    watched(&mut client, &["x/y?1?/base"]);
    assert!(client.end().success());
}

#[test]
fn a_manifest_that_was_never_saved_makes_a_workspace_until_it_is_closed() {
    let mut client = Client::start(&[("variables/limit.toml", LIMIT)]);
    client.open(MANIFEST.0, MANIFEST.1);
    client.findings("variables/limit.toml", |params| params["diagnostics"] != json!([]));
    let uri = client.uri(MANIFEST.0);
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    client.findings("variables/limit.toml", |params| params["diagnostics"] == json!([]));
    assert!(client.end().success());
}

#[test]
fn the_findings_of_a_folder_go_when_the_client_has_removed_it() {
    let mut client = Client::start(&two_workspaces());
    let folder = |client: &Client, name: &str| json!([{ "uri": client.uri(name), "name": name }]);
    let change = |client: &mut Client, added, removed| {
        let event = json!({ "event": { "added": added, "removed": removed } });
        client.notify("workspace/didChangeWorkspaceFolders", event);
    };
    let (all, [a, b]) = (folder(&client, ""), ["a", "b"].map(|name| folder(&client, name)));
    change(&mut client, a.clone(), all);
    change(&mut client, b.clone(), json!([]));
    let [in_a, in_b] = ["a/variables/limit.toml", "b/variables/limit.toml"];
    for document in [in_a, in_b] {
        client.findings(document, |params| params["diagnostics"] != json!([]));
    }
    client.forget();
    change(&mut client, json!([]), a);
    client.findings(in_a, |params| params["diagnostics"] == json!([]));
    // An open document is served until it is closed.
    client.open_file(in_b);
    client.findings_of(in_b, 1);
    change(&mut client, json!([]), b);
    client.change(in_b, 2, LIMIT);
    assert!(!client.findings_of(in_b, 2).is_empty());
    client.forget();
    let uri = client.uri(in_b);
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    client.findings(in_b, |params| params["diagnostics"] == json!([]));
    assert!(client.end().success());
}

#[test]
fn an_editor_that_reports_no_files_has_them_read_when_it_saves() {
    let mut client = Client::start_with(&all_kinds(), &json!({}));
    client.open_file("variables/limit.toml");
    assert!(client.findings_of("variables/limit.toml", 1).is_empty());
    std::fs::remove_file(client.path("qualifiers/pro.toml")).unwrap();
    let uri = client.uri("variables/limit.toml");
    client.notify("textDocument/didSave", json!({ "textDocument": { "uri": uri } }));
    client.findings("variables/limit.toml", |params| params["diagnostics"].to_string().contains("unknown-qualifier"));
    assert!(client.end().success());
}

#[test]
fn a_directory_that_cannot_be_read_is_a_finding() {
    let mut client = Client::start(&[MANIFEST, ("variables/limit.toml", LIMIT)]);
    std::os::unix::fs::symlink("/etc/hostname", client.path("variables/other.toml")).unwrap();
    client.open_file("rototo-workspace.toml");
    client.files_changed(&["variables"]);
    let found = client.findings("rototo-workspace.toml", |params| params["diagnostics"] != json!([]));
    assert!(found["diagnostics"].to_string().contains("can't be read"), "{found}");
    client.forget();
    std::fs::remove_file(client.path("variables/other.toml")).unwrap();
    client.files_changed(&["variables"]);
    client.findings("variables/limit.toml", |params| params["diagnostics"] != json!([]));
    client.findings("rototo-workspace.toml", |params| params["diagnostics"] == json!([]));
    assert!(client.end().success());
}

#[test]
fn custom_rules_run_beside_the_answers() {
    let rule = r#"
function register(lint)
  local rule = { id = "team/never", title = "never", help = "no", severity = "error" }
  lint:on({ stage = "policy", entity = "variable", rule = rule, handler = "check" })
end
function check() while true do end end
"#;
    let mut files = all_kinds();
    files.push(("lint/never.lua", rule));
    let mut client = Client::start(&files);
    client.open_file("variables/limit.toml");
    // The script takes its whole time; answers do not wait for it.
    let page = client.ask("textDocument/hover", "variables/limit.toml", LIMIT, "qualifier = \"p|ro\"", json!({}));
    assert!(page["result"].to_string().contains("Customers who pay"));
    let failed = "rototo/custom-lint-failed";
    client.findings("variables/limit.toml", |params| params["diagnostics"].to_string().contains(failed));
    assert!(client.end().success());
}
