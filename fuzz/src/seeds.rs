//! The seeds of fuzzing: the examples of all lint rules, a workspace that uses the whole format, and valid texts.

use std::io::Write;
use std::path::PathBuf;

use rototo_engine::DocumentKind;
use rototo_engine::lint::rules;
use rototo_source::snapshot;

use crate::snapshots::wanted;
use crate::workspaces::{FILES, FILE_HEADER};

/// Writes the seeds of `target` into the directory that `ROTOTO_FUZZ_SEEDS` names, if it names one.
pub fn write(target: &str) {
    let Some(directory) = std::env::var_os("ROTOTO_FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (number, seed) in seeds(target).iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{number}")), seed).expect("the directory of seeds can be written");
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    match target {
        "manifest" => documents(|kind, _| kind == DocumentKind::Manifest),
        "variable" => documents(|kind, _| kind == DocumentKind::Variable),
        "qualifier" => documents(|kind, _| kind == DocumentKind::Qualifier),
        "resource" => documents(|kind, _| kind == DocumentKind::Resource),
        "object" => documents(|kind, _| kind == DocumentKind::ResourceObject),
        "schema" => {
            let mut all = documents(|kind, _| kind == DocumentKind::Schema);
            all.extend(SCHEMAS.iter().map(|text| text.as_bytes().to_vec()));
            all
        }
        "context_schema" => documents(|_, path| path.ends_with("context.schema.json")),
        "workspace" => workspaces().iter().map(|files| joined(files)).collect(),
        "source_string" => texts(SOURCES),
        "marker" => texts(MARKERS),
        "fleet_report" => texts(REPORTS),
        "context_argument" => texts(CONTEXTS),
        "snapshot" => vec![snapshot::pack(wanted(), None).expect("a valid workspace is packed")],
        "tar_archive" => vec![tar()],
        "zip_archive" => vec![zip()],
        _ => Vec::new(),
    }
}

fn workspaces() -> Vec<&'static [(&'static str, &'static str)]> {
    rules().iter().flat_map(|rule| [rule.bad, rule.good]).chain([FILES]).collect()
}

fn documents(wanted: impl Fn(DocumentKind, &str) -> bool) -> Vec<Vec<u8>> {
    let mut all: Vec<&str> = workspaces()
        .into_iter()
        .flatten()
        .filter(|(path, _)| DocumentKind::at(path).is_some_and(|kind| wanted(kind, path)))
        .map(|(_, text)| *text)
        .collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn joined(files: &[(&str, &str)]) -> Vec<u8> {
    files.iter().map(|(path, text)| format!("{FILE_HEADER}{path}\n{text}\n")).collect::<String>().into_bytes()
}

fn tar() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in FILES {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, path, text.as_bytes()).expect("a file is added");
    }
    archive.into_inner().expect("an archive is written")
}

fn zip() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, text) in FILES {
        archive.start_file(*path, zip::write::SimpleFileOptions::default()).expect("a file is added");
        archive.write_all(text.as_bytes()).expect("a file is written");
    }
    archive.finish().expect("an archive is written").into_inner()
}

const SCHEMAS: &[&str] = &[
    r##"{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}, {"$ref": "#"}]}, "b": {"type": "object"}}}"##,
    r#"{"properties": {"v": {"pattern": "^(?=a)[a-z]{1,3}\\d+$", "minLength": 1}}, "unevaluatedProperties": false}"#,
    r##"{"$id": "https://a/b", "$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "oneOf": [{"const": 1}, {"enum": [2]}]}"##,
    r#"{"if": {"required": ["n"]}, "then": {"maxProperties": 9}, "else": {"not": {}}, "dependentSchemas": {"n": {"contains": {}}}}"#,
];

const SOURCES: &[&str] = &[
    ".",
    "/srv/config",
    "file:///srv/config",
    "git+file:///srv/config.git#main:envs/prod",
    "git+https://user@host:8443/org/config.git#refs/heads/main:envs/prod",
    "git+ssh://git@host/org/config.git#9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d",
    "https://host/config.tar.gz#:envs/prod",
    "https://[::1]/config.zip?x=y",
    "kubernetes://prod/checkout",
    "kubernetes:///checkout",
];

const MARKERS: &[&str] = &[
    r#"{"schema_version":1,"fingerprint":"sha256:9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d","updated_at":"2026-11-20T18:40:00.123456Z"}"#,
    r#"{"schema_version":1,"removed":true,"updated_at":"2026-11-20T18:40:00.123456Z"}"#,
    r#"{"schema_version":2}"#,
];

const REPORTS: &[&str] = &[
    r#"{"process":"a","version":"0.1.0","engine_level":1,"state":"applied","fingerprint":"sha256:9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d","updated_at":"2026-11-20T18:40:00.123456Z"}"#,
    r#"{"fingerprint":null,"revision":"main@sha1:00","verified_ms_ago":1,"stale_after_ms":2,"next_report_in_ms":3}"#,
];

const CONTEXTS: &[&str] = &["account.id=acct-001\nn=1\nl=[1]\nt=\"1\"", "{\"a\": {\"x\": 1}}\na.y=2\na=1\na.b=2"];
