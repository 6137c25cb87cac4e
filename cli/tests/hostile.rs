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
    for context in [deep.clone(), format!("@{}", file.path().display())] {
        let (code, text) = fails(&example(), &["resolve", ".", "--variable", VARIABLE, "--context", &context]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("recursion limit"), "{}", &text[text.len().saturating_sub(300)..]);
    }
    let parts = vec!["a"; 30_000].join(".");
    let (code, text) = fails(&example(), &["resolve", ".", "--variable", VARIABLE, "--context", &format!("{parts}=1")]);
    assert!(code == 1 && text.contains("at most 64 parts"), "{}", &text[..text.len().min(300)]);
}
