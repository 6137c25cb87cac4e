use crate::snapshot::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn two_files() -> Tree {
    tree(&[("rototo-workspace.toml", "schema_version = 1\n"), ("variables/a.toml", "a")])
}

fn unpacked(bytes: &[u8], expected: &Tree, base: Option<&Tree>) -> Result<Tree, SnapshotError> {
    unpack(bytes, expected.fingerprint(), base, &Limits::default())
}

/// Makes an archive of these entries, as an attacker could.
fn forged(manifest: &serde_json::Value, files: &[(&str, &str)]) -> Vec<u8> {
    let manifest = manifest.to_string();
    let entries = std::iter::once((MANIFEST, manifest.as_bytes()));
    archive(entries.chain(files.iter().map(|(path, text)| (*path, text.as_bytes())))).unwrap()
}

fn manifest(tree: &Tree) -> serde_json::Value {
    let files: Vec<_> = tree
        .iter()
        .map(|(path, document)| {
            serde_json::json!({"path": &**path, "sha256": document.digest().to_string(),
            "size": document.bytes.len()})
        })
        .collect();
    serde_json::json!({"schema_version": 1, "fingerprint": tree.fingerprint().to_string(), "engine_level": 1,
        "files": files})
}

#[test]
fn the_same_tree_is_always_the_same_bytes() {
    let backwards = tree(&[("variables/a.toml", "a"), ("rototo-workspace.toml", "schema_version = 1\n")]);
    assert_eq!(pack(&two_files(), None).unwrap(), pack(&backwards, None).unwrap());
}

#[test]
fn a_snapshot_on_a_base_holds_only_what_differs() {
    let base = two_files();
    let long = "resources/".to_owned() + &"r".repeat(120) + ".toml";
    let next = tree(&[("rototo-workspace.toml", "schema_version = 1\n"), (&long, "new")]);
    let bytes = pack(&next, Some(&base)).unwrap();
    assert_eq!(unpacked(&bytes, &next, Some(&base)).unwrap().fingerprint(), next.fingerprint());
    let missing = SnapshotError::Incomplete("rototo-workspace.toml".to_owned());
    assert_eq!(unpacked(&bytes, &next, None).unwrap_err(), missing);
    let other = tree(&[("rototo-workspace.toml", "schema_version = 2\n")]);
    assert_eq!(unpacked(&bytes, &next, Some(&other)).unwrap_err(), missing);
}

#[test]
fn another_content_than_expected_is_refused() {
    let other = tree(&[("rototo-workspace.toml", "")]);
    let error = unpacked(&pack(&two_files(), None).unwrap(), &other, None).unwrap_err();
    assert!(matches!(error, SnapshotError::WrongContent { .. }), "{error}");
}

#[test]
fn damaged_bytes_are_refused_wherever_the_damage_is() {
    let tree = two_files();
    let bytes = pack(&tree, None).unwrap();
    for end in 0..bytes.len() {
        assert!(unpacked(&bytes[..end], &tree, None).is_err(), "cut at {end}");
    }
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0x40;
        // A change that does not affect the content, as in a header that nobody reads, is harmless.
        if let Ok(unpacked) = unpacked(&changed, &tree, None) {
            assert_eq!(unpacked.fingerprint(), tree.fingerprint());
        }
    }
}

#[test]
fn versions_and_engine_levels_of_the_future_are_refused_by_name() {
    let tree = two_files();
    let mut later = manifest(&tree);
    later["engine_level"] = 2.into();
    assert_eq!(unpacked(&forged(&later, &[]), &tree, None).unwrap_err(), SnapshotError::EngineTooOld(2));
    let later = serde_json::json!({"schema_version": 2});
    assert_eq!(unpacked(&forged(&later, &[]), &tree, None).unwrap_err(), SnapshotError::UnknownVersion(2));
}

#[test]
fn files_that_are_not_listed_or_are_no_documents_are_refused() {
    let tree = tree(&[("rototo-workspace.toml", "")]);
    let listed = manifest(&tree);
    for path in ["variables/a.toml", "../../etc/passwd", "/etc/passwd"] {
        // The writer of archives refuses such names itself, so the test covers only the names that it accepts.
        let entries = [(MANIFEST, listed.to_string()), (path, "x".to_owned())];
        let Ok(bytes) = archive(entries.iter().map(|(path, text)| (*path, text.as_bytes()))) else { continue };
        assert!(matches!(unpacked(&bytes, &tree, None), Err(SnapshotError::Damaged(_))), "{path}");
    }
    let mut climbing = listed;
    climbing["files"][0]["path"] = "../rototo-workspace.toml".into();
    assert!(matches!(unpacked(&forged(&climbing, &[]), &tree, None), Err(SnapshotError::Damaged(_))));
}

#[test]
fn a_snapshot_beyond_the_limits_is_refused_by_its_manifest_alone() {
    let tree = two_files();
    let limits = |unpacked_bytes, entries| Limits { unpacked_bytes, entries, ..Limits::default() };
    let bytes = pack(&tree, None).unwrap();
    let refused = |limits: &Limits| unpack(&bytes, tree.fingerprint(), None, limits).unwrap_err();
    assert_eq!(refused(&limits(10, 10)), ContentFault::TooLarge { limit: 10 }.into());
    assert_eq!(refused(&limits(1000, 1)), ContentFault::TooManyEntries { limit: 1 }.into());
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let tree = two_files();
    let bomb = "0".repeat(64 << 20);
    let mut listed = manifest(&tree);
    listed["files"][0]["size"] = bomb.len().into();
    let bytes = forged(&listed, &[("rototo-workspace.toml", &bomb)]);
    let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
    let error = unpack(&bytes, tree.fingerprint(), None, &limits).unwrap_err();
    assert_eq!(error, ContentFault::TooLarge { limit: 1 << 20 }.into());
}
