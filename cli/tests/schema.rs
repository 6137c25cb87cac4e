//! `rototo schema`, and the schemas against the example workspaces.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use rototo_engine::schemas::SchemaKind;
use support::{example, fails, json, prints};

#[test]
fn each_kind_is_printed_and_all_are_written() {
    for kind in SchemaKind::ALL {
        let printed: serde_json::Value =
            serde_json::from_str(&prints(&example(), &["schema", "--kind", kind.name()])).unwrap();
        assert_eq!(printed, kind.schema());
    }
    let directory = tempfile::tempdir().unwrap();
    let report = json(directory.path(), &["schema", "--out", ".schemas"]);
    assert_eq!(report["files"].as_array().unwrap().len(), SchemaKind::ALL.len());
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    for file in report["files"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str) {
        let written = std::fs::read_to_string(directory.path().join(".schemas").join(file)).unwrap();
        assert_eq!(written, std::fs::read_to_string(published.join(file)).unwrap(), "{file}");
    }
    let (code, text) = fails(&example(), &["schema", "--kind", "object"]);
    assert!(code == 2 && text.contains("manifest, variable, qualifier, resource, test"), "{text}");
    assert!(fails(&example(), &["schema"]).1.contains("name a --kind"));
}

#[test]
fn the_example_fits_the_schemas() {
    let mut checked = 0;
    for directory in ["", "variables", "qualifiers", "resources", "tests"] {
        for entry in std::fs::read_dir(example().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(example()).unwrap().display().to_string();
            let Some(kind) = SchemaKind::at(&name) else { continue };
            let document: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let document = serde_json::to_value(document).unwrap();
            let schema = kind.schema();
            let errors: Vec<String> = jsonschema::draft7::new(&schema)
                .unwrap()
                .iter_errors(&document)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            checked += 1;
        }
    }
    assert_eq!(checked, 7, "the manifest, a variable, three qualifiers, a resource, and a file of tests");
}
