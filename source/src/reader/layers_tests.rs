use std::collections::BTreeMap;

use crate::credentials::Credentials;
use crate::reader::layers::*;

fn layer(source: &str) -> Layer {
    let keys = BTreeMap::from([("bearerToken".to_owned(), b"hunter2".to_vec())]);
    Layer::new(Access::new(source.parse().unwrap(), Credentials::from_keys(&keys).unwrap()), None)
}

fn named(child: &str, extends: &str) -> Result<Vec<Parent>, LayerFault> {
    let manifest = format!("schema_version = 1\nextends = {extends}\n").into_bytes();
    let tree: Tree = [("rototo-workspace.toml".to_owned(), manifest)].into_iter().collect();
    match parents(&layer(child), &tree) {
        Ok(named) => Ok(named.into_iter().map(|(_, parent)| parent).collect()),
        Err((_, fault)) => Err(fault),
    }
}

fn check(child: &str, parent: &str, expected: &str) {
    let named = named(child, &format!("[{parent:?}]"));
    let found = match named.as_deref() {
        Ok([Parent::Inside(layer)]) => format!("inside {}", layer.source()),
        Ok([Parent::Elsewhere(access)]) if access.credentials().is_empty() => format!("elsewhere {}", access.source()),
        Ok([Parent::Elsewhere(access)]) => format!("same host {}", access.source()),
        Ok(other) => format!("{other:?}"),
        Err(LayerFault::Leaves(_)) => "leaves".to_owned(),
        Err(other) => other.to_string(),
    };
    assert_eq!(found, expected, "{child} extends {parent}");
}

#[test]
fn a_relative_parent_stands_in_the_same_source() {
    check("/srv/prod", "../base", "inside /srv/prod/../base");
    check("git+https://h/r.git#main:envs/prod", "../base", "inside git+https://h/r.git#main:envs/base");
    check("git+https://h/r.git#main:envs/prod", "layers/x", "inside git+https://h/r.git#main:envs/prod/layers/x");
    check("git+https://h/r.git#main:envs", "..", "inside git+https://h/r.git#main");
    check("https://h/a.tar.gz#:prod", "../base", "inside https://h/a.tar.gz#:base");
}

#[test]
fn a_parent_that_leaves_a_fetched_source_is_refused() {
    for child in ["git+https://h/r.git#main:prod", "git+ssh://h/r.git", "git+file:///srv/r.git", "https://h/a.zip"] {
        for parent in ["../../base", "/etc", "file:///etc", "git+file:///srv/r.git"] {
            check(child, parent, "leaves");
        }
    }
}

#[test]
fn credentials_go_to_parents_of_the_same_owner_alone() {
    check("git+https://h/r.git", "git+https://h/s.git#v1", "same host git+https://h/s.git#v1");
    check("git+https://h/r.git", "https://h/s.zip", "same host https://h/s.zip");
    check("git+https://h/acme/r.git", "git+https://h/acme/s.git", "same host git+https://h/acme/s.git");
    check("git+https://h/acme/r.git", "git+https://h/other/s.git", "elsewhere git+https://h/other/s.git");
    check("git+https://h/r.git", "git+ssh://h/s.git", "elsewhere git+ssh://h/s.git");
    check("git+https://h/r.git", "git+https://other/s.git", "elsewhere git+https://other/s.git");
    check("git+https://h/r.git", "git+https://h:444/s.git", "elsewhere git+https://h:444/s.git");
}

#[test]
fn an_invalid_parent_is_named_by_its_number() {
    let error = named("/srv/prod", "[\"../base\", \"\"]").unwrap_err();
    assert!(error.to_string().contains("entry 2 of `extends`"), "{error}");
    let error = named("/srv/prod", "[1, \"\"]").unwrap_err();
    assert!(error.to_string().contains("entry 2 of `extends`"), "an entry that is no text counts: {error}");
    let error = named("/srv/prod", "[\"git+http://hunter2@h/r.git\"]").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(named("/srv/prod", "[\"kubernetes:///a\"]").is_err());
}

#[test]
fn only_a_manifest_with_parents_has_layers() {
    for manifest in ["schema_version = 1\n", "extends = []\n", "# extends = [\"a\"]\n", "not toml", "extends = 1"] {
        let tree: Tree = [("rototo-workspace.toml".to_owned(), manifest.into())].into_iter().collect();
        assert_eq!(parents(&layer("/srv"), &tree), Ok(Vec::new()), "{manifest}");
    }
}

#[test]
fn a_walk_ends_at_a_circle_and_at_the_limit() {
    let source = |name: &str| -> Source { name.parse().unwrap() };
    let mut walk = Walk::default();
    for name in ["x", "a", "b"] {
        walk.enter(source(name)).unwrap();
    }
    assert_eq!(walk.enter(source("a")), Err(LayerFault::Cycle("a → b → a".to_owned())));

    let mut walk = Walk::default();
    for index in 0..MAX_LAYERS {
        walk.enter(source(&index.to_string())).unwrap();
        if index % 2 == 0 {
            walk.leave(layer("/srv"));
        }
    }
    assert_eq!(walk.enter(source("one more")), Err(LayerFault::TooMany { limit: MAX_LAYERS }));
}

#[test]
fn a_parent_far_below_is_named_by_its_number() {
    let error = named(&format!("git+https://h/r.git#main:{}", "a".repeat(1000)), "[\"base/of/all/of/the/others\"]");
    assert!(error.unwrap_err().to_string().contains("1024 bytes"));
}

#[test]
fn the_port_that_a_scheme_implies_is_no_other_host() {
    check("git+https://h/acme/r.git", "git+https://h:443/acme/s.git", "same host git+https://h:443/acme/s.git");
    let keys = BTreeMap::from([
        ("bearerToken".to_owned(), b"hunter2".to_vec()),
        ("repositories".to_owned(), b"https://h:443/platform".to_vec()),
    ]);
    let credentials = Credentials::from_keys(&keys).unwrap();
    let parent = "git+https://h/platform/base.git".parse().unwrap();
    assert_eq!(credentials.for_parent(&"git+https://h/acme/r.git".parse().unwrap(), &parent), credentials);
}

#[test]
fn credentials_that_a_parent_lacks_are_no_reason_for_the_fault_of_its_own_parent() {
    let access = |source: &str| Access::from(source.parse::<Source>().unwrap());
    let child = layer("git+https://h/acme/r.git");
    let denied = || SourceFault::Git(crate::error::GitFault::AccessDenied("401".to_owned()));
    let base = of_parent(&"git+https://other/base.git".parse().unwrap(), denied());
    let fault = of_parent_without(child.access(), &access("git+https://h/public/s.git"), base.clone());
    assert_eq!(fault, base);
    let own = of_parent_without(child.access(), &access("git+https://h:443/public/s.git"), denied());
    assert_eq!(own.code(), "extends_other_owner");
}

#[test]
fn a_layer_whose_manifest_cannot_be_read_is_refused() {
    let check = |manifest: &str| {
        let tree: Tree = [("rototo-workspace.toml".to_owned(), manifest.into())].into_iter().collect();
        check_manifest(&layer("/srv/base"), &tree).map_err(|fault| fault.to_string())
    };
    for manifest in [
        "schema_version = 1\nextends = \"../root\"\n",
        "schema_version = 1\nextends = [\"../root\"\n",
        "<<<<<<< HEAD\nschema_version = 1\n",
        "schema_version = 1\n[[extends]]\nsource = \"../root\"\n",
        "schema_version = 1\nextends = [\"../root\", 5]\n",
        "schema_version = 2\nextends = [\"../root\"]\n",
        "schema_version = \"1\"\n",
    ] {
        let error = check(manifest).expect_err(manifest);
        assert!(error.starts_with("its layer /srv/base has a `rototo-workspace.toml` that can't be read"), "{error}");
    }
    let readable = [
        "schema_version = 1\nextends = [\"../root\"]\n",
        "schema_version = 1\n",
        // Nothing is left out of a layer that does not declare the version.
        "extends = [\"../root\"]\n",
        "# The base of all teams.\n",
        "",
    ];
    for manifest in readable {
        assert_eq!(check(manifest), Ok(()), "{manifest}");
    }
}
