//! Runs what code hosts and pre-commit run: the steps of the action, the job of the template, and the hook.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::repository;
use crate::support::{VARIABLE, changed, copy, example};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

/// Returns a shell that finds the command on PATH, in `directory`.
fn shell(program: &str, directory: &Path) -> Command {
    let mut shell = Command::new(program);
    let programs = Path::new(env!("CARGO_BIN_EXE_rototo")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(programs.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    shell.current_dir(directory).env("PATH", path.unwrap());
    shell
}

/// Runs the steps of the action with inputs, as a runner does. Returns the output of the first step that fails, or else
/// of the last one.
fn run_action(repository: &Path, inputs: &[(&str, &str)]) -> Output {
    let action = yaml(".github/actions/lint/action.yml");
    let environment_file = repository.join("environment");
    std::fs::write(&environment_file, "").unwrap();
    let mut output = None;
    for step in action["runs"]["steps"].as_array().unwrap() {
        assert_eq!(step["shell"], "bash");
        let mut shell = shell("bash", repository);
        shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().unwrap()]);
        shell.env("GITHUB_ENV", &environment_file).env("GITHUB_ACTION_PATH", root().join(".github/actions/lint"));
        for line in std::fs::read_to_string(&environment_file).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            shell.env(name, value);
        }
        for (name, expression) in step["env"].as_object().unwrap() {
            let input = expression.as_str().unwrap().strip_prefix("${{ inputs.").unwrap().strip_suffix(" }}").unwrap();
            let given = inputs.iter().find(|(name, _)| *name == input).map(|(_, value)| *value);
            shell.env(name, given.unwrap_or_else(|| action["inputs"][input]["default"].as_str().unwrap()));
        }
        let ended = output.insert(shell.output().unwrap());
        if !ended.status.success() {
            break;
        }
    }
    output.unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

#[test]
fn the_action_annotates_the_line_fails_and_leaves_a_log() {
    let repository = repository();
    let output = run_action(repository.path(), &[("workspace", "workspaces/prod"), ("sarif", "rototo.sarif")]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let path = format!("workspaces/prod/resources/{VARIABLE}-objects/degraded.toml");
    assert!(text.starts_with(&format!("::error file={path},line=2,")), "{text}");
    let log: Value = serde_json::from_slice(&std::fs::read(repository.path().join("rototo.sarif")).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 1);
}

#[test]
fn the_action_passes_a_good_workspace_and_reports_a_wrong_directory() {
    let repository = tempfile::tempdir().unwrap();
    copy(&example(), repository.path());
    let output = run_action(repository.path(), &[("program", env!("CARGO_BIN_EXE_rototo"))]);
    assert!(output.status.success() && text(&output).starts_with("ok: . ("), "{}", text(&output));
    let output = run_action(repository.path(), &[("workspace", "none"), ("sarif", "rototo.sarif")]);
    assert!(!output.status.success() && text(&output).contains("none does not exist"), "{}", text(&output));
}

#[test]
fn the_action_leaves_a_log_of_a_layer_that_can_not_be_read_and_no_empty_one() {
    let repository = crate::with_a_missing_layer();
    let output = run_action(repository.path(), &[("workspace", "workspaces/prod"), ("sarif", "rototo.sarif")]);
    assert!(
        !output.status.success() && text(&output).starts_with("::error file=workspaces/prod/"),
        "{}",
        text(&output)
    );
    let log: Value = serde_json::from_slice(&std::fs::read(repository.path().join("rototo.sarif")).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "rototo/source-unreadable");
    // An upload of an empty file fails with a message about the file.
    let output = run_action(repository.path(), &[("workspace", "ftp://host/x"), ("sarif", "rototo.sarif")]);
    assert!(!output.status.success() && text(&output).contains("not a known scheme"), "{}", text(&output));
    assert!(!repository.path().join("rototo.sarif").exists());
}

/// Runs the job of the template for a workspace, with some of its variables in place of their defaults.
fn run_template(repository: &Path, variables: &[(&str, &str)]) -> Output {
    let job = &yaml(".gitlab/rototo-lint.yml")[".rototo-lint"];
    let lines: Vec<&str> = job["script"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let defaults = job["variables"].as_object().unwrap().iter();
    let mut shell = shell("sh", repository);
    shell.args(["-e", "-c", &lines.join("\n")]).envs(defaults.map(|(name, value)| (name, value.as_str().unwrap())));
    shell.envs(variables.iter().copied()).output().unwrap()
}

/// Runs the hook with arguments.
fn run_hook(repository: &Path, arguments: &[&str]) -> Output {
    let hook = &yaml(".pre-commit-hooks.yaml")[0];
    // pre-commit gives a hook with `files` no file of a commit that only deletes some, and skips it.
    assert_eq!((&hook["always_run"], &hook["files"]), (&Value::Bool(true), &Value::Null));
    let mut words = hook["entry"].as_str().unwrap().split(' ');
    let mut command = shell(words.next().unwrap(), repository);
    command.args(words).args(arguments).output().unwrap()
}

#[test]
fn the_template_of_gitlab_prints_the_findings_and_keeps_a_log() {
    let repository = repository();
    let output = run_template(repository.path(), &[("ROTOTO_WORKSPACE", "workspaces/prod")]);
    assert!(output.status.code() == Some(1) && text(&output).contains("max_concurrency = 0"), "{}", text(&output));
    let log: Value = serde_json::from_slice(&std::fs::read(repository.path().join("rototo.sarif")).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 1);
    assert!(run_template(repository.path(), &[("ROTOTO_WORKSPACE", example().to_str().unwrap())]).status.success());
}

#[test]
fn the_hook_runs_for_each_commit_and_stops_a_bad_one() {
    let repository = repository();
    let output = run_hook(repository.path(), &["workspaces/prod"]);
    assert!(output.status.code() == Some(1) && text(&output).contains("max_concurrency = 0"), "{}", text(&output));
    let output = run_hook(repository.path(), &[example().to_str().unwrap()]);
    assert!(output.status.success() && text(&output).is_empty(), "{}", text(&output));
}

#[test]
fn each_host_fails_on_warnings_if_its_input_says_so() {
    let workspace = changed(&format!("variables/{VARIABLE}.toml"), "value = \"degraded\"", "value = \"normal\"");
    let directory = workspace.path();
    for (fail_on, succeeds) in [("error", true), ("warning", false)] {
        for output in [
            run_action(directory, &[("fail-on", fail_on)]),
            run_template(directory, &[("ROTOTO_FAIL_ON", fail_on)]),
            run_hook(directory, &["--fail-on", fail_on, "."]),
        ] {
            assert_eq!(output.status.success(), succeeds, "{fail_on}: {}", text(&output));
        }
    }
}
