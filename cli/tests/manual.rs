//! The transcripts in docs/cli.md are what the commands print. `WRITE_MANUAL=1 cargo test -p rototo-cli --test manual`
//! writes them anew.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use support::{copy, example, replace, rototo};

/// Makes the workspaces of the transcripts: the example, the example with a wider trial, one with a trial of all accounts,
/// and one with ten mistakes in five files.
fn scratch_directory() -> tempfile::TempDir {
    let scratch_directory = tempfile::tempdir().unwrap();
    for name in ["degradation-config", "proposed", "proposed-trial", "broken"] {
        copy(&example(), &scratch_directory.path().join(name));
    }
    let edit = |path: &str, from: &str, to: &str| replace(&scratch_directory.path().join(path), from, to);
    edit("proposed/qualifiers/degradation-trial-bucket.toml", "[0, 1000]", "[0, 3000]");
    edit("proposed-trial/qualifiers/degradation-trial-bucket.toml", "[0, 1000]", "[0, 10000]");
    edit("proposed/resources/service-degradation-policy-objects/severe.toml", "= 10", "= 5");
    for (path, from, to) in [
        ("resources/service-degradation-policy-objects/degraded.toml", "= 30", "= 0"),
        ("resources/service-degradation-policy-objects/degraded.toml", "\"defer\"", "\"later\""),
        ("resources/service-degradation-policy-objects/degraded.toml", "\"primary\"", "\"third\""),
        ("resources/service-degradation-policy-objects/severe.toml", "background_jobs_enabled = false\n", ""),
        ("qualifiers/high-queue-pressure.toml", "\"eq\"", "\"equals\""),
        ("qualifiers/high-queue-pressure.toml", "schema_version = 1", "schema_version = 2"),
        ("qualifiers/degradation-trial-bucket.toml", "[0, 1000]", "[0, 10001]"),
        ("variables/service-degradation-policy.toml", "default = \"normal\"", "default = \"norml\""),
        ("variables/service-degradation-policy.toml", "value = \"severe\"", "value = \"sever\""),
        ("variables/service-degradation-policy.toml", "\"severe-recovery-trial\"", "\"severe-recovery\""),
    ] {
        edit(&format!("broken/{path}"), from, to);
    }
    scratch_directory
}

/// Splits a command line into words; single quotes hold blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// Returns the page with the current output of its commands.
fn rewritten(page: &str, scratch_directory: &Path) -> String {
    let (mut text, mut inside) = (String::new(), false);
    for line in page.lines() {
        let keep = !inside || line.starts_with("```") || line.starts_with("$ ");
        if line.starts_with("```") {
            inside = line == "```console";
        }
        if !keep {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if let Some(command) = line.strip_prefix("$ rototo ").filter(|_| inside) {
            let arguments = words(command);
            let output = rototo(scratch_directory, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
            let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            text.push_str(&printed.replace(&scratch_directory.display().to_string(), "/home/you"));
        }
    }
    text
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md")
}

#[test]
fn the_page_on_the_command_shows_what_it_prints() {
    let written = std::fs::read_to_string(page()).unwrap();
    let scratch_directory = scratch_directory();
    let now = rewritten(&written, &scratch_directory.path().canonicalize().unwrap());
    if std::env::var_os("WRITE_MANUAL").is_some() {
        std::fs::write(page(), now).unwrap();
        return;
    }
    let differ = written.lines().zip(now.lines()).find(|(written, now)| written != now);
    assert!(written == now, "docs/cli.md is not what the commands print (see the head of this file): {differ:?}");
}

#[test]
fn the_page_on_the_command_has_every_command() {
    let written = std::fs::read_to_string(page()).unwrap();
    let help = rototo(&example(), &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else { continue };
        let name = name.split_whitespace().next().unwrap();
        assert!(name == "help" || written.contains(&format!("\n## `rototo {name}")), "{name} is not in docs/cli.md");
    }
}
