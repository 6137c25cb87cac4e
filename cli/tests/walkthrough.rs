//! The walkthrough of the degradation policy, step by step, with the commands on its page.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const CONFIG: &str = "degradation-config";
const POLICY: &str = "service-degradation-policy";
const OBJECTS: &str = "resources/service-degradation-policy-objects";
const CONTEXT_SCHEMA: &str = "schemas/context.schema.json";

/// The directory of the walkthrough.
struct Walkthrough(tempfile::TempDir);

impl Walkthrough {
    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(CONFIG).join(path)
    }

    fn rototo(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rototo")).current_dir(self.0.path()).args(arguments).output().unwrap()
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.rototo(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.rototo(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// Writes a file of the finished workspace.
    fn write_as_in_the_example(&self, path: &str) {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(CONFIG).join(path), self.path(path))
            .unwrap();
    }

    fn context_schema(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(CONTEXT_SCHEMA)).unwrap()).unwrap()
    }

    /// Returns the last lines of `resolve` for this context, and the bucket if there is one.
    fn resolve(&self, context: &[&str]) -> (String, Value, Option<String>) {
        let context = context.iter().flat_map(|fact| ["--context", fact]);
        let arguments: Vec<&str> = ["resolve", CONFIG, "--variable", POLICY].into_iter().chain(context).collect();
        let text = self.succeeds(&arguments);
        let line = |start: &str| text.lines().find_map(|line| line.trim_start().strip_prefix(start)).map(str::to_owned);
        let value = serde_json::from_str(&line("value: ").unwrap()).unwrap();
        (line("value key: ").unwrap(), value, line("test: bucket "))
    }
}

#[test]
fn the_walkthrough_holds_step_by_step() {
    let walkthrough = Walkthrough(tempfile::tempdir().unwrap());

    // Create the workspace.
    walkthrough.succeeds(&["init", CONFIG, "--variable", POLICY]);
    walkthrough.succeeds(&["init", CONFIG, "--resource", POLICY]);
    walkthrough.succeeds(&["lint", CONFIG]);
    let variable = format!("variables/{POLICY}.toml");
    let preamble = "schema_version = 1\ndescription = \"Operating policy selected while the service is under \
        pressure\"\n\
                type = \"resource:service-degradation-policy\"\n\n[resolve]\ndefault = \"normal\"\n";
    fs::write(walkthrough.path(&variable), preamble).unwrap();
    walkthrough.write_as_in_the_example(&format!("resources/{POLICY}.toml"));
    walkthrough.write_as_in_the_example(&format!("schemas/{POLICY}.schema.json"));

    // Add the first policies.
    fs::rename(
        walkthrough.path(&format!("{OBJECTS}/default.toml")),
        walkthrough.path(&format!("{OBJECTS}/normal.toml")),
    )
    .unwrap();
    for policy in ["normal", "degraded", "severe"] {
        walkthrough.write_as_in_the_example(&format!("{OBJECTS}/{policy}.toml"));
    }

    // Select degraded during high pressure.
    walkthrough.write_as_in_the_example("qualifiers/high-queue-pressure.toml");
    let rule = "\n[[resolve.rule]]\nqualifier = \"high-queue-pressure\"\nvalue = \"degraded\"\n";
    fs::write(walkthrough.path(&variable), format!("{preamble}{rule}")).unwrap();

    // Generate the first context contract.
    walkthrough.succeeds(&["init", CONFIG, "--context"]);
    let service = json!({
        "additionalProperties": true,
        "properties": { "queue_pressure": { "type": "string" } },
        "type": "object"
    });
    let mut expected = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "additionalProperties": true,
        "properties": { "service": service },
        "type": "object"
    });
    assert_eq!(walkthrough.context_schema(), expected);
    assert!(walkthrough.succeeds(&["lint", CONFIG]).starts_with("ok: degradation-config"));

    let (key, value, _) = walkthrough.resolve(&["service.queue_pressure=normal"]);
    assert_eq!(key, "normal");
    let normal = json!({"background_jobs_enabled":true,"fallback_provider":"primary","max_concurrency":100,
        "mode":"normal","non_critical_fanout":"send"});
    assert_eq!(value, normal);
    let (key, value, _) = walkthrough.resolve(&["service.queue_pressure=high"]);
    assert_eq!(key, "degraded");
    let degraded = json!({"background_jobs_enabled":false,"fallback_provider":"primary","max_concurrency":30,
        "mode":"degraded","non_critical_fanout":"defer"});
    assert_eq!(value, degraded);

    // Try a stronger policy on a bucket.
    walkthrough.write_as_in_the_example("qualifiers/degradation-trial-bucket.toml");
    walkthrough.write_as_in_the_example("qualifiers/severe-recovery-trial.toml");
    walkthrough.write_as_in_the_example(&variable);

    // Regenerate the context contract: `--force` overwrites the existing one.
    let before = fs::read(walkthrough.path(CONTEXT_SCHEMA)).unwrap();
    let refusal = walkthrough.fails(&["init", CONFIG, "--context"]);
    assert!(refusal.contains("file already exists") && refusal.contains("--force"), "{refusal}");
    assert_eq!(fs::read(walkthrough.path(CONTEXT_SCHEMA)).unwrap(), before);
    walkthrough.succeeds(&["init", CONFIG, "--context", "--force"]);
    expected["properties"]["account"] = json!({
        "additionalProperties": true,
        "properties": { "id": { "type": ["boolean", "number", "string"] } },
        "type": "object"
    });
    assert_eq!(walkthrough.context_schema(), expected);
    assert!(walkthrough.succeeds(&["lint", CONFIG]).starts_with("ok: degradation-config"));

    // Resolve the trial paths.
    let (key, _, bucket) = walkthrough.resolve(&["service.queue_pressure=high", "account.id=acct-0001"]);
    let test = "salt=service-degradation-recovery-2026-06 range=[0,1000] bucket=";
    assert_eq!((key.as_str(), bucket), ("degraded", Some(format!("{test}5274"))));
    let (key, value, bucket) = walkthrough.resolve(&["service.queue_pressure=high", "account.id=acct-001"]);
    assert_eq!((key.as_str(), bucket), ("severe", Some(format!("{test}540"))));
    let severe = json!({"background_jobs_enabled":false,"fallback_provider":"secondary","max_concurrency":10,
        "mode":"severe","non_critical_fanout":"pause"});
    assert_eq!(value, severe);

    // Lint catches a mistake in a hurry before it is released.
    let object = walkthrough.path(&format!("{OBJECTS}/degraded.toml"));
    let text = fs::read_to_string(&object).unwrap().replace("max_concurrency = 30", "max_concurrency = 0");
    fs::write(&object, text).unwrap();
    let refusal = walkthrough.fails(&["lint", CONFIG]);
    assert!(
        refusal.contains("resource-object-schema-mismatch") && refusal.contains("max_concurrency = 0"),
        "{refusal}"
    );
}

#[test]
fn init_writes_nothing_at_all_when_one_file_is_in_the_way() {
    let walkthrough = Walkthrough(tempfile::tempdir().unwrap());
    walkthrough.succeeds(&["init", CONFIG]);
    fs::create_dir_all(walkthrough.path("schemas")).unwrap();
    fs::write(walkthrough.path("schemas/plan.schema.json"), "mine").unwrap();
    walkthrough.fails(&["init", CONFIG, "--resource", "plan"]);
    assert!(!walkthrough.path("resources/plan.toml").exists());
    assert_eq!(fs::read_to_string(walkthrough.path("schemas/plan.schema.json")).unwrap(), "mine");
    walkthrough.fails(&["init", CONFIG]);
}

#[test]
fn init_says_in_json_what_it_would_do_and_does_not_do_it() {
    let walkthrough = Walkthrough(tempfile::tempdir().unwrap());
    let report: Value =
        serde_json::from_str(&walkthrough.succeeds(&["init", CONFIG, "--qualifier", "beta", "--dry-run", "--json"]))
            .unwrap();
    assert_eq!((&report["command"], &report["dry_run"]), (&json!("init"), &json!(true)));
    assert_eq!(
        report["files"].as_array().unwrap().last().unwrap(),
        &json!({"kind": "qualifier", "path": "qualifiers/beta.toml", "action": "would_create"})
    );
    assert!(!walkthrough.path("").exists());
}

#[test]
fn files_of_init_pass_lint_and_the_context_schema_fits_the_qualifier() {
    let walkthrough = Walkthrough(tempfile::tempdir().unwrap());
    for flag in ["--qualifier", "--variable", "--resource"] {
        walkthrough.succeeds(&["init", CONFIG, flag, "premium-users"]);
    }
    walkthrough.succeeds(&["init", CONFIG, "--context"]);
    assert_eq!(walkthrough.context_schema()["properties"]["user"]["properties"]["tier"]["type"], "string");
    assert!(walkthrough.succeeds(&["lint", CONFIG]).contains("ok: "));
}

#[test]
fn init_refuses_what_it_cannot_make() {
    let walkthrough = Walkthrough(tempfile::tempdir().unwrap());
    for (arguments, expected) in [
        (&["init", "git+https://host/r.git"][..], "is an address"),
        (&["init", CONFIG, "--qualifier", "../../etc"], "can't be the id of a qualifier"),
        (&["init", CONFIG, "--qualifier", "a", "--variable", "b"], "one thing at a time"),
    ] {
        let output = walkthrough.rototo(arguments);
        let refusal = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && refusal.contains(expected), "{refusal}");
    }
}
