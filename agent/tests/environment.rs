//! Tests of the options in the environment, as charts and unit files write them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

const EMPTY: [&str; 14] = [
    "ROTOTO_WORKSPACE_SOURCE",
    "ROTOTO_AGENT_LISTEN",
    "ROTOTO_AGENT_ALLOW_PLAIN_HTTP",
    "ROTOTO_AGENT_SOCKET_MODE",
    "ROTOTO_AGENT_PROBES_LISTEN",
    "ROTOTO_AGENT_TARGETING_KEY_ATTRIBUTE",
    "ROTOTO_AGENT_EVENTS_URI",
    "ROTOTO_AGENT_PERIOD_SECONDS",
    "ROTOTO_AGENT_MAX_STALENESS_SECONDS",
    "ROTOTO_AGENT_CONNECTIONS",
    "ROTOTO_AGENT_THREADS",
    "ROTOTO_AGENT_LOG_LEVEL",
    "ROTOTO_AGENT_LOG_JSON",
    "RUST_LOG",
];

/// Returns the error of an agent without a source.
fn error(variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rototo-agent"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROTOTO_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    let output = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{variables:?}: {text}");
    text
}

#[test]
fn an_empty_variable_is_not_given() {
    let text = error(&EMPTY.map(|name| (name, "")), &["--listen", "127.0.0.1:0"]);
    assert!(text.contains("no workspace is named"), "{text}");
    // By default the agent listens on loopback.
    let text = error(&[("ROTOTO_AGENT_LISTEN", ""), ("ROTOTO_AGENT_SOCKET_MODE", "")], &[]);
    assert!(!text.contains("--allow-plain-http"), "{text}");
}

#[test]
fn a_flag_in_the_environment_is_any_usual_word() {
    let plain = |text: &str| {
        let text = error(&[("ROTOTO_AGENT_ALLOW_PLAIN_HTTP", text), ("ROTOTO_AGENT_LISTEN", "0.0.0.0:0")], &[]);
        !text.contains("--allow-plain-http")
    };
    for text in ["1", "true", "True", "yes", "on"] {
        assert!(plain(text), "{text}");
    }
    for text in ["", "0", "false", "False", "no", "off"] {
        assert!(!plain(text), "{text:?}");
    }
    assert!(error(&[], &["--allow-plain-http", "--listen", "0.0.0.0:0"]).contains("no workspace is named"));
}
