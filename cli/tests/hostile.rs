//! Workspaces and arguments that try to make the command reach out or crash are refused with a message, and without a
//! request.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;

use support::{VARIABLE, changed, example, fails, json};

#[test]
fn a_schema_elsewhere_is_not_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let schema = "schemas/service-degradation-policy.schema.json";
    for reference in
        [format!("http://{address}/x.json"), format!("https://{address}/x.json"), "file:///etc/hostname".to_owned()]
    {
        for key in ["$ref", "$schema"] {
            let workspace =
                changed(schema, "\"type\": \"object\",", &format!("\"type\": \"object\", \"{key}\": \"{reference}\","));
            let text = std::fs::read_to_string(workspace.path().join(schema)).unwrap();
            // Of two equal keys the last counts, so the other one is removed.
            let kept: Vec<&str> = text.lines().filter(|line| !line.contains("2020-12")).collect();
            std::fs::write(workspace.path().join(schema), kept.join("\n")).unwrap();
            let lint = json(workspace.path(), &["lint", "."]);
            assert!(lint.to_string().contains("rototo/schema-invalid"), "{key} {reference}: {lint}");
        }
    }
    assert!(listener.accept().is_err(), "somebody asked for the schema");
}

#[test]
fn a_context_that_nests_a_thousand_levels_is_refused() {
    let deep = format!("{}1{}", "{\"a\":".repeat(1_000), "}".repeat(1_000));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &deep).unwrap();
    for (context, expected) in [(deep.clone(), 2), (format!("@{}", file.path().display()), 1)] {
        let (code, text) = fails(&example(), &["resolve", ".", "--variable", VARIABLE, "--context", &context]);
        assert_eq!(code, expected, "{text}");
        assert!(text.contains("recursion limit"), "{}", &text[text.len().saturating_sub(300)..]);
    }
    let parts = vec!["a"; 30_000].join(".");
    let (code, text) = fails(&example(), &["resolve", ".", "--variable", VARIABLE, "--context", &format!("{parts}=1")]);
    assert!(code == 2 && text.contains("at most 64 parts"), "{}", &text[..text.len().min(300)]);
}

/// Bytes that clear a screen, set a title, turn text around, and begin a line of their own.
const EFFECTS: &str = "\\u001b[2J\\u001b]0;t\\u0007\\u009b2J\\u202e\\r\\nFAKE ok\\u2028";

/// Writes a workspace whose names, values, descriptions, rules, and comments try everything.
fn write_hostile(directory: &std::path::Path, value: &str) {
    let write = |path: &str, text: &str| {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let big = "x".repeat(1 << 20);
    write("rototo-workspace.toml", "schema_version = 1\n");
    write(
        "variables/l\u{1b}[2J\u{202e}imit.toml",
        &format!(
            "schema_version = 1\ndescription = \"{EFFECTS}\"\ntype = \"string\"\n# \u{9b}2J\u{202e}{big}\n[values]\n\
             \"k{EFFECTS}\" = \"{EFFECTS}{value}\"\nbig = \"{value}{big}\"\n[resolve]\ndefault = \"k{EFFECTS}\"\n\
             [[resolve.rule]]\nqualifier = \"q\"\nvalue = \"big\"\n"
        ),
    );
    let qualifier = format!(
        "schema_version = 1\n[[predicate]]\nattribute = \"a\"\nop = \"neq\"\nvalue = \"{EFFECTS}{value}\"\n\
         [[predicate]]\nattribute = \"b{EFFECTS}\"\nop = \"neq\"\nvalue = \"{big}\"\n"
    );
    write("qualifiers/q.toml", &qualifier);
}

/// Runs the command, and checks that its output is short and does nothing to a terminal.
#[track_caller]
fn check_harmless(directory: &std::path::Path, arguments: &[&str]) -> String {
    let output = support::rototo(directory, arguments);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let effect = text.chars().find(|letter| *letter != '\n' && rototo_engine::text::is_disruptive(*letter));
    assert_eq!(effect, None, "{arguments:?}: {}", &text[..text.len().min(2_000)]);
    assert!(!text.lines().any(|line| line.starts_with("FAKE")), "{arguments:?}: {}", &text[..text.len().min(2_000)]);
    assert!(arguments.contains(&"--json") || text.len() < 64 << 10, "{arguments:?}: {} bytes", text.len());
    text
}

#[test]
fn nothing_in_a_workspace_has_an_effect_on_a_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write_hostile(&path.join("old"), "1");
    write_hostile(&path.join("new"), "2");
    let context = "{\"a\": \"\\u001b[2J\\u009b\\u202e\", \"b\": 1}";
    for arguments in [
        &["lint", "old"][..],
        &["lint", "old", "--json"],
        &["show", "old"],
        &["show", "old", "--json"],
        &["show", "old", "--variables"],
        &["inspect", "old"],
        &["inspect", "old", "--qualifiers"],
        &["resolve", "old", "--variables", "--context", context],
        &["resolve", "old", "--qualifiers", "--context", context],
        &["diff", "old", "new"],
        &["diff", "old", "new", "--markdown"],
        &["fixtures", "old", "--out", "fixtures"],
        &["lint", "/tmp/\u{1b}[31mnowhere\u{202e}"],
        &["resolve", "old", "--variable", "\u{1b}[31mnone\u{9b}"],
    ] {
        check_harmless(path, arguments);
    }
    let broken = path.join("old/variables/broken\n\u{9b}.toml");
    std::fs::write(broken, format!("a = \u{9b}2J\u{202e}{}", "x".repeat(1 << 20))).unwrap();
    std::fs::create_dir_all(path.join("old/lint")).unwrap();
    let script = "function register(lint) lint:on({ stage = \"policy\", entity = \"workspace\", rule = { id = \"team/x\", title = \
                  \"t\\27[31m\\nFAKE\", help = \"h\\n\\27[31mFAKE\" }, handler = \"check\" }) end\n\
                  function check() return { { message = \"m\\r\\nFAKE \\27[2J\" .. string.rep(\"z\", 1000000) } } end\n";
    std::fs::write(path.join("old/lint/x.lua"), script).unwrap();
    let text = check_harmless(path, &["lint", "old"]);
    assert!(text.contains("team/x") && text.contains("variable-parse-failed"), "{text}");
    check_harmless(path, &["lint", "old", "--json"]);
    check_harmless(path, &["resolve", "old", "--variables"]);
}
