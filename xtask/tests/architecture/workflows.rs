//! Checks the workflows in `.github/`: they run the commands of this project, read by default, and name the versions of
//! what they use.

use std::fs;

use serde_json::{Value, json};
use xtask::cargo;

fn workflow(name: &str) -> (String, Value) {
    let text = fs::read_to_string(cargo::root().join(".github/workflows").join(name)).unwrap();
    let yaml = serde_saphyr::from_str(&text).unwrap();
    (text, yaml)
}

#[test]
fn workflows_run_the_commands_that_people_run() {
    for (name, command) in [("ci.yml", "run: .ci/run"), ("release.yml", "cargo xtask release \"$@\"")] {
        assert!(workflow(name).0.contains(command), "{name} does not run `{command}`");
    }
    let (_, release) = workflow("release.yml");
    assert_eq!(release["jobs"]["release"]["needs"], "test");
    assert_eq!(release["jobs"]["test"]["uses"], "./.github/workflows/ci.yml");
}

#[test]
fn workflows_may_only_read_and_one_job_may_write_what_a_release_is() {
    for name in ["ci.yml", "release.yml"] {
        let (_, yaml) = workflow(name);
        assert_eq!(yaml["permissions"], json!({"contents": "read"}), "{name}");
        for (job, content) in yaml["jobs"].as_object().unwrap() {
            let permissions = content.get("permissions").cloned().unwrap_or_else(|| json!({"contents": "read"}));
            let expected = match job.as_str() {
                "release" => json!({"contents": "write", "packages": "write"}),
                _ => json!({"contents": "read"}),
            };
            assert_eq!(permissions, expected, "{name}: {job}");
        }
    }
}

#[test]
fn each_action_is_pinned_to_a_major_version() {
    for name in ["ci.yml", "release.yml"] {
        for line in workflow(name).0.lines() {
            let Some((_, action)) = line.split_once("uses: ") else { continue };
            let version = action.rsplit_once("@v").map(|(_, version)| version);
            let is_pinned = version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(is_pinned || action.starts_with("./"), "{name}: {action}");
        }
    }
}
