//! Checks the code against ARCHITECTURE.md: the dependencies between our packages, and those on foreign crates.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod language;
mod rooms;
mod sources;
mod workflows;

use std::collections::BTreeSet;

use serde_json::Value;
use xtask::cargo;

use sources::rust_files;

/// The packages of ours that each package of ours may import. A package that is not listed may import any.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("rototo-engine", &[]),
    ("rototo-lua", &["rototo-engine"]),
    ("rototo-api", &[]),
    ("rototo-source", &["rototo-engine", "rototo-api"]),
    ("rototo-connection", &["rototo-api"]),
    ("rototo-protocol", &["rototo-engine", "rototo-api"]),
    ("rototo-page", &["rototo-api"]),
    ("rototo-client", EVERY_LIBRARY),
    ("rototo-operator", OPERATOR_LIBRARIES),
    ("rototo-lsp", &["rototo-engine", "rototo-lua", "rototo-source"]),
    ("rototo-cli", CLI_LIBRARIES),
    ("rototo-agent", &["rototo-client", "rototo-connection"]),
    ("rototo-openfeature", &["rototo-client"]),
    ("degradation-service", &["rototo-client"]),
    // A contributor waits for xtask to compile before any output appears.
    ("xtask", &[]),
];

const EVERY_LIBRARY: &[&str] =
    &["rototo-engine", "rototo-source", "rototo-api", "rototo-connection", "rototo-protocol", "rototo-lua"];

const OPERATOR_LIBRARIES: &[&str] = &[
    "rototo-engine",
    "rototo-source",
    "rototo-api",
    "rototo-connection",
    "rototo-protocol",
    "rototo-lua",
    "rototo-page",
];

const CLI_LIBRARIES: &[&str] = &[
    "rototo-engine",
    "rototo-source",
    "rototo-api",
    "rototo-connection",
    "rototo-protocol",
    "rototo-lua",
    "rototo-lsp",
    "rototo-page",
];

/// The packages that may depend on a foreign crate. `Optional`: only behind a feature.
const ONLY_IN: &[(&str, &[(&str, Needed)])] = &[
    ("mlua", &[("rototo-lua", Always)]),
    // A service that links the client compiles Lua only if it asks for it.
    (
        "rototo-lua",
        &[
            ("rototo-client", Optional),
            ("rototo-operator", Always),
            ("rototo-lsp", Always),
            ("rototo-cli", Always),
            ("rototo-differential", Always),
        ],
    ),
    ("kube", KUBERNETES),
    ("k8s-openapi", KUBERNETES),
    (
        "anyhow",
        &[
            ("rototo-operator", Always),
            ("rototo-agent", Always),
            ("rototo-cli", Always),
            ("degradation-service", Always),
            ("xtask", Always),
            ("rototo-tests", Always),
            ("rototo-benches", Always),
        ],
    ),
    (
        "clap",
        &[
            ("rototo-operator", Always),
            ("rototo-agent", Always),
            ("rototo-cli", Always),
            ("xtask", Always),
            ("rototo-tests", Always),
            ("rototo-benches", Always),
            ("rototo-simulator", Always),
        ],
    ),
];

const KUBERNETES: &[(&str, Needed)] = &[
    ("rototo-api", Optional),
    ("rototo-connection", Always),
    ("rototo-client", Optional),
    ("rototo-operator", Always),
    ("rototo-cli", Always),
    ("rototo-tests", Always),
    ("rototo-benches", Always),
];

/// The crates on which the engine may depend: none that does I/O, or reads the time, random numbers, or the
/// environment.
const ENGINE_MAY_USE: &[&str] =
    &["serde", "serde_json", "toml", "jsonschema", "sha2", "thiserror", "foldhash", "hashbrown"];

/// The libraries, whose callers decide upon errors. A program such as the CLI only prints them.
const LIBRARIES: &[&str] = &[
    "engine",
    "lua",
    "source",
    "api",
    "connection",
    "protocol",
    "client",
    "operator",
    "agent",
    "openfeature",
    "lsp",
    "page",
];

#[derive(Clone, Copy, PartialEq)]
enum Needed {
    Always,
    Optional,
}
use Needed::{Always, Optional};

struct Dependency {
    of: String,
    on: String,
    optional: bool,
}

/// Returns the dependencies of our packages outside of their tests.
fn dependencies() -> Vec<Dependency> {
    let metadata = cargo::metadata().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let of_package = |package: &Value| {
        let of = text(&package["name"]);
        let all = package["dependencies"].as_array().unwrap().clone();
        let regular = all.into_iter().filter(|dependency| dependency["kind"] != "dev");
        regular.map(move |dependency| Dependency {
            of: of.clone(),
            on: text(&dependency["name"]),
            optional: dependency["optional"] == true,
        })
    };
    packages.iter().flat_map(of_package).collect()
}

#[test]
fn our_packages_import_each_other_only_as_the_page_allows() {
    let dependencies = dependencies();
    let ours: BTreeSet<_> = cargo::metadata().unwrap()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| package["name"].as_str().unwrap().to_owned())
        .collect();
    for Dependency { of, on, .. } in dependencies.iter().filter(|dependency| ours.contains(&dependency.on)) {
        let allowed = MAY_IMPORT.iter().find(|(package, _)| package == of).map(|(_, allowed)| *allowed);
        assert!(allowed.is_none_or(|allowed| allowed.contains(&on.as_str())), "{of} must not import {on}");
    }
}

#[test]
fn kubernetes_and_anyhow_stay_in_the_packages_that_may_use_them() {
    for Dependency { of, on, optional } in dependencies() {
        let Some((_, places)) = ONLY_IN.iter().find(|(name, _)| *name == on) else { continue };
        let place = places.iter().find(|(package, _)| *package == of);
        let (_, needed) = place.unwrap_or_else(|| panic!("{of} must not depend on {on}"));
        assert!(*needed == Always || optional, "{of} may depend on {on} only behind a feature");
    }
}

#[test]
fn the_engine_depends_on_no_crate_that_reaches_outside() {
    for Dependency { on, .. } in dependencies().iter().filter(|dependency| dependency.of == "rototo-engine") {
        assert!(
            ENGINE_MAY_USE.contains(&on.as_str()),
            "rototo-engine depends on {on}, which ENGINE_MAY_USE does not list"
        );
    }
}

#[test]
fn libraries_have_errors_of_their_own() {
    for library in LIBRARIES {
        for (path, text) in rust_files(&cargo::root().join(library).join("src")) {
            assert!(!text.contains("anyhow") || path.ends_with("main.rs"), "{library}/src/{path} names anyhow");
        }
    }
}
