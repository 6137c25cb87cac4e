//! Runs the `rototo` binary as its users do.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{VARIABLE, changed, copy, example, fails, json, prints};

const COMMIT: &str = "2f3c4d5e6f708192aabbccddeeff001122334455";

#[test]
fn lint_sums_up_a_good_workspace_in_one_line_without_colours() {
    let text = prints(&example(), &["lint", "."]);
    assert!(text.starts_with("ok: . (1 variable, 3 qualifiers, 1 resource, 11 documents; "), "{text}");
    assert_eq!(text.lines().count(), 1);
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(prints(&example(), &["lint", ".", "--quiet"]), "");
}

#[test]
fn without_a_source_the_nearest_workspace_is_used() {
    let text = prints(&example().join("resources"), &["lint"]);
    assert!(text.contains("degradation-config ("), "{text}");
    let elsewhere = tempfile::tempdir().unwrap();
    let (code, text) = fails(elsewhere.path(), &["lint"]);
    assert_eq!(code, 1);
    assert!(text.contains("name a SOURCE"), "{text}");
}

#[test]
fn lint_shows_the_line_that_is_wrong_and_fails() {
    let workspace = changed(&format!("resources/{VARIABLE}-objects/degraded.toml"), "= 30", "= 0");
    let (code, text) = fails(workspace.path(), &["lint", "--quiet"]);
    assert_eq!(code, 1);
    for part in [
        "error[rototo/resource-object-schema-mismatch]",
        "degraded.toml:2",
        "max_concurrency = 0",
        "failed: 1 error in 11 documents",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn warnings_fail_where_the_command_line_says_so() {
    let workspace = changed(&format!("variables/{VARIABLE}.toml"), "value = \"degraded\"", "value = \"normal\"");
    assert!(prints(workspace.path(), &["lint", "--fail-on", "error"]).contains(", 1 warning\n"));
    let (code, text) = fails(workspace.path(), &["lint", "--fail-on", "warning"]);
    assert!(code == 1 && text.contains("\nfailed: 1 warning in 11 documents of "), "{text}");
    for format in ["github", "sarif", "json"] {
        assert_eq!(fails(workspace.path(), &["lint", "--fail-on", "warning", "--format", format]).0, 1, "{format}");
    }
    prints(&example(), &["lint", ".", "--fail-on", "warning"]);
}

#[test]
fn warnings_are_shown_and_do_not_fail() {
    let workspace = changed(&format!("variables/{VARIABLE}.toml"), "value = \"degraded\"", "value = \"normal\"");
    for arguments in [&["lint"][..], &["lint", "--quiet"]] {
        let text = prints(workspace.path(), arguments);
        assert!(text.starts_with("warning[rototo/") && text.contains("\nok: "), "{text}");
    }
}

#[test]
fn lint_reports_only_what_is_selected() {
    let workspace = changed(&format!("resources/{VARIABLE}-objects/degraded.toml"), "= 30", "= 0");
    let rules = |arguments: &[&str]| {
        json(workspace.path(), &[&["lint"], arguments].concat())["diagnostics"].as_array().unwrap().len()
    };
    assert_eq!(rules(&[]), 1);
    assert_eq!(rules(&["--resource", VARIABLE]), 1);
    assert_eq!(rules(&["--resources"]), 1);
    assert_eq!(rules(&["--variables"]), 0);
    assert_eq!(rules(&["--variables", "--lint-rule", "rototo/resource-object-schema-mismatch"]), 1);
    assert_eq!(rules(&["--lint-authority", "rototo"]), 1);
    let (code, text) = fails(workspace.path(), &["lint", "--lint-authority", "acme"]);
    assert!(code == 1 && text.contains("acme"), "{text}");
    let (code, text) = fails(workspace.path(), &["lint", "--variable", "service-degradation"]);
    assert_eq!(code, 1);
    assert!(text.contains("did you mean `service-degradation-policy`?"), "{text}");
}

#[test]
fn lint_json_has_the_shape_that_scripts_read() {
    let workspace = changed(&format!("variables/{VARIABLE}.toml"), "default = \"normal\"", "default = \"none\"");
    let report = json(workspace.path(), &["lint"]);
    let root = workspace.path().canonicalize().unwrap().display().to_string();
    assert_eq!(report["workspace"], root);
    let document = &report["documents"][4];
    let path = format!("variables/{VARIABLE}.toml");
    assert_eq!(
        document,
        &serde_json::json!({"id": 4, "path": path, "uri": format!("file://{root}/{path}"), "version": null,
            "kind": "variable"})
    );
    let diagnostic = &report["diagnostics"][0];
    assert_eq!(
        (&diagnostic["rule"], &diagnostic["severity"]),
        (&"rototo/variable-unknown-value".into(), &"error".into())
    );
    assert_eq!(diagnostic["location"]["range"]["start"], serde_json::json!({"line": 5, "character": 10}));
}

#[test]
fn a_workspace_that_is_not_there_is_a_finding_of_lint() {
    let directory = tempfile::tempdir().unwrap();
    let report = json(directory.path(), &["lint", "none"]);
    assert_eq!(report["diagnostics"][0]["rule"], "rototo/workspace-not-found");
    assert_eq!(fails(directory.path(), &["lint", "none"]).0, 1);
    let (code, text) = fails(directory.path(), &["resolve", "none", "--variables"]);
    assert_eq!(
        (code, text.as_str()),
        (1, "error: none does not exist\nhelp: name the directory that holds rototo-workspace.toml\n")
    );
}

#[test]
fn resolve_follows_the_walkthrough_step_by_step() {
    for (pressure, account, key, bucket) in [
        ("normal", None, "normal", None),
        ("high", Some("acct-0001"), "degraded", Some(5274)),
        ("high", Some("acct-001"), "severe", Some(540)),
    ] {
        let pressure = format!("service.queue_pressure={pressure}");
        let account = account.map(|account| format!("account.id={account}"));
        let mut arguments = vec!["resolve", ".", "--variable", VARIABLE, "--context", &pressure];
        if let Some(account) = &account {
            arguments.extend(["--context", account]);
        }
        let text = prints(&example(), &arguments);
        assert!(text.contains(&format!("\nvalue key: {key}\nvalue: {{\"background_jobs_enabled\":")), "{text}");
        if let Some(bucket) = bucket {
            let test =
                format!("test: bucket salt=service-degradation-recovery-2026-06 range=[0,1000] bucket={bucket}\n");
            assert!(text.contains(&test), "{text}");
        }
    }
}

#[test]
fn resolve_json_has_the_shape_that_scripts_read() {
    let context = "{\"service\": {\"queue_pressure\": \"high\"}, \"account\": {\"id\": \"acct-001\"}}";
    let report =
        json(&example(), &["resolve", ".", "--variables", "--qualifier", "high-queue-pressure", "--context", context]);
    assert_eq!(report["workspace"], ".");
    assert_eq!(report["variables"][0]["resolution"]["value_key"], "severe");
    assert_eq!(
        report["variables"][0]["rules"],
        serde_json::json!([{"index": 0, "qualifier": "severe-recovery-trial", "value": "severe", "matched": true}])
    );
    assert_eq!(
        report["qualifiers"],
        serde_json::json!([{"id": "high-queue-pressure", "value": true, "predicates": [
            {"index": 0, "kind": "compare", "attribute": "service.queue_pressure", "op": "eq", "expected": "high",
                "actual": "high", "result": true}
        ]}])
    );
}

#[test]
fn resolve_says_what_is_missing() {
    for (arguments, expected) in [
        (&["resolve", ".", "--variables"][..], "the context has no `service.queue_pressure`"),
        (&["resolve", ".", "--qualifier", "high-queue-presure"], "did you mean `high-queue-pressure`?"),
        (&["resolve", ".", "--variables", "--context", "service.queue_pressure=1"], "the context does not match"),
        (&["resolve", ".", "--variables", "--context", "@none.json"], "the context file none.json can't be read"),
        (&["lint", "git+http://host/r.git"], "is not encrypted"),
        (&["lint", "kubernetes:///a"], "has no files to read"),
    ] {
        let (code, text) = fails(&example(), arguments);
        assert_eq!(code, 1, "{text}");
        assert!(text.starts_with("error: ") && text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_workspace_that_does_not_compile_shows_why() {
    let workspace = changed(&format!("variables/{VARIABLE}.toml"), "default = \"normal\"", "default = \"none\"");
    let (code, text) = fails(workspace.path(), &["resolve", "--variables"]);
    assert_eq!(code, 1);
    assert!(text.contains("error[rototo/variable-unknown-value]") && text.contains("default = \"none\""), "{text}");
}

#[test]
fn a_wrong_command_line_has_its_own_exit_code() {
    for arguments in [&["unknown"][..], &["lint", "--unknown"], &["resolve", "--lint-rule", "a/b"], &[]] {
        assert_eq!(fails(&example(), arguments).0, 2, "{arguments:?}");
    }
    for (arguments, expected) in [
        (&["resolve", "."][..], "name a --variable ID"),
        (&["resolve", ".", "--variables", "--context", "[1]"], "it must be a JSON object"),
        (&["resolve", ".", "--variables", "--context", "foo"], "it is neither PATH=VALUE nor JSON"),
        (&["resolve", ".", "--variables", "--context", "a..b=1"], "an empty part in its path"),
        (&["inspect", ".", "--context", "a=1"], "--context decides what is selected"),
        (&["schema"], "name a --kind"),
        (&["lint", "--json", "--format", "sarif"], "--json asks for another form"),
        (&["init", "x", "--variable", "a", "--qualifier", "b"], "one thing at a time"),
        (&["init", "x", "--variable", "a/b"], "can't be the id of a variable"),
        (&["access", "Foo_Bar"], "use lower-case letters"),
        (&["access", "foo", "-n", "Prod"], "use at most 63 lower-case letters"),
        (&["access", "foo", "--operator", "rototo", "--secret", "git"], "write NAMESPACE/NAME"),
        (&["wait", "foo", "--context", "eu", "--context", "eu"], "is named twice"),
        (&["wait", "foo", "--context", "eu", "--context", "us", "--token-file", "t"], "is for one operator"),
        (&["wait", "foo", "--timeout", "1h 30m"], "such as 90s or 1h30m"),
        (&["rollout", "foo", "--advance", COMMIT, "--context", "eu"], "name two or more, each with --context"),
        (&["rollout", "foo", "--watch", "--context", "eu", "--context", "us"], "--watch shows one cluster"),
    ] {
        let (code, text) = fails(&example(), arguments);
        assert!(code == 2 && text.starts_with("error: ") && text.contains(expected), "{arguments:?}: {code} {text}");
    }
}

#[test]
fn a_repository_is_read_at_a_ref_and_below_a_subdirectory() {
    let repository = tempfile::tempdir().unwrap();
    copy(&example(), &repository.path().join("workspaces/prod"));
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let status =
            Command::new("git").current_dir(repository.path()).args(identity).args(arguments).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "a workspace"]);
    let source = format!("git+file://{}#main:workspaces/prod", repository.path().display());
    let text = prints(repository.path(), &["lint", &source]);
    assert!(text.starts_with(&format!("ok: {source} (1 variable")), "{text}");
    // The environment of a hook of another repository.
    let mut command = Command::new(env!("CARGO_BIN_EXE_rototo"));
    command
        .env("GIT_DIR", "/nonexistent")
        .env("GIT_CONFIG_PARAMETERS", "'nonsense")
        .env("GIT_INDEX_FILE", "/nonexistent");
    assert!(command.args(["lint", &source]).output().unwrap().status.success());

    let (code, text) = fails(repository.path(), &["lint", &source.replace("main:", "none:")]);
    assert_eq!(code, 1);
    assert!(text.contains("no branch or tag named exactly `none`"), "{text}");
}
