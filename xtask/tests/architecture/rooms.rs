//! Holds the modules of each package to the table "Rooms" of the page on architecture.
//!
//! A room is an entry of a package's `src/`: a folder, or a file. Imports are read as text: `crate::ROOM`, `use crate::{ROOM…}`, and
//! `super::` as far as it leads out of a room. Tests of a module may import anything.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use xtask::cargo;

use crate::sources::{code_of, rust_files};

/// By package folder and room: the rooms that it may import.
type Table = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads lines `| folder | room | rooms that it may import | what it is for |` below the heading "Rooms".
fn table() -> Table {
    let page = fs::read_to_string(cargo::root().join("ARCHITECTURE.md")).unwrap();
    let (_, rooms) = page.split_once("\n## Rooms\n").expect("ARCHITECTURE.md has a chapter `Rooms`");
    let rooms = rooms.split("\n## ").next().unwrap();
    let mut table = Table::new();
    for line in rooms.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [package, room, imports, ..] = cells[..] else { panic!("{line}") };
        let names = imports.split(',').map(|name| name.trim().trim_matches('`')).filter(|name| !name.is_empty());
        let rooms = table.entry(package.trim_matches(['`', '/']).to_owned()).or_default();
        rooms.insert(
            room.trim_matches(['`', '/']).to_owned(),
            names.map(|name| name.trim_end_matches('/').to_owned()).collect(),
        );
    }
    table
}

#[test]
fn rooms_import_each_other_only_as_the_page_says() {
    let mut wrong = Vec::new();
    for (package, allowed) in table() {
        let src = cargo::root().join(&package).join("src");
        let found = imports(&src);
        let there: BTreeSet<_> = found.keys().cloned().collect();
        let listed: BTreeSet<_> = allowed.keys().cloned().collect();
        assert_eq!(there, listed, "{package}/src and the table name different rooms");
        for (room, imported) in &found {
            for (other, place) in imported {
                if !allowed[room].contains(other) {
                    wrong.push(format!("{package}: {room} must not import {other}, as {place} does"));
                }
            }
            let unused = allowed[room].iter().filter(|other| !imported.contains_key(*other));
            wrong
                .extend(unused.map(|other| format!("{package}: the page lets {room} import {other}, and it does not")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rooms_of_a_package_are_no_circle() {
    for (package, mut rooms) in table() {
        while let Some(ground) = rooms.iter().find(|(_, imports)| imports.iter().all(|room| !rooms.contains_key(room)))
        {
            let ground = ground.0.clone();
            rooms.remove(&ground);
        }
        assert!(rooms.is_empty(), "{package}: these rooms import each other in a circle: {:?}", rooms.keys());
    }
}

#[test]
fn the_functions_on_the_way_of_a_change_and_of_a_report_exist() {
    let page = fs::read_to_string(cargo::root().join("ARCHITECTURE.md")).unwrap();
    let (_, way) = page.split_once("\n## The way of one change").expect("ARCHITECTURE.md has that chapter");
    let way = way.split("\n## ").next().unwrap();
    let steps = way.lines().filter_map(|line| {
        let (file, rest) = line.split_once("[`")?.1.split_once("`](")?;
        Some((file, rest.split_once(" `")?.1.split_once('`')?.0))
    });
    let missing: Vec<_> = steps
        .filter(|(file, function)| {
            let code = fs::read_to_string(cargo::root().join(file)).unwrap_or_default();
            !code.contains(&format!("fn {function}"))
        })
        .collect();
    assert!(missing.is_empty(), "no such file, or no such function in it: {missing:?}");
    assert!(way.lines().filter(|line| line.contains("[`")).count() > 15, "{way}");
}

/// By room: the rooms that it imports, each with a place.
fn imports(src: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let rooms: BTreeSet<String> =
        entries(src).into_iter().filter(|name| !["lib", "main"].contains(&name.as_str())).collect();
    let mut found: BTreeMap<String, BTreeMap<String, String>> =
        rooms.iter().map(|room| (room.clone(), BTreeMap::new())).collect();
    for (path, text) in rust_files(src) {
        let Some(room) = path.split('/').next().map(|first| first.trim_end_matches(".rs").to_owned()) else { continue };
        let Some(imported) = found.get_mut(&room) else { continue };
        if path.contains("/tests/")
            || ["tests.rs", "any_bytes.rs"].iter().any(|test| path.ends_with(test))
            || path.ends_with("_tests.rs")
        {
            continue;
        }
        for (number, line) in (1..).zip(code(&text).lines()) {
            for name in named(line).into_iter().filter(|name| *name != room) {
                if rooms.contains(name) {
                    imported.entry(name.to_owned()).or_insert_with(|| format!("{path}:{number}"));
                }
            }
            let depth = path.matches('/').count() + usize::from(!path.ends_with("/mod.rs"));
            assert!(
                !line.contains(&"super::".repeat(depth.max(1))) || depth == 0,
                "{path}:{number}: `super` leads out of the room"
            );
        }
    }
    found
}

/// Returns the names behind `crate::`: one, or a list.
fn named(line: &str) -> Vec<&str> {
    let word = |text: &'_ str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().len();
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split(',').map(|part| part.trim()).map(|part| &part[..word(part)])),
            None => names.push(&rest[..word(rest)]),
        }
    }
    names
}

/// Without comments and without the tests at the end. `use` trees are on one line, or begin with one name.
fn code(text: &str) -> String {
    let mut tests = text.match_indices("\n#[cfg(test)]\nmod ").map(|(at, _)| at);
    let tests = tests.find(|at| text[at + 1..].lines().nth(1).is_some_and(|line| line.ends_with('{')));
    code_of(&text[..tests.unwrap_or(text.len())])
}

fn entries(folder: &Path) -> Vec<String> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    all.map(|name| name.trim_end_matches(".rs").to_owned()).collect()
}
