//! `rototo lint --format`, and the files by which code hosts and pre-commit run it.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod hosts;

use std::path::Path;

use serde_json::{Value, json};
use support::{VARIABLE, changed, copy, example, fails, prints, replace, rototo};

/// Returns a repository with a workspace in `workspaces/prod` that has an error in the second line of a document.
fn repository() -> tempfile::TempDir {
    let repository = tempfile::tempdir().unwrap();
    std::fs::create_dir(repository.path().join(".git")).unwrap();
    let workspace = repository.path().join("workspaces/prod");
    copy(&example(), &workspace);
    replace(&workspace.join(format!("resources/{VARIABLE}-objects/degraded.toml")), "= 30", "= 0");
    repository
}

/// Checks a log against the published schema.
fn log(directory: &Path, arguments: &[&str]) -> Value {
    let output = rototo(directory, &[&["lint", "--format", "sarif"], arguments].concat());
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut schema: Value = serde_json::from_str(include_str!("sarif-2.1.0.schema.json")).unwrap();
    // The pattern of `language`, which this log does not have, lacks a bracket.
    for definition in ["run", "toolComponent"] {
        schema["definitions"][definition]["properties"]["language"].as_object_mut().unwrap().remove("pattern");
    }
    let errors: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&log).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    log
}

#[test]
fn sarif_names_each_finding_by_its_path_in_the_repository() {
    let repository = repository();
    for (directory, source) in [("", "workspaces/prod"), ("workspaces/prod/qualifiers", "..")] {
        let log = log(&repository.path().join(directory), &[source]);
        let run = &log["runs"][0];
        assert_eq!(run["automationDetails"]["id"], "rototo-lint/workspaces/prod/");
        let result = &run["results"][0];
        assert_eq!(
            (&result["ruleId"], &result["level"]),
            (&json!("rototo/resource-object-schema-mismatch"), &json!("error"))
        );
        assert_eq!(
            run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize]["id"],
            result["ruleId"]
        );
        assert_eq!(
            result["locations"][0]["physicalLocation"],
            json!({
                "artifactLocation": {
                    "uri": format!("workspaces/prod/resources/{VARIABLE}-objects/degraded.toml"),
                    "uriBaseId": "%SRCROOT%",
                },
                "region": {"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 20},
            })
        );
        assert!(result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"].is_string(), "{result}");
    }
}

/// Code hosts close a finding, and open another one, if its fingerprint changes.
#[test]
fn an_edit_above_a_finding_leaves_its_fingerprint() {
    let repository = repository();
    let fingerprint =
        || log(repository.path(), &["workspaces/prod"])["runs"][0]["results"][0]["partialFingerprints"].clone();
    let before = fingerprint();
    let path = format!("workspaces/prod/resources/{VARIABLE}-objects/degraded.toml");
    replace(&repository.path().join(&path), "max_concurrency", "# a comment\nmax_concurrency");
    assert_eq!(fingerprint(), before);
    replace(&repository.path().join(&path), "= 0", "= -1");
    assert_ne!(fingerprint(), before);
}

/// Code hosts show findings of one fingerprint once.
#[test]
fn equal_findings_of_a_document_have_fingerprints_of_their_own() {
    let predicate = "[[predicate]]\nattribute = \"account.plan\"\nop = \"equals\"\nvalue = \"pro\"\n";
    let workspace = tempfile::tempdir().unwrap();
    std::fs::create_dir(workspace.path().join("qualifiers")).unwrap();
    std::fs::write(workspace.path().join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
    let path = workspace.path().join("qualifiers/pro.toml");
    std::fs::write(path, format!("schema_version = 1\n{predicate}{predicate}")).unwrap();
    let log = log(workspace.path(), &["--lint-rule", "rototo/qualifier-predicate-unknown-op"]);
    let fingerprint = |index: usize| {
        let found = &log["runs"][0]["results"][index];
        found["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap().split_once(':').unwrap()
    };
    let ((first, one), (second, two)) = (fingerprint(0), fingerprint(1));
    assert_eq!((first, one, two), (second, "1", "2"), "{log:#}");
}

#[test]
fn every_kind_of_finding_is_valid_sarif() {
    for rule in rototo_engine::lint::rules() {
        let workspace = tempfile::tempdir().unwrap();
        for (path, text) in [("rototo-workspace.toml", "schema_version = 1\n")].iter().chain(rule.bad) {
            let path = workspace.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let missing = matches!(rule.id, "rototo/workspace-manifest-missing" | "rototo/workspace-not-found");
        if missing {
            std::fs::remove_file(workspace.path().join("rototo-workspace.toml")).unwrap();
        }
        let source = if rule.id == "rototo/workspace-not-found" { "none" } else { "." };
        let log = log(workspace.path(), &[source]);
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert!(results.iter().any(|result| result["ruleId"] == rule.id), "{}: {log:#}", rule.id);
    }
    let log = log(&example(), &["."]);
    assert_eq!(log["runs"][0]["results"], json!([]));
}

#[test]
fn a_workspace_in_no_repository_is_named_from_the_current_directory() {
    let workspace = changed(&format!("resources/{VARIABLE}-objects/degraded.toml"), "= 30", "= 0");
    let uri = |directory: &Path| {
        let log = log(directory, &[workspace.path().to_str().unwrap()]);
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"].clone()
    };
    let path = format!("resources/{VARIABLE}-objects/degraded.toml");
    assert_eq!(uri(workspace.path()), json!({"uri": path, "uriBaseId": "%SRCROOT%"}));
    let elsewhere = tempfile::tempdir().unwrap();
    let root = workspace.path().canonicalize().unwrap();
    assert_eq!(uri(elsewhere.path()), json!({"uri": format!("file://{}/{path}", root.display())}));
}

#[test]
fn each_format_has_the_exit_code_of_lint() {
    let repository = repository();
    for format in ["text", "json", "github", "sarif"] {
        assert_eq!(fails(repository.path(), &["lint", "workspaces/prod", "--format", format]).0, 1, "{format}");
        prints(&example(), &["lint", "--format", format]);
    }
    let (code, text) = fails(repository.path(), &["lint", "workspaces/prod", "--format", "github"]);
    let path = format!("workspaces/prod/resources/{VARIABLE}-objects/degraded.toml");
    assert!(code == 1 && text.starts_with(&format!("::error file={path},line=2,col=1,endColumn=20,title=")), "{text}");
    assert!(text.ends_with("failed: 1 error in 11 documents of workspaces/prod\n"), "{text}");
    assert_eq!(prints(&example(), &["lint", "--format", "github", "--quiet"]), "");
}

#[test]
fn json_is_one_of_the_formats() {
    let long = prints(&example(), &["lint", "--json"]);
    for arguments in [&["lint", "--format", "json"][..], &["lint", "--format", "json", "--json"]] {
        assert_eq!(prints(&example(), arguments), long);
    }
    let (code, text) = fails(&example(), &["lint", "--format", "sarif", "--json"]);
    assert!(code == 2 && text.contains("leave one of them out"), "{text}");
}

/// Returns a repository whose workspace extends a directory that is not there, in its third line.
fn with_a_missing_layer() -> tempfile::TempDir {
    let repository = repository();
    let manifest = "schema_version = 1\nextends = [\n  \"../nope\",\n]\n";
    std::fs::write(repository.path().join("workspaces/prod/rototo-workspace.toml"), manifest).unwrap();
    repository
}

#[test]
fn a_layer_that_can_not_be_read_is_a_finding_at_its_entry() {
    let repository = with_a_missing_layer();
    let log = log(repository.path(), &["workspaces/prod"]);
    let run = &log["runs"][0];
    assert_eq!(run["automationDetails"]["id"], "rototo-lint/workspaces/prod/");
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&json!("rototo/source-unreadable"), &json!("error")));
    assert_eq!(
        result["locations"][0]["physicalLocation"],
        json!({
            "artifactLocation": {"uri": "workspaces/prod/rototo-workspace.toml", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 3, "startColumn": 3, "endLine": 3, "endColumn": 12},
        })
    );
    let (code, text) = fails(repository.path(), &["lint", "workspaces/prod", "--format", "github"]);
    let place = "::error file=workspaces/prod/rototo-workspace.toml,line=3,col=3,endColumn=12,\
                 title=rototo/source-unreadable::it extends workspaces/prod/../nope, ";
    assert!(code == 1 && text.starts_with(place) && text.lines().count() == 1, "{text}");

    let report = support::json(repository.path(), &["lint", "workspaces/prod"]);
    let root = repository.path().canonicalize().unwrap().join("workspaces/prod");
    assert_eq!((&report["workspace"], &report["documents"]), (&json!(root), &json!([])));
    assert_eq!(report["diagnostics"][0]["location"]["path"], "rototo-workspace.toml");
    let (code, text) = fails(repository.path(), &["lint", "workspaces/prod"]);
    assert!(code == 1 && text.starts_with("error: reading workspaces/prod failed: it extends"), "{text}");
}

#[test]
fn a_link_in_place_of_a_document_is_a_finding_there() {
    let repository = repository();
    let link = repository.path().join("workspaces/prod/variables/x.toml");
    std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
    let result = &log(repository.path(), &["workspaces/prod"])["runs"][0]["results"][0];
    let place = json!({"artifactLocation": {"uri": "workspaces/prod/variables/x.toml", "uriBaseId": "%SRCROOT%"}});
    assert_eq!(result["locations"][0]["physicalLocation"], place);
}

#[test]
fn a_repository_that_can_not_be_read_is_a_finding_at_its_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let source = format!("git+file://{}/none.git#main:workspaces/prod", directory.path().display());
    let result = &log(directory.path(), &[&source])["runs"][0]["results"][0];
    let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(uri, "workspaces/prod/rototo-workspace.toml");
    let report = support::json(directory.path(), &["lint", &source]);
    assert_eq!(report["workspace"], source);
}

/// A path of the workspace itself would lead to nothing, or to another file.
#[test]
fn findings_about_a_document_of_a_layer_name_its_file() {
    let repository = repository();
    let write = |path: &str, text: &str| {
        let path = repository.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let variable = "schema_version = 1\ntype = \"int\"\n\n[values]\na = \"x\"\n\n[resolve]\ndefault = \"a\"\n";
    write("base/rototo-workspace.toml", "schema_version = 1\n");
    write("base/variables/limit.toml", variable);
    write("base/variables/own.toml", variable);
    write("top/variables/own.toml", variable);
    write("top/rototo-workspace.toml", "schema_version = 1\nextends = [\"../base\"]\n");
    let (code, text) = fails(repository.path(), &["lint", "top"]);
    assert!(code == 1 && text.contains("╭▸ top/../base/variables/limit.toml:5:5\n"), "{text}");
    assert!(text.contains("╭▸ top/variables/own.toml:5:5\n"), "{text}");
    let (_, text) = fails(repository.path(), &["lint", "top", "--format", "github"]);
    let files: Vec<&str> =
        text.lines().filter_map(|line| line.split(',').next()?.strip_prefix("::error file=")).collect();
    assert_eq!(files, ["base/variables/limit.toml", "top/variables/own.toml"]);
    let uris = |source: &str| -> Vec<Value> {
        let log = log(repository.path(), &[source]);
        let results = log["runs"][0]["results"].as_array().unwrap();
        let uri = |result: &Value| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
        results.iter().map(uri).collect()
    };
    assert_eq!(uris("top"), ["base/variables/limit.toml", "top/variables/own.toml"]);
    let report = support::json(repository.path(), &["lint", "top"]);
    let root = repository.path().canonicalize().unwrap();
    assert_eq!(report["documents"][1]["uri"], format!("file://{}/base/variables/limit.toml", root.display()));
    assert_eq!(report["diagnostics"][0]["location"]["path"], "variables/limit.toml");

    // A commit has the layers that are in the same repository.
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let mut git = std::process::Command::new("git");
        assert!(git.current_dir(repository.path()).args(identity).args(arguments).status().unwrap().success());
    };
    std::fs::remove_dir_all(repository.path().join(".git")).unwrap();
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "layers"]);
    let source = format!("git+file://{}#main", root.display());
    assert_eq!(uris(&format!("{source}:top")), ["base/variables/limit.toml", "top/variables/own.toml"]);
    let (_, text) = fails(repository.path(), &["lint", &format!("{source}:top")]);
    assert!(text.contains(&format!("╭▸ {source}:base/variables/limit.toml:5:5\n")), "{text}");

    // The file of another repository is in words, beside the manifest that names the layer.
    let other = tempfile::tempdir().unwrap();
    let manifest = format!("schema_version = 1\nextends = [\"{source}:base\"]\n");
    std::fs::write(other.path().join("rototo-workspace.toml"), manifest).unwrap();
    let (_, text) = fails(other.path(), &["lint", ".", "--format", "github"]);
    let (place, message) = text.lines().next().unwrap().split_once("::`a` must be of type int (in ").unwrap();
    assert_eq!(place, "::error file=rototo-workspace.toml,line=1,title=rototo/variable-value-type-mismatch");
    assert!(message.starts_with(&format!("{source}:base/variables/limit.toml)%0A")), "{text}");
}
