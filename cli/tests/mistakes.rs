//! Mistakes in arguments and files get one clear sentence: the fault, the place, and the way out.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{example, fails, prints};

fn check(arguments: &[&str], expected: &str) {
    let (code, text) = fails(&example(), arguments);
    assert_ne!(code, 0);
    assert_eq!(text, expected, "{arguments:?}");
}

#[test]
fn a_decision_that_cannot_be_made_says_what_is_missing() {
    check(
        &["resolve", ".", "--variables"],
        "error: the context has no `service.queue_pressure`, which qualifier `high-queue-pressure` reads\n\
         help: add --context service.queue_pressure=VALUE\n",
    );
    check(
        &["resolve", ".", "--variable", "service-degradation"],
        "error: there is no variable `service-degradation`: did you mean `service-degradation-policy`?\n",
    );
}

#[test]
fn a_key_with_dots_is_named_with_the_way_to_nest_it() {
    let context = r#"{"service.queue_pressure": 3}"#;
    let message = "the context has no `service.queue_pressure`, which qualifier `high-queue-pressure` reads, although \
        `service.queue_pressure` is a key of it: a name with dots is a path of objects";
    let help = "help: write {\"service\": {\"queue_pressure\": VALUE}}, or --context service.queue_pressure=VALUE";
    for arguments in [["resolve", ".", "--variables"], ["inspect", ".", "--variables"]] {
        check(&[arguments.as_slice(), &["--context", context]].concat(), &format!("error: {message}\n{help}\n"));
    }
}

#[test]
fn a_source_that_is_never_read_is_refused_by_its_spelling() {
    for (source, expected) in [
        (
            "ftp://host/x",
            "`ftp` is not a known scheme: use a directory, or one of git+https, git+ssh, https, file, git+file",
        ),
        ("http://host/a.tar.gz", "`http` is not encrypted and not authenticated: use https, git+https or git+ssh"),
        ("git+https://host/r.git#--upload-pack=x", "the ref `--upload-pack=x` begins with `-`: no ref does"),
        (
            "git+https://host/r.git#main:../x",
            "the subdirectory `../x` climbs with `..`: write the path from the root of the source",
        ),
    ] {
        check(&["lint", source], &format!("error: {expected}\n"));
    }
}

#[test]
fn no_workspace_is_made_inside_another() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    prints(here, &["init", "w"]);
    for (place, new) in [("", "w/variables"), ("", "w/new/deep"), ("w", "new"), ("w/variables", ".")] {
        let (code, text) = fails(&here.join(place), &["init", new, "--variable", "y"]);
        assert!(code == 1 && text.contains(" is inside the workspace ") && text.contains(": name that"), "{text}");
    }
    assert!(!here.join("w/variables/rototo-workspace.toml").exists() && !here.join("w/new").exists());
    prints(&here.join("w/variables"), &["init", "..", "--variable", "y"]);
    prints(&here.join("w/variables"), &["init", "../../other"]);
}

#[test]
fn a_missing_ref_or_directory_of_a_source_is_named() {
    let repository = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let mut command = Command::new("git");
        assert!(command.current_dir(repository.path()).args(identity).args(arguments).status().unwrap().success());
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["commit", "--quiet", "--allow-empty", "-m", "nothing"]);
    let source = format!("git+file://{}", repository.path().display());
    for (part, what, help) in [
        ("#none", "no branch or tag named exactly `none`", "correct the part after `#`"),
        ("#main:no/such", "there is no directory `no/such`", "correct the part after the colon"),
    ] {
        let (code, text) = fails(repository.path(), &["lint", &format!("{source}{part}")]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((code, lines.len()), (1, 2), "{text}");
        assert!(lines[0].contains(&source) && lines[0].contains(what), "{text}");
        assert!(lines[1].starts_with(&format!("help: {help}")), "{text}");
    }
}

#[test]
fn the_remedy_of_a_missing_layer_is_that_of_its_entry() {
    for (entry, what, help) in [
        ("../nope", "it extends ./../nope, and `./../nope` does not exist", "help: correct the entry of `extends`"),
        ("a.txt", "it extends ./a.txt, and `./a.txt` is not a directory", "help: correct the entry of `extends`"),
        ("..\\\\base", "`./..\\\\base` does not exist: write `/` in place of `\\`", "help: correct the entry of"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.txt"), "").unwrap();
        let manifest = format!("schema_version = 1\nextends = [\"{entry}\"]\n");
        std::fs::write(directory.path().join("rototo-workspace.toml"), manifest).unwrap();
        let (code, text) = fails(directory.path(), &["lint", "."]);
        assert!(code == 1 && text.contains(&what.replace("\\\\", "\\")) && text.contains(help), "{text}");
        assert!(!text.contains("colon") && !text.contains("submodules"), "{text}");
    }
}

/// Makes a workspace whose variable `a` is the result of `make`.
fn with_variable(make: impl Fn(&Path)) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("variables");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(directory.path().join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
    make(&folder.join("a.toml"));
    directory
}

#[test]
fn a_document_that_is_a_link_is_named_and_not_followed() {
    let directory = with_variable(|path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap());
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let mut command = Command::new("git");
        assert!(command.current_dir(directory.path()).args(identity).args(arguments).status().unwrap().success());
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "a link"]);
    for source in [".", &format!("git+file://{}#main", directory.path().display())] {
        let (code, text) = fails(directory.path(), &["lint", source]);
        let sentence = "`variables/a.toml` is a link: a document is a plain file, and links are not followed";
        assert!(code == 1 && text.contains(sentence) && !text.contains("root:"), "{text}");
    }
}

#[test]
fn a_file_of_300_mib_is_refused_by_its_size() {
    let directory = with_variable(|path| std::fs::File::create(path).unwrap().set_len(300 << 20).unwrap());
    let (code, text) = fails(directory.path(), &["lint", "."]);
    let sentence = "its documents are larger than 209715200 bytes together: keep what is no configuration elsewhere";
    assert!(code == 1 && text.contains(sentence), "{text}");
}
