//! Reads directories of this machine.

#![allow(clippy::unwrap_used)]

mod support;

use rototo_source::{Limits, Reader, ReaderOptions, Source};
use support::{MANIFEST, paths, read, reader, tree, write_directory};

fn local(path: &std::path::Path) -> Source {
    path.to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_directory_has_its_documents_and_no_revision() {
    let files = [MANIFEST, ("variables/a.toml", "a"), ("variables/nested/b.toml", "b"), ("README.md", "hello")];
    let (_directory, path) = write_directory(&files);
    let (pinned, fetched) = reader().read(&local(&path)).await.unwrap();
    assert_eq!(fetched.fingerprint(), tree(&files).fingerprint());
    assert_eq!(paths(&fetched), ["rototo-workspace.toml", "variables/a.toml"]);
    assert!(pinned.revision().is_none() && !pinned.immutable());
    let uri: Source = format!("file://{}", path.display()).parse().unwrap();
    assert_eq!(read(&reader(), &uri).await.unwrap().fingerprint(), fetched.fingerprint());
}

/// The reader looks into the manifest for the layers below, before lint does.
#[tokio::test]
async fn a_manifest_whose_keys_nest_without_end_is_left_to_lint() {
    let key = vec!["a"; 100_000].join(".");
    let part = format!("{} = ", vec!["a"; 79].join("."));
    let tables = format!("{}1{}", format!("{{ {part}").repeat(79), " }".repeat(79));
    for manifest in [
        format!("{key} = 1\n"),
        format!("extends = [{{ {key} = 1 }}]\n"),
        format!("[{key}]\n{part}{tables}\n"),
        format!("x = 1\n{part}{tables}\n"),
        "[".repeat(1 << 20),
    ] {
        let (_directory, path) = write_directory(&[("rototo-workspace.toml", &manifest)]);
        let read = read(&reader(), &local(&path)).await.unwrap();
        let lint = rototo_engine::lint(&rototo_engine::parse(read));
        assert_eq!(&*lint.diagnostics[0].rule, "rototo/workspace-manifest-parse-failed");
    }
}

#[tokio::test]
async fn what_stands_beside_the_documents_reaches_lint() {
    let variable = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1 }\nresolve = { default = \"a\" }\n";
    let (_directory, path) = write_directory(&[
        MANIFEST,
        ("Variables/a.toml", variable),
        ("variables/b.TOML", variable),
        ("variables/team/c.toml", variable),
        ("qualifier/d.toml", "schema_version = 1"),
        ("docs/e.toml", ""),
        ("node_modules/schema/f.json", ""),
    ]);
    let found = support::beside(&read(&reader(), &local(&path)).await.unwrap());
    assert_eq!(found, ["error Variables", "warning qualifier", "error variables/b.TOML", "warning variables/team"]);
}

#[tokio::test]
async fn links_are_refused_where_a_document_would_stand() {
    let (_directory, path) = write_directory(&[MANIFEST, ("elsewhere/a.toml", "a")]);
    std::os::unix::fs::symlink("nowhere", path.join("README.md")).unwrap();
    assert!(read(&reader(), &local(&path)).await.is_ok());
    std::os::unix::fs::symlink("elsewhere", path.join("variables")).unwrap();
    assert_eq!(read(&reader(), &local(&path)).await.unwrap_err().code(), "not_a_file");
}

#[tokio::test]
async fn limits_are_checked_before_anything_is_read() {
    let (_directory, path) = write_directory(&[MANIFEST, ("variables/a.toml", "a"), ("variables/b.toml", "b")]);
    // The file is sparse, so that only its size is large.
    std::fs::File::create(path.join("variables/c.toml")).unwrap().set_len(1 << 40).unwrap();
    let code = async |limits| {
        let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
        read(&reader, &local(&path)).await.unwrap_err().code()
    };
    assert_eq!(code(Limits::default()).await, "too_large");
    assert_eq!(code(Limits { entries: 1, ..Limits::default() }).await, "too_many_entries");
}

#[tokio::test]
async fn a_missing_directory_is_an_error_that_names_it() {
    let (_directory, path) = write_directory(&[MANIFEST]);
    for wrong in ["missing", "rototo-workspace.toml"] {
        let error = read(&reader(), &local(&path.join(wrong))).await.unwrap_err();
        assert_eq!(error.code(), "no_directory");
        assert!(error.to_string().contains(wrong), "{error}");
    }
}

#[tokio::test]
async fn kinds_of_source_that_are_not_read_are_refused_by_name() {
    let followed = "kubernetes:///a".parse().unwrap();
    assert_eq!(read(&reader(), &followed).await.unwrap_err().code(), "not_readable");
}

#[tokio::test]
async fn a_directory_that_only_resembles_one_of_documents_costs_the_source_nothing() {
    let limits = Limits { entries: 10, ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    let names: Vec<String> = (0..1_500).map(|number| format!("Schemas/{number}.json")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "{}")).chain([MANIFEST]).collect();
    let (_directory, path) = write_directory(&files);
    let found = support::beside(&read(&reader, &local(&path)).await.unwrap());
    assert_eq!(found, ["error Schemas"]);
}

/// Writes a volume as the kubelet does: the files are in a directory of their own, to which links lead.
fn volume(files: &[(&str, &str)]) -> (tempfile::TempDir, std::path::PathBuf) {
    let in_data: Vec<(String, &str)> =
        files.iter().map(|(path, text)| (format!("..2026_01_01/{path}"), *text)).collect();
    let in_data: Vec<(&str, &str)> = in_data.iter().map(|(path, text)| (&**path, *text)).collect();
    let (directory, path) = write_directory(&in_data);
    std::os::unix::fs::symlink("..2026_01_01", path.join("..data")).unwrap();
    for name in ["rototo-workspace.toml", "variables"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), path.join(name)).unwrap();
    }
    (directory, path)
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_read_through_its_link() {
    let files = [MANIFEST, ("variables/a.toml", "a")];
    let (_directory, path) = volume(&files);
    let reader = reader();
    let fetched = read(&reader, &local(&path)).await.unwrap();
    assert_eq!(fetched.fingerprint(), tree(&files).fingerprint());
    let manifest = rototo_source::read_document(&path, MANIFEST.0, &Limits::default()).unwrap();
    assert_eq!(manifest.as_deref(), Some(MANIFEST.1.as_bytes()));

    // The kubelet replaces the link in one step.
    std::fs::create_dir_all(path.join("..2026_01_02/variables")).unwrap();
    std::fs::write(path.join("..2026_01_02").join(MANIFEST.0), MANIFEST.1).unwrap();
    std::fs::write(path.join("..2026_01_02/variables/a.toml"), "b").unwrap();
    std::os::unix::fs::symlink("..2026_01_02", path.join("..data_tmp")).unwrap();
    std::fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    std::fs::remove_dir_all(path.join("..2026_01_01")).unwrap();
    let fetched = read(&reader, &local(&path)).await.unwrap();
    assert_eq!(&*fetched.get("variables/a.toml").unwrap().bytes, b"b");
}

#[tokio::test]
async fn only_a_link_inside_of_the_directory_makes_it_a_volume() {
    let (_elsewhere, other) = write_directory(&[MANIFEST, ("variables/a.toml", "a")]);
    let (_directory, path) = write_directory(&[MANIFEST, ("variables/b.toml", "b"), ("x/y/z.toml", "")]);
    for target in [&*other, "..".as_ref(), ".".as_ref(), "x/y".as_ref(), "nowhere".as_ref(), MANIFEST.0.as_ref()] {
        std::os::unix::fs::symlink(target, path.join("..data")).unwrap();
        assert_eq!(paths(&read(&reader(), &local(&path)).await.unwrap()), [MANIFEST.0, "variables/b.toml"]);
        std::fs::remove_file(path.join("..data")).unwrap();
    }
}
