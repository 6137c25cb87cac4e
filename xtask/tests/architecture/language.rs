//! Checks that names and doc lines are plain technical English: no retired words in names, and few doc lines that open
//! with a question word in place of a subject.
use std::collections::BTreeMap;
use std::fs;

use xtask::cargo;

use crate::sources::{code_of, rust_files};

/// The question words. A doc line that opens with one names no subject: "What was written last" says less than "The
/// last written status".
const QUESTION_WORDS: [&str; 12] =
    ["What", "Who", "How", "Whether", "That", "Those", "Which", "Whose", "Whatever", "Whoever", "Whence", "Whom"];
/// The allowed share of such lines, in percent.
const ALLOWED_PERCENT: usize = 2;

#[test]
fn doc_lines_open_with_a_subject_or_a_verb() {
    let (mut all, mut found) = (0, BTreeMap::<String, Vec<String>>::new());
    for (path, text) in all_sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_start();
            let Some(line) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
            let Some(first) = line.split_whitespace().next() else { continue };
            all += 1;
            if QUESTION_WORDS.contains(&first.trim_end_matches([',', ':', '\''])) {
                found.entry(path.clone()).or_default().push(format!("{number}: {}", line.trim()));
            }
        }
    }
    let count: usize = found.values().map(Vec::len).sum();
    println!("{count} of {all} doc lines open with a question word ({:.1} %)", 100.0 * count as f64 / all as f64);
    assert!(count * 100 <= all * ALLOWED_PERCENT, "{count} of {all} doc lines open with a question word: {found:#?}");
}

#[test]
fn no_name_has_a_retired_word() {
    let retired = retired();
    assert!(retired.len() > 10, "docs/vocabulary.md lists no retired words");
    let mut found = Vec::new();
    for (path, text) in all_sources() {
        let code = code_of(&text);
        for (number, line) in (1..).zip(code.lines()) {
            for name in names(line) {
                for word in words(name) {
                    let Some(retired) = retired.get(&word) else { continue };
                    if !retired.except.iter().any(|except| path.starts_with(except) || except == name) {
                        found.push(format!("{path}:{number}: `{name}`: {word} → {}", retired.instead));
                    }
                }
            }
        }
    }
    found.dedup();
    assert!(found.is_empty(), "{} names have retired words:\n{}", found.len(), found.join("\n"));
}

/// Types that only their file knows may share a name, and so may the types of tests. A file `absent.rs` has the types of a
/// build without a feature.
#[test]
fn no_type_name_stands_for_two_concepts_in_one_crate() {
    let mut places = BTreeMap::<(String, String), Vec<String>>::new();
    for (path, text) in all_sources() {
        let Some((krate, file)) = path.split_once("/src/") else { continue };
        if ["tests.rs", "absent.rs"].iter().any(|end| file.ends_with(end)) {
            continue;
        }
        for name in code_of(&text).lines().filter_map(shared_type) {
            places.entry((krate.to_owned(), name.to_owned())).or_default().push(path.clone());
        }
    }
    assert!(places.len() > 500, "{}", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "type names with several meanings: {places:#?}");
}

/// Returns the name of the type that a line defines, if other files can see it.
fn shared_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = if rest.starts_with('(') { rest.split_once(')')?.1 } else { rest };
    let (kind, rest) = rest.trim_start().split_once(' ')?;
    let name = names(rest).next()?;
    ["struct", "enum", "trait", "type", "union"].contains(&kind).then_some(name)
}

#[test]
fn the_types_that_other_files_see_are_found() {
    assert_eq!(shared_type("    pub(crate) struct Marker<'a> {"), Some("Marker"));
    assert_eq!(shared_type("pub enum Verdict {"), Some("Verdict"));
    assert_eq!(shared_type("struct Private;"), None);
    assert_eq!(shared_type("pub fn of(step: Step) -> Self {"), None);
}

#[test]
fn names_are_split_into_words_and_comments_and_texts_are_left_out() {
    assert_eq!(words("LookError"), ["look", "error"]);
    assert_eq!(words("rings_soon"), ["rings", "soon"]);
    assert_eq!(words("AT_ONCE"), ["at", "once"]);
    assert_eq!(words("HTTPHead"), ["http", "head"]);
    let code = code_of("let a = \"look\"; // head\n/* sight\n */ let b = r#\"told \" \"#; 'c'; 'x: loop {}\n");
    let names: Vec<&str> = code.lines().flat_map(names).collect();
    assert_eq!(names, ["let", "a", "let", "b", "x", "loop"]);
}

/// A word that no name may contain.
struct Retired {
    instead: String,
    /// The folders, files, and names in which it may stay.
    except: Vec<String>,
}

/// Returns the list at the end of the page on vocabulary: "- `look` → poll", "- `head` → candidate; except
/// `source/tests/`: git's HEAD".
fn retired() -> BTreeMap<String, Retired> {
    let page = fs::read_to_string(cargo::root().join("docs/vocabulary.md")).unwrap();
    let (_, list) = page.split_once("\n## Retired words\n").expect("docs/vocabulary.md has a list of retired words");
    let line = |line: &str| {
        let (word, rest) = line.strip_prefix("- `")?.split_once("` → ")?;
        let (instead, except) = rest.split_once("; except ").unwrap_or((rest, ""));
        let except = except.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((word.to_owned(), Retired { instead: instead.to_owned(), except }))
    };
    list.lines().filter_map(line).collect()
}

fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| name.starts_with(|c: char| !c.is_numeric()))
}

/// Returns the words of a name in snake case or camel case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let letters: Vec<char> = name.chars().collect();
    let mut word = String::new();
    for (index, letter) in letters.iter().copied().enumerate() {
        let after_small = index > 0 && letters[index - 1].is_lowercase();
        let before_small = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        let begins = letter.is_uppercase() && (after_small || before_small);
        if (letter == '_' || begins) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter != '_' {
            word.extend(letter.to_lowercase());
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// Returns the Rust files of the repository with their paths in it.
fn all_sources() -> Vec<(String, String)> {
    let mut files = rust_files(cargo::root());
    // This file contains the words themselves.
    files.retain(|(path, _)| path != "xtask/tests/architecture/language.rs");
    files
}
