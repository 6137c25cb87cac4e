//! The list of what an image or a program consists of, as CycloneDX: the packages of Debian, and the crates that are linked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Context;
use serde_json::{Value, json};

use super::build::{self, Revision};
use super::content::Image;
use super::debian::{RELEASE, Unpacked};
use super::platform::Platform;
use crate::cargo::{self, cargo};
use crate::command;

/// Crates that only a build needs, and that bring C code which it links.
const BRING_C_CODE: [&str; 1] = ["lua-src"];

/// A crate in a program.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    licence: String,
    is_ours: bool,
}

/// Makes the list for an image.
pub(crate) fn list(
    image: &Image,
    platform: Platform,
    version: &str,
    revision: &Revision,
    packages: &[&Unpacked],
) -> anyhow::Result<Value> {
    let crates = crate_components(image.name, platform.rust_target())?;
    let system = json!({"type": "operating-system", "bom-ref": "debian", "name": "debian", "version": RELEASE});
    let packages = packages.iter().map(|unpacked| package(unpacked));
    let components: Vec<Value> = std::iter::once(system).chain(packages).chain(crates).collect();
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": metadata("container", image.name, version, revision, &platform.to_string())?,
        "components": components,
    }))
}

/// Makes the list for a program that needs nothing of the system: the crates of `package`.
pub(crate) fn list_of_program(
    program: &str,
    package: &str,
    target: &str,
    version: &str,
    revision: &Revision,
) -> anyhow::Result<Value> {
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": metadata("application", program, version, revision, target)?,
        "components": crate_components(package, target)?,
    }))
}

fn metadata(kind: &str, name: &str, version: &str, revision: &Revision, platform: &str) -> anyhow::Result<Value> {
    Ok(json!({
        "timestamp": revision.time,
        "component": {
            "type": kind, "bom-ref": name, "name": name, "version": version,
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
        },
        "properties": [
            {"name": "rototo:revision", "value": revision.name},
            {"name": "rototo:platform", "value": platform},
            {"name": "rototo:compiler", "value": build::compiler()?},
        ],
    }))
}

fn crate_components(package: &str, target: &str) -> anyhow::Result<Vec<Value>> {
    let lock = fs::read_to_string(cargo::root().join("Cargo.lock")).context("read Cargo.lock")?;
    let checksums = checksums(&lock);
    Ok(linked(package, target)?.iter().map(|linked| component(linked, &checksums)).collect())
}

fn package(unpacked: &Unpacked) -> Value {
    let package = &unpacked.package;
    let (source, source_version) = unpacked.source();
    let architecture = package.platform.architecture();
    let (name, version) = (encoded(&package.name), encoded(&package.version));
    let purl = format!("pkg:deb/debian/{name}@{version}?arch={architecture}&distro=debian-{RELEASE}");
    json!({
        "type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
        "properties": [
            {"name": "rototo:source-package", "value": source},
            {"name": "rototo:source-version", "value": source_version},
        ],
    })
}

fn component(linked: &Crate, checksums: &BTreeMap<(String, String), String>) -> Value {
    let Crate { name, version, licence, is_ours } = linked;
    let mut component = json!({"type": "library", "name": name, "version": version});
    if !licence.is_empty() {
        component["licenses"] = json!([{"expression": licence}]);
    }
    if *is_ours {
        component["bom-ref"] = json!(format!("{name}@{version}"));
        return component;
    }
    let purl = format!("pkg:cargo/{}@{}", encoded(name), encoded(version));
    component["bom-ref"] = json!(purl);
    component["purl"] = json!(purl);
    if let Some(checksum) = checksums.get(&(name.clone(), version.clone())) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

/// Returns the crates that are linked into the program of a package, without procedural macros and build scripts.
fn linked(package: &str, target: &str) -> anyhow::Result<BTreeSet<Crate>> {
    let tree = |edges: &str| {
        let mut tree = cargo(["tree", "--locked", "--prefix", "none", "--format", "{p}|{l}", "--edges", edges]);
        tree.args(["--package", package, "--target", target]);
        anyhow::Ok(crates(&command::output(&mut tree)?))
    };
    let mut all = tree("normal,no-proc-macro")?;
    let with_builds = tree("normal,build,no-proc-macro")?;
    all.extend(with_builds.into_iter().filter(|linked| BRING_C_CODE.contains(&linked.name.as_str())));
    Ok(all)
}

/// Reads lines such as `serde v1.0.229|MIT OR Apache-2.0`; behind the version stands a path, if the crate is ours.
fn crates(tree: &str) -> BTreeSet<Crate> {
    let line = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let is_ours = words.any(|word| word.starts_with("(/"));
        // Until 2020 a licence could be written with a slash.
        let licence = licence.trim_end_matches(" (*)").replace('/', " OR ");
        Some(Crate { name: name.to_owned(), version: version.to_owned(), licence, is_ours })
    };
    tree.lines().filter_map(line).collect()
}

/// Reads the checksums from Cargo.lock, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.map(|value| value.trim_end_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    let all =
        blocks.filter_map(|block| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?)));
    all.collect()
}

/// Encodes a part of a package URL.
fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::content::IMAGES;
    use super::*;

    #[test]
    fn a_tree_is_read_line_by_line() {
        let tree = "rototo-operator v0.1.0 (/work/operator)|MIT OR Apache-2.0\nserde v1.0.229|MIT/Apache-2.0 (*)\n\n";
        let read: Vec<_> = crates(tree).into_iter().collect();
        let of = |name: &str, version: &str, is_ours| Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
            is_ours,
        };
        assert_eq!(read, [of("rototo-operator", "0.1.0", true), of("serde", "1.0.229", false)]);
    }

    #[test]
    fn versions_of_debian_are_encoded_in_package_urls() {
        assert_eq!(encoded("1:2.39.5-0+deb12u3"), "1%3A2.39.5-0%2Bdeb12u3");
    }

    #[test]
    fn each_crate_of_the_operator_has_a_checksum_unless_it_is_ours_and_lua_is_among_them() {
        let lock = fs::read_to_string(cargo::root().join("Cargo.lock")).unwrap();
        let (checksums, linked) = (checksums(&lock), linked(IMAGES[0].name, Platform::Amd64.rust_target()).unwrap());
        for linked in &linked {
            let key = (linked.name.clone(), linked.version.clone());
            assert_eq!(checksums.contains_key(&key), !linked.is_ours, "{linked:?}");
        }
        let names: Vec<&str> = linked.iter().map(|linked| linked.name.as_str()).collect();
        assert!(["lua-src", "ring", "rototo-engine"].iter().all(|name| names.contains(name)), "{names:?}");
        assert!(!names.contains(&"syn"), "{names:?}");
    }
}
