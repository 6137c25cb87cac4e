//! Our commands behave like those of the reference: with the same arguments both succeed or both fail, both write the
//! same files, and a program that reads the JSON of the reference can read ours.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use rototo_differential::programs::{Both, Comparison};

const VARIABLE: &str = "service-degradation-policy";
const ALL: [&str; 6] =
    ["--variables", "--resources", "--qualifiers", "--lint-rules", "--lint-authorities", "--linters"];

fn example() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/degradation-config"))
}

/// Writes a layer on top of the example, another on top of that, and two broken ones.
fn layers(both: &Both) {
    both.copy(example(), "base");
    both.write("team/rototo-workspace.toml", "schema_version = 1\nextends = [\"../base\"]\n");
    let policy =
        fs::read_to_string(example().join("resources/service-degradation-policy-objects/severe.toml")).unwrap();
    both.write("team/resources/service-degradation-policy-objects/severe.toml", &policy.replace("= 10", "= 7"));
    both.write("prod/rototo-workspace.toml", "schema_version = 1\nextends = [\"../team\"]\n");
    let trial = "schema_version = 1\n[[predicate]]\nattribute = \"account.id\"\nop = \"eq\"\nvalue = \"acct-0001\"\n";
    both.write("prod/qualifiers/degradation-trial-bucket.toml", trial);
    both.write("circle/rototo-workspace.toml", "schema_version = 1\nextends = [\"../circle\"]\n");
    both.write("orphan/rototo-workspace.toml", "schema_version = 1\nextends = [\"../nowhere\"]\n");
}

const FACTS: [&str; 4] = ["--context", "service.queue_pressure=high", "--context", "account.id=acct-0001"];

#[test]
fn both_inits_write_the_same_files() {
    let both = Both::new();
    let mut compared = Comparison::default();
    for arguments in [
        &["init", "w"][..],
        &["init", "w"],
        &["init", "w", "--force"],
        &["init", "w", "--dry-run"],
        &["init", "w", "--dry-run", "--force"],
        &["init", "w", "--qualifier", "q"],
        &["init", "w", "--qualifier", "q"],
        &["init", "w", "--qualifier", "q", "--force"],
        &["init", "w", "--variable", "v", "--dry-run"],
        &["init", "w", "--variable", "v"],
        &["init", "w", "--resource", "r"],
        &["init", "w", "--context"],
        &["init", "w", "--context", "--force"],
        &["init", "fresh", "--variable", "v"],
        &["init", "also/fresh", "--context"],
        &["init", "w", "--variable", "a", "--qualifier", "b"],
        &["init", "w", "--variable", "../x"],
        &["init", "w", "--variable", ""],
        &["init", "w", "--variable", ".x"],
        &["init", "w", "--variable", "a.b"],
        &["init", "git+https://host/r.git"],
        &["init"],
    ] {
        compared.same_exit(&both, arguments);
        compared.same_files(&both, arguments);
        // The JSON output reports the existing files.
        compared.same_json(&both, &[arguments, &["--json", "--dry-run"]].concat());
    }
    compared.finish();
}

#[test]
fn both_inits_infer_the_same_context_schema() {
    let both = Both::new();
    let mut compared = Comparison::default();
    both.copy(example(), "w");
    both.remove("w/schemas/context.schema.json");
    compared.same_exit(&both, &["init", "w", "--context"]);
    compared.same_document(&both, "w/schemas/context.schema.json");
    compared.finish();
}

#[test]
fn both_commands_combine_contexts_in_the_same_way() {
    let both = Both::new();
    let mut compared = Comparison::default();
    both.copy(example(), "w");
    both.write("w/context.json", "{\"service\": {\"queue_pressure\": \"high\"}, \"account\": {\"id\": \"acct-001\"}}");
    both.write("w/list.json", "[1]");
    both.write("w/broken.json", "{");
    for contexts in [
        &[][..],
        &["{}"],
        &["{\"service\": {\"queue_pressure\": \"high\"}, \"account\": {\"id\": \"acct-001\"}}"],
        &["@w/context.json"],
        &["@w/context.json", "account.id=acct-0001"],
        &["account.id=acct-0001", "@w/context.json"],
        &["service.queue_pressure=high", "account.id=acct-0001"],
        &["service.queue_pressure=\"high\"", "account.id=7"],
        &["service.queue_pressure=normal"],
        &["service={\"queue_pressure\": \"high\"}", "account.id=true"],
        &["service.queue_pressure=high", "account=1", "account.id=acct-001"],
        &["service.queue_pressure=high", "account.id=acct-001", "account={}"],
        &["service.queue_pressure=high", "account.id=a=b"],
        &["service.queue_pressure=high", "account.id="],
        &["service.queue_pressure=high", "account.id=[1]"],
        &["=x"],
        &["a..b=x"],
        &[".a=x"],
        &["a.=x"],
        &["@"],
        &["@w/nowhere.json"],
        &["@w/list.json"],
        &["@w/broken.json"],
        &["[1]"],
        &["{"],
        &["plain"],
        &[""],
    ] {
        let contexts: Vec<&str> = contexts.iter().flat_map(|context| ["--context", *context]).collect();
        compared
            .same_values(&both, &[&["resolve", "w", "--json", "--variables", "--qualifiers"][..], &contexts].concat());
    }
    compared.finish();
}

#[test]
fn both_commands_merge_layers_to_the_same_workspace() {
    let both = Both::new();
    let mut compared = Comparison::default();
    layers(&both);
    for layer in ["base", "team", "prod"] {
        compared.same_values(&both, &[&["resolve", layer, "--variables", "--json"][..], &FACTS].concat());
        compared.same_json(&both, &["show", layer, "--json"]);
        compared.same_json(&both, &["lint", layer, "--json"]);
    }
    for broken in ["circle", "orphan", "nowhere"] {
        compared.same_exit(&both, &["lint", broken]);
        compared.same_exit(&both, &["show", broken]);
    }
    compared.finish();
}

#[test]
fn both_commands_read_a_repository_at_the_same_place() {
    let both = Both::new();
    let mut compared = Comparison::default();
    both.copy(example(), "r/envs/prod");
    both.copy(example(), "r/envs/other");
    let commit = both.commit("r");
    let at = |fragment: &str| format!("git+file://{{}}/r#{fragment}");
    for fragment in ["main:envs/prod", &format!("{commit}:envs/prod"), "v1:envs/prod", ":envs/other"] {
        compared.same_values(&both, &[&["resolve", &at(fragment), "--variables", "--json"][..], &FACTS].concat());
        compared.same_json(&both, &["show", &at(fragment), "--json"]);
        compared.same_json(&both, &["lint", &at(fragment), "--json"]);
    }
    for fragment in ["main", "main:envs", "gone:envs/prod", "main:gone", "main:../x", "main:/etc", "--upload-pack=x"] {
        compared.same_exit(&both, &["lint", &at(fragment)]);
        compared.same_exit(&both, &[&["resolve", &at(fragment), "--variables"][..], &FACTS].concat());
    }
    for source in ["http://127.0.0.1:1/a.tar.gz", "git+http://127.0.0.1:1/r.git", "file://{}/r#main", "ftp://host/x"] {
        compared.same_exit(&both, &["lint", source]);
    }
    compared.finish();
}

#[test]
fn the_json_of_both_commands_has_the_same_shape() {
    let both = Both::new();
    let mut compared = Comparison::default();
    both.copy(example(), "w");
    both.copy(example(), "broken");
    both.replace("broken/qualifiers/high-queue-pressure.toml", "\"eq\"", "\"equals\"");
    both.replace("broken/variables/service-degradation-policy.toml", "default = \"normal\"", "default = \"gone\"");
    both.replace("broken/resources/service-degradation-policy-objects/severe.toml", "= 10", "= 0");
    for workspace in ["w", "broken"] {
        for command in ["lint", "show", "inspect"] {
            compared.same_json(&both, &[command, workspace, "--json"]);
            for selector in ALL {
                compared.same_json(&both, &[command, workspace, selector, "--json"]);
            }
            for (selector, id) in [
                ("--variable", VARIABLE),
                ("--resource", VARIABLE),
                ("--qualifier", "high-queue-pressure"),
                ("--lint-rule", "rototo/variable-unknown-value"),
                ("--lint-authority", "rototo"),
            ] {
                compared.same_json(&both, &[command, workspace, selector, id, "--json"]);
                compared.same_exit(&both, &[command, workspace, selector, "none"]);
            }
        }
        compared.same_json(&both, &[&["inspect", workspace, "--variables", "--json"][..], &FACTS].concat());
        for selector in ["--variables", "--qualifiers"] {
            compared.same_values(&both, &[&["resolve", workspace, selector, "--json"][..], &FACTS].concat());
        }
        compared.same_exit(&both, &["resolve", workspace]);
        compared.same_exit(&both, &["resolve", workspace, "--variable", "none"]);
        compared.same_exit(&both, &["resolve", workspace, "--resources"]);
        compared.same_exit(&both, &["lint", workspace, "--quiet"]);
        compared.same_exit(&both, &["unknown", workspace]);
    }
    compared.finish();
}
