//! Generates the table of lint rules from `src/lint/rules/`. Each `mod` line of its `mod.rs` declares a rule:
//!
//! - `NAME.rs` holds its `CHECKS`.
//! - `NAME/doc.md` explains the rule; [`Doc`] shows the form.
//! - `NAME/bad/` is a workspace that has the fault, and `NAME/good/` is the same workspace without it. `NAME/both/`
//!   holds the files that the two share.
//!
//! A `doc.md` in another form, or a folder without a `mod` line, stops the build with its path.
#![allow(clippy::disallowed_methods, clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/lint/rules");
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let rules = manifest.join("src/lint/rules");
    let names = names(&text(&rules.join("mod.rs")));
    refuse_undeclared(&rules, &names);
    fs::write(out.join("rules.rs"), table(&rules, &names)).expect("OUT_DIR is writable");
}

/// Writes one static for each rule, `ALL` with the texts of all rules, and `TABLE` with their checks.
fn table(rules: &Path, names: &[String]) -> String {
    let (mut statics, mut all, mut table) = (String::new(), String::new(), String::new());
    for name in names {
        let doc = Doc::read(&rules.join(name).join("doc.md"));
        let (both, bad, good) = (files(rules, name, "both"), files(rules, name, "bad"), files(rules, name, "good"));
        let upper = name.to_uppercase();
        writeln!(
            statics,
            "pub(super) static {upper}: LintRule = LintRule {{ id: \"rototo/{}\", severity: Severity::{}, \
             entity: {:?}, stage: Stage::{}, \
             title: {:?}, why: {:?}, help: {:?}, bad: {}, good: {} }};",
            name.replace('_', "-"),
            capitalized(&doc.severity),
            doc.entity,
            capitalized(&doc.stage),
            doc.title,
            doc.why,
            doc.help,
            examples(&both, &bad),
            examples(&both, &good),
        )
        .unwrap();
        write!(all, "&{upper}, ").unwrap();
        write!(table, "(&{upper}, {name}::CHECKS), ").unwrap();
    }
    format!(
        "{statics}\npub(super) static ALL: &[&LintRule] = &[{all}];\n\n\
         pub(super) static TABLE: &[(&LintRule, &[Check])] = &[{table}];\n"
    )
}

/// The names of the rules that `mod.rs` declares, in its order.
fn names(module: &str) -> Vec<String> {
    let declared = module.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    declared.filter(|name| *name != "tests").map(str::to_owned).collect()
}

/// Fails if a folder belongs to no declared rule: without its `mod` line a rule would never run.
fn refuse_undeclared(rules: &Path, names: &[String]) {
    for entry in fs::read_dir(rules).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(names.contains(&name), "{}: mod.rs lacks the line `mod {name};`", entry.path().display());
    }
}

/// The content of a rule's `doc.md`:
///
/// ```markdown
/// ---
/// severity: warning
/// entity: rule
/// stage: graph
/// ---
/// # a rule can never match
///
/// The first rule whose qualifier is true wins, so a second one with the same qualifier is never reached.
///
/// A way out: remove the rule, or give it another qualifier.
/// ```
struct Doc {
    severity: String,
    entity: String,
    stage: String,
    title: String,
    why: String,
    help: String,
}

impl Doc {
    fn read(path: &Path) -> Self {
        let text = text(path);
        let wrong = |reason: &str| -> ! { panic!("{}: {reason}", path.display()) };
        let Some((front_matter, body)) = text.strip_prefix("---\n").and_then(|text| text.split_once("\n---\n")) else {
            wrong("the file must open with `severity`, `entity`, and `stage` between two lines `---`")
        };
        let field = |name: &str| {
            let found = front_matter.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.map_or_else(|| wrong(&format!("the front_matter lacks `{name}`")), str::to_owned)
        };
        let Some((title, rest)) = body.trim().strip_prefix("# ").and_then(|body| body.split_once("\n\n")) else {
            wrong("the front_matter must be followed by `# the fault in a few words` and a paragraph with the reason")
        };
        let Some((why, help)) = rest.rsplit_once("\n\nA way out: ") else {
            wrong("the file must end with a paragraph `A way out: …`")
        };
        let one_line = |text: &str| text.trim().replace('\n', " ");
        Self {
            severity: field("severity"),
            entity: field("entity"),
            stage: field("stage"),
            title: title.trim().to_owned(),
            // Paragraphs stay apart; the lines of a paragraph are joined.
            why: why.trim().split("\n\n").map(one_line).collect::<Vec<_>>().join("\n\n"),
            help: one_line(help).trim_end_matches('.').to_owned(),
        }
    }
}

/// Returns the files in one folder of a rule by their paths in the workspace.
fn files(rules: &Path, name: &str, folder: &str) -> BTreeMap<String, PathBuf> {
    let root = rules.join(name).join(folder);
    let (mut found, mut open) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let inside = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(inside, path);
            }
        }
    }
    found
}

/// Writes an example as an expression: the shared files and its own.
fn examples(both: &BTreeMap<String, PathBuf>, own: &BTreeMap<String, PathBuf>) -> String {
    let all: BTreeMap<_, _> = both.iter().chain(own).collect();
    let files = all.into_iter().map(|(path, file)| format!("({path:?}, include_str!({file:?}))"));
    format!("&[{}]", files.collect::<Vec<_>>().join(", "))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
