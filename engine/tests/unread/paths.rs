//! Files and directories beside those of the format, and paths that not every computer can hold.

use super::*;

#[test]
fn a_workspace_whose_directories_were_renamed_is_refused() {
    let mut renamed = Tree::default();
    renamed.insert(MANIFEST.0, MANIFEST.1.as_bytes());
    for path in ["Variables/v.toml", "qualifiers\\q.toml", "Schemas/context.schema.json"] {
        renamed.notice(path, PathKind::File);
    }
    let lint = lint(&parse(renamed));
    assert_eq!(lint.errors(), 3, "{lint:?}");
    assert_eq!(found(&lint)[1], "workspace-path-misnamed nothing reads `Variables`: it must be named `variables`");
    assert_eq!(lint.diagnostics[1].location.path, "Variables");
    assert_eq!(
        lint.diagnostics[1].masked_message(),
        "a path differs from one of the format only in case or separators"
    );
}

#[test]
fn what_stands_beside_the_documents_is_reported_once() {
    let nested = ["variables/team/a.toml", "variables/team/b.toml", "variables/team/deep/c.toml"];
    let nested: Vec<_> = nested.iter().map(|path| (*path, Some(VARIABLE))).collect();
    check(
        &nested,
        &["workspace-path-unread nothing reads the directory `variables/team`: documents stand in `variables` itself"],
    );
    check(
        &[("variables/w.yaml", Some(""))],
        &["workspace-path-unread nothing reads `variables/w.yaml`: documents in `variables` end in `.toml`"],
    );
    check(
        &[("variables/w.toml.txt", Some(VARIABLE))],
        &["workspace-path-unread nothing reads `variables/w.toml.txt`: documents in `variables` end in `.toml`"],
    );
    check(
        &[("variable/w.toml", Some(VARIABLE))],
        &["workspace-path-unread nothing reads `variable`; is `variables` meant?"],
    );
    check(
        &[("resources/plan-objects/a.toml", Some("")), ("resources/plan-objects/b.toml", Some(""))],
        &[
            "workspace-path-unread nothing reads the objects in `resources/plan-objects`: there is no `resources/plan.toml`",
        ],
    );
}

#[test]
fn a_repository_around_the_workspace_is_no_finding() {
    check(
        &[
            ("README.md", Some("")),
            ("package.json", Some("{}")),
            ("ownership.toml", Some("")),
            (".github/workflows/ci.yaml", Some("")),
            ("src/schemas/a.json", Some("{}")),
            ("tests/fixtures/a.toml", Some("")),
            ("Resources/logo.png", Some("")),
            ("variables/README.md", Some("")),
            ("variables/._v.toml", Some("\0\u{5}\u{16}\u{7}")),
            ("variables/.DS_Store", Some("")),
            ("qualifiers/.taplo.toml", Some("")),
            ("schemas/tests/a.json", Some("{}")),
            ("lint/selene.toml", Some("")),
        ],
        &[],
    );
}

#[test]
fn unread_paths_are_no_content_and_are_linted_anew() {
    let plain = tree(&[]);
    let mut beside = plain.clone();
    beside.notice("variables/v.TOML", PathKind::File);
    assert_eq!(beside.fingerprint(), plain.fingerprint());
    assert!(!beside.has_same_unread_paths(&plain));
    let orphan = tree(&[("resources/plan-objects/a.toml", Some(""))]);
    assert!(orphan.fingerprint() == plain.fingerprint() && !orphan.has_same_unread_paths(&plain));
    // The next version of the workspace was made from the last one.
    let next = beside.clone().after(&plain);
    assert!(next.has_same_unread_paths(&beside));
    let before = lint_after(&Default::default(), &parse(plain.clone()));
    let after = lint_after(&before, &parse_after(before.parsed(), next.clone()));
    assert_eq!((before.lint().errors(), after.lint().errors()), (0, 1));
    let healed = lint_after(&after, &parse_after(after.parsed(), plain.after(&next)));
    assert_eq!(healed.lint().errors(), 0);
    // Layers keep theirs.
    assert!(tree(&[]).over(&beside).has_same_unread_paths(&beside));
}

#[test]
fn thousands_of_unread_paths_are_a_hundred_findings() {
    let mut many = tree(&[]);
    (0..10_000).for_each(|number| many.notice(&format!("variables/{number}.yaml"), PathKind::File));
    let lint = lint(&parse(many));
    assert_eq!((lint.warnings(), lint.errors()), (101, 0));
    assert!(found(&lint).contains(&"workspace-path-unread nothing reads further paths: this lists 100".to_owned()));
}

#[test]
fn names_longer_than_a_file_system_holds_are_no_documents() {
    let name = "x".repeat(100_000);
    let lint = lint(&parse(tree(&[(&format!("variables/{name}.toml"), Some(VARIABLE))])));
    assert_eq!(lint.errors(), 1, "{:?}", found(&lint));
    assert!(found(&lint)[0].contains("a name has at most 255 bytes"), "{:?}", found(&lint));
    let text = serde_json::to_string(&lint.diagnostics).unwrap();
    assert!(text.len() < 4_000, "{}", text.len());
}

#[test]
fn what_tools_put_into_the_place_of_a_file_is_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let check = |path: &str, bytes: &[u8], expected: &str| {
        let mut tree = tree(&[]);
        tree.insert(path, bytes);
        let found = found(&lint(&parse(tree)));
        assert!(found.iter().any(|found| found.contains(expected)), "{path} {bytes:?}: {found:?}");
    };
    for path in ["variables/v.toml", "qualifiers/q.toml", MANIFEST.0, "schemas/context.schema.json"] {
        check(path, pointer.as_bytes(), "this is a pointer of Git LFS, not the file");
        check(path, b"\0GITCRYPT\0\x8f\x01", "encrypted by git-crypt");
        check(path, b"\xff\xfea\0 \0=\0", "UTF-16 text");
        check(path, b"<!DOCTYPE html><html>", "a web page");
        check(path, b"<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> other\n", "both sides of a merge");
    }
    let with_mark = format!("\u{feff}{CONTEXT}");
    assert_eq!(found(&lint(&parse(tree(&[("schemas/context.schema.json", Some(&with_mark))])))), Vec::<String>::new());
    let broken = "\u{feff}{\n  \"a\": ?\n}";
    let broken = lint(&parse(tree(&[("schemas/context.schema.json", Some(broken))])));
    assert!(broken.diagnostics.iter().any(|found| found.location.to_string().ends_with(".json:2:8")), "{broken:?}");
}

#[test]
fn a_path_that_windows_can_not_check_out_is_deceptive() {
    let found = |path: &str| {
        let mut tree = Tree::default();
        tree.insert("rototo-workspace.toml", *b"schema_version = 1");
        tree.insert(path, QUALIFIER.as_bytes());
        let found = lint(&parse(tree)).diagnostics.into_iter();
        let found: Vec<String> = found
            .filter(|found| found.rule == "rototo/workspace-name-deceptive" && found.location.path == path)
            .map(|found| found.message)
            .collect();
        assert!(found.len() <= 1, "{path}: {found:?}");
        found.into_iter().next().unwrap_or_default()
    };
    for (name, device) in [("aux", "aux"), ("con.x", "con"), ("COM1", "COM1"), ("lpt9", "lpt9"), ("NUL .a", "NUL")] {
        let expected = format!("Windows can't check the file out: `{device}` is the name of a device there");
        assert_eq!(found(&format!("qualifiers/{name}.toml")), expected, "{name}");
    }
    for letter in [':', '?', '"', '<', '>', '|', '*'] {
        let expected = format!("Windows can't check the file out: no name has `{letter}` there");
        assert_eq!(found(&format!("qualifiers/a{letter}b.toml")), expected);
    }
    for name in ["a ", " a"] {
        let path = format!("qualifiers/{name}.toml");
        assert_eq!(found(&path), "a name in the path begins or ends with a blank, which nobody sees", "{name}");
    }
    for name in ["auxiliary", "com", "com0", "com10", "console", "x.con", "lpt", "a b", "a'b", "größe", "prno", "null"]
    {
        assert_eq!(found(&format!("qualifiers/{name}.toml")), "", "{name}");
    }
}
