//! The paths of a source that are no documents, but look as if an author meant them as some: `Variables/limit.toml`,
//! `variables/limit.TOML`, `variables/team/limit.toml`. They travel with a `Tree` from its reader
//! to lint, which reports them; they are no content, and no part of the fingerprint. The same holds for files that look
//! as if meant as tests: `Tests/limits.toml`, `tests/limits.TOML`.
//!
//! A repository holds much beside a workspace. So only the format's own directories are judged, and directories at the
//! root whose names resemble them; files that belong to people or tools (dotfiles, `README.md`, `tests/a.rs`) are passed
//! over.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::kind::{DocumentKind, LONGEST_NAME, MANIFEST, is_file, is_test};
use crate::document::text::{distance, shortened};

/// The most paths that a tree remembers: a reader of diagnostics needs a few, and a source may have 10,000.
pub(crate) const MOST: usize = 100;

/// The kind of a path of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A file, or anything else that holds no other path.
    File,
    /// A directory.
    Directory,
}

/// The reason for which nothing reads a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnreadReason {
    /// The path differs from this one of the format only in case or separators.
    Misnamed(String),
    /// A part of the path is longer than [`LONGEST_NAME`].
    TooLong,
    /// The path resembles this one.
    Resembles(String),
    /// The path is a directory inside this one, which holds documents only itself.
    Nested(String),
    /// The documents of this directory have another extension.
    Extension(String, &'static str),
}

/// The paths that nothing reads, worst first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnreadPaths {
    /// Mistakes (`false`) come before suspicions (`true`).
    paths: BTreeMap<(bool, Arc<str>), UnreadReason>,
    /// True if there were more paths than are kept.
    pub(crate) has_more: bool,
}

impl UnreadPaths {
    pub(crate) fn notice(&mut self, path: &str, kind: PathKind) {
        if let Some((path, reason)) = judge(path, kind) {
            let is_suspicion = !matches!(reason, UnreadReason::Misnamed(_) | UnreadReason::TooLong);
            self.add((is_suspicion, Arc::from(&*shortened(&path))), reason);
        }
    }

    /// Adds the paths of another layer.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.has_more |= other.has_more;
        other.paths.iter().for_each(|(key, reason)| self.add(key.clone(), reason.clone()));
    }

    /// Takes over the paths of a layer below. Its tests are about that layer alone.
    pub(crate) fn extend_by_base(&mut self, base: &Self) {
        self.has_more |= base.has_more;
        let documents = base.paths.iter().filter(|((_, path), _)| !is_among_tests(path));
        documents.for_each(|(key, reason)| self.add(key.clone(), reason.clone()));
    }

    /// Returns the files in the directory of tests that may be meant as tests, each with the path of the test. A directory
    /// whose name differs may be that of other software.
    pub(crate) fn tests(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        self.iter().filter_map(|(path, reason)| match reason {
            UnreadReason::Resembles(meant) if is_test(meant) => Some((path, meant.as_str())),
            _ => None,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &UnreadReason)> {
        self.paths.iter().map(|((_, path), reason)| (path, reason))
    }

    fn add(&mut self, key: (bool, Arc<str>), reason: UnreadReason) {
        self.paths.insert(key, reason);
        if self.paths.len() > MOST {
            self.paths.pop_last();
            self.has_more = true;
        }
    }
}

/// A directory of the format.
struct Folder {
    name: &'static str,
    extension: &'static str,
    /// The files in it that may be meant as documents.
    suspects: Suspects,
}

/// The files of a directory that may be meant as documents, although their extension is another one.
#[derive(Clone, Copy)]
enum Suspects {
    /// All: the directory belongs to the format.
    All,
    /// Only files that look like a slip, or have one of these extensions: other software has a directory of this name
    /// too. Tools for Lua keep TOML and YAML beside scripts.
    Some(&'static [&'static str]),
}

const FOLDERS: [Folder; 5] = [
    Folder { name: "variables", extension: ".toml", suspects: Suspects::All },
    Folder { name: "qualifiers", extension: ".toml", suspects: Suspects::All },
    Folder { name: "resources", extension: ".toml", suspects: Suspects::Some(&[".json", ".lua", ".yaml", ".yml"]) },
    Folder { name: "schemas", extension: ".json", suspects: Suspects::Some(&[".toml", ".lua", ".yaml", ".yml"]) },
    Folder { name: "lint", extension: ".lua", suspects: Suspects::Some(&[]) },
];

/// The directory of tests, which are no documents. Other software has a directory of this name too.
const TESTS: &str = "tests";

/// Returns whether the name of a directory at the root of a workspace resembles one of the format, so that its files
/// are worth a look.
///
/// ```
/// use rototo_engine::tree::resembles_directory;
///
/// assert!(resembles_directory("Variables") && resembles_directory("variable") && resembles_directory("Tests"));
/// assert!(!resembles_directory("variables") && !resembles_directory("src") && !resembles_directory("resources/a"));
/// ```
#[must_use]
pub fn resembles_directory(name: &str) -> bool {
    let resembles = |folder: &Folder| folded(name) == folded(folder.name) || is_near(name, folder.name);
    !name.contains('/')
        && name != TESTS
        && FOLDERS.iter().all(|folder| folder.name != name)
        && (name.eq_ignore_ascii_case(TESTS) || FOLDERS.iter().any(resembles))
}

/// Returns the path to report instead of `path`, and the reason; `None` if the path is read, or none of the format's
/// business.
fn judge(path: &str, kind: PathKind) -> Option<(String, UnreadReason)> {
    if DocumentKind::at(path).is_some() {
        return None;
    }
    let Some(at) = path.find(['/', '\\']) else {
        let is_manifest = kind == PathKind::File && folded(path) == folded(MANIFEST);
        return is_manifest.then(|| (path.to_owned(), UnreadReason::Misnamed(MANIFEST.to_owned())));
    };
    let (first, rest) = (path.get(..at)?, path.get(at + 1..)?);
    let has_backslash = path.get(at..=at) == Some("\\");
    if first.eq_ignore_ascii_case(TESTS) {
        return test(path, first, rest).filter(|_| kind == PathKind::File);
    }
    if let Some(folder) = FOLDERS.iter().find(|folder| folder.name == first) {
        return if has_backslash { of_windows(path, folder, rest, kind) } else { inside(folder, path, rest, kind) };
    }
    if kind == PathKind::Directory {
        return None;
    }
    let folder = FOLDERS.iter().find(|folder| folded(folder.name) == folded(first));
    if let Some(folder) = folder {
        if has_backslash {
            return of_windows(path, folder, rest, kind);
        }
        document_in(folder, rest)?;
        return Some((first.to_owned(), UnreadReason::Misnamed(folder.name.to_owned())));
    }
    let folder = FOLDERS.iter().find(|folder| is_near(first, folder.name))?;
    let document = document_in(folder, rest)?;
    // Other software has a directory `schema` too. A schema that a document names is missed there; this one is not.
    let is_missed = folder.name == "schemas" && document != "schemas/context.schema.json";
    (!is_missed).then(|| (first.to_owned(), UnreadReason::Resembles(folder.name.to_owned())))
}

/// Returns a path whose separators are backslashes, as some programs write them into archives.
fn of_windows(path: &str, folder: &Folder, rest: &str, kind: PathKind) -> Option<(String, UnreadReason)> {
    let meant = document_in(folder, &rest.replace('\\', "/")).filter(|_| kind == PathKind::File)?;
    Some((path.to_owned(), UnreadReason::Misnamed(meant)))
}

fn is_among_tests(path: &str) -> bool {
    path.split(['/', '\\']).next().is_some_and(|first| first.eq_ignore_ascii_case(TESTS))
}

/// Returns a path that may be meant as a test: `rest` in the directory `first`, which is named `tests` but for its case. The
/// directory may belong to other software, so that no such path is a mistake.
fn test(path: &str, first: &str, rest: &str) -> Option<(String, UnreadReason)> {
    let rest = rest.replace('\\', "/");
    let file = format!("{}.toml", with_extension(&rest, ".toml")?);
    let meant = format!("{TESTS}/{file}");
    if path == meant || !is_file(&file, ".toml") || is_passed_over(&file, false) {
        return None;
    }
    let is_in_other_directory = first != TESTS && path.get(first.len()..)?.starts_with('/');
    Some(if is_in_other_directory {
        (first.to_owned(), UnreadReason::Resembles(TESTS.to_owned()))
    } else {
        (path.to_owned(), UnreadReason::Resembles(meant))
    })
}

/// Returns the document that `rest` would be in `folder`, whatever the case of its extension.
fn document_in(folder: &Folder, rest: &str) -> Option<String> {
    let path = match with_extension(rest, folder.extension) {
        Some(stem) => format!("{}/{stem}{}", folder.name, folder.extension),
        None => format!("{}/{rest}", folder.name),
    };
    DocumentKind::at(&path).map(|_| path)
}

/// Returns a path inside one of the format's directories.
fn inside(folder: &Folder, path: &str, rest: &str, kind: PathKind) -> Option<(String, UnreadReason)> {
    let (name, below) = rest.split_once('/').map_or((rest, None), |(name, below)| (name, Some(below)));
    let is_directory = below.is_some() || kind == PathKind::Directory;
    if is_passed_over(name, is_directory) {
        return None;
    }
    if name.len() > LONGEST_NAME {
        return Some((path.to_owned(), UnreadReason::TooLong));
    }
    if folder.name != "resources" || !is_directory {
        return entry(folder, folder.name.to_owned(), name, is_directory);
    }
    match (name.strip_suffix("-objects").filter(|resource| !resource.is_empty()), below) {
        (Some(_), None) => None,
        (Some(_), Some(below)) => {
            let (name, deeper) = below.split_once('/').map_or((below, None), |(name, deeper)| (name, Some(deeper)));
            let objects = path.get(..path.len() - below.len() - 1)?.to_owned();
            let is_directory = deeper.is_some() || kind == PathKind::Directory;
            match name {
                _ if is_passed_over(name, is_directory) => None,
                _ if name.len() > LONGEST_NAME => Some((path.to_owned(), UnreadReason::TooLong)),
                _ => entry(folder, objects, name, is_directory),
            }
        }
        (None, _) => {
            let stem = with_extension(name, "objects").and_then(|stem| stem.strip_suffix(['-', '_', '.', ' ']));
            let reason = match stem.filter(|stem| !stem.is_empty()) {
                Some(stem) => UnreadReason::Misnamed(format!("resources/{stem}-objects")),
                None => UnreadReason::Nested("resources".to_owned()),
            };
            Some((format!("resources/{name}"), reason))
        }
    }
}

/// Returns an entry `name` of `directory`, which holds documents of `folder`.
fn entry(folder: &Folder, directory: String, name: &str, is_directory: bool) -> Option<(String, UnreadReason)> {
    let path = format!("{directory}/{name}");
    if is_directory {
        return Some((path, UnreadReason::Nested(directory)));
    }
    if let Some(stem) = with_extension(name, folder.extension) {
        let meant = format!("{directory}/{stem}{}", folder.extension);
        return (!stem.is_empty()).then_some((path, UnreadReason::Misnamed(meant)));
    }
    let may_be_document = match folder.suspects {
        Suspects::Some(extensions) if directory == folder.name => is_slip(name, folder.extension, extensions),
        _ => true,
    };
    may_be_document.then_some((path, UnreadReason::Extension(directory, folder.extension)))
}

/// Returns whether the extension of a file looks like a slip: one of `others`, none at all, nearly the right one, or the
/// right one before `.txt`, which an editor of Windows adds.
fn is_slip(name: &str, extension: &str, others: &[&str]) -> bool {
    let Some((_, last)) = name.rsplit_once('.') else { return true };
    let is_other = others.iter().any(|other| with_extension(name, other).is_some());
    let is_hidden = with_extension(name, ".txt").is_some_and(|stem| with_extension(stem, extension).is_some());
    is_other || is_hidden || distance(&last.to_ascii_lowercase(), extension.trim_start_matches('.')) <= 1
}

/// Returns the part of `name` before `extension`, whatever its case, and without blanks or dots after it.
fn with_extension<'n>(name: &'n str, extension: &str) -> Option<&'n str> {
    let name = name.trim_end_matches(['.', ' ']);
    let at = name.len().checked_sub(extension.len())?;
    name.get(at..)?.eq_ignore_ascii_case(extension).then(|| name.get(..at)).flatten()
}

/// Returns whether a name inside the format's directories belongs to people or tools.
fn is_passed_over(name: &str, is_directory: bool) -> bool {
    const DIRECTORIES: [&str; 9] =
        ["doc", "docs", "test", "tests", "testdata", "fixtures", "examples", "node_modules", "__macosx"];
    let lower = name.to_ascii_lowercase();
    let is_of_tools = || if is_directory { DIRECTORIES.contains(&&*lower) } else { is_beside_documents(name, &lower) };
    name.starts_with('.') || is_of_tools()
}

/// Returns whether nobody means a file as a document: it is text for people, a copy, or a file of a tool. `lower` is its
/// name in lower case.
fn is_beside_documents(name: &str, lower: &str) -> bool {
    const TEXTS: [&str; 4] = ["readme", "license", "licence", "changelog"];
    const OF_PEOPLE: [&str; 4] = [".md", ".markdown", ".rst", ".adoc"];
    const COPIES: [&str; 13] = [
        "~",
        "#",
        ".bak",
        ".backup",
        ".disabled",
        ".example",
        ".old",
        ".orig",
        ".rej",
        ".sample",
        ".swo",
        ".swp",
        ".tmp",
    ];
    const OF_TOOLS: [&str; 10] = [
        "AUTHORS",
        "BUILD",
        "BUILD.bazel",
        "CODEOWNERS",
        "COPYING",
        "Makefile",
        "NOTICE",
        "OWNERS",
        "Thumbs.db",
        "desktop.ini",
    ];
    let is_text = || {
        let stem = lower.strip_suffix(".txt").unwrap_or(lower);
        TEXTS.iter().any(|text| lower.starts_with(text)) && !stem.contains('.')
    };
    let ends_in = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
    OF_TOOLS.contains(&name) || ends_in(&OF_PEOPLE) || ends_in(&COPIES) || is_text()
}

/// Returns a name without case and separators.
fn folded(name: &str) -> String {
    let letters = name.chars().filter(|letter| !matches!(letter, '-' | '_' | '.' | ' '));
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Returns whether a name differs from the known one by a slip or two after its first letter.
fn is_near(name: &str, known: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let tolerated = (known.len() / 4).min(2);
    name.len().abs_diff(known.len()) <= tolerated
        && name.chars().next() == known.chars().next()
        && distance(&name, known) <= tolerated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(path: &str) -> Option<String> {
        let (path, kind) = path.strip_suffix('/').map_or((path, PathKind::File), |path| (path, PathKind::Directory));
        let (path, reason) = judge(path, kind)?;
        Some(match reason {
            UnreadReason::Misnamed(meant) => format!("{path} -> {meant}"),
            UnreadReason::TooLong => "too long".to_owned(),
            UnreadReason::Resembles(meant) => format!("{path} ~ {meant}"),
            UnreadReason::Nested(directory) => format!("{path} in {directory}"),
            UnreadReason::Extension(directory, extension) => format!("{path} in {directory} not {extension}"),
        })
    }

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(judged(path).as_deref(), Some(expected), "{path}");
    }

    #[test]
    fn names_that_differ_in_case_or_separators_are_mistakes() {
        check("Variables/limit.toml", "Variables -> variables");
        check("QUALIFIERS/pro.TOML", "QUALIFIERS -> qualifiers");
        check("Resources/plan-objects/a.toml", "Resources -> resources");
        check("Schemas/a.json", "Schemas -> schemas");
        check("Lint/a.lua", "Lint -> lint");
        check("variables\\limit.toml", "variables\\limit.toml -> variables/limit.toml");
        check("resources\\plan-objects\\a.toml", "resources\\plan-objects\\a.toml -> resources/plan-objects/a.toml");
        check("variables/limit.TOML", "variables/limit.TOML -> variables/limit.toml");
        check("variables/limit.toml ", "variables/limit.toml  -> variables/limit.toml");
        check("resources/plan-objects/a.Toml", "resources/plan-objects/a.Toml -> resources/plan-objects/a.toml");
        check("resources/plan_objects/", "resources/plan_objects -> resources/plan-objects");
        check("resources/plan-Objects/a.toml", "resources/plan-Objects -> resources/plan-objects");
        check("Rototo_Workspace.toml", "Rototo_Workspace.toml -> rototo-workspace.toml");
        check(&format!("variables/{}.toml", "x".repeat(300)), "too long");
    }

    #[test]
    fn what_stands_where_nothing_reads_it_is_suspicious() {
        check("variable/limit.toml", "variable ~ variables");
        check("vraiables/limit.toml", "vraiables ~ variables");
        check("qualifer/pro.toml", "qualifer ~ qualifiers");
        check("schema/context.schema.json", "schema ~ schemas");
        check("lints/a.lua", "lints ~ lint");
        check("variables/team/", "variables/team in variables");
        check("variables/team/deep/limit.toml", "variables/team in variables");
        check("resources/plan/", "resources/plan in resources");
        check("resources/plan-objects/team/a.toml", "resources/plan-objects/team in resources/plan-objects");
        check("variables/limit.yaml", "variables/limit.yaml in variables not .toml");
        check("resources/plan-objects/a.json", "resources/plan-objects/a.json in resources/plan-objects not .toml");
        check("schemas/context.schema.toml", "schemas/context.schema.toml in schemas not .json");
    }

    #[test]
    fn a_slip_in_an_extension_is_suspicious_and_one_of_case_a_mistake() {
        check("variables/v.toml.txt", "variables/v.toml.txt in variables not .toml");
        check("variables/v", "variables/v in variables not .toml");
        check("variables/docs", "variables/docs in variables not .toml");
        check("qualifiers/pro.tom", "qualifiers/pro.tom in qualifiers not .toml");
        for file in ["pro.toml.txt", "pro2.tml", "pro3", "logo.png"] {
            let path = format!("resources/plan-objects/{file}");
            check(&path, &format!("{path} in resources/plan-objects not .toml"));
        }
        check("resources/plan.toml.txt", "resources/plan.toml.txt in resources not .toml");
        check("resources/plan", "resources/plan in resources not .toml");
        check("schemas/context.schema.jsonc", "schemas/context.schema.jsonc in schemas not .json");
        check("schemas/context.schema.json.TXT", "schemas/context.schema.json.TXT in schemas not .json");
        check("lint/x.luau", "lint/x.luau in lint not .lua");
        check("variables/license-seats.TOML", "variables/license-seats.TOML -> variables/license-seats.toml");
        check("variables/license-seats.toml.txt", "variables/license-seats.toml.txt in variables not .toml");
        check("variables/changelog-banner.yaml", "variables/changelog-banner.yaml in variables not .toml");
        check(
            "resources/license-objects/a.TOML",
            "resources/license-objects/a.TOML -> resources/license-objects/a.toml",
        );
        check("resources/license_objects/", "resources/license_objects -> resources/license-objects");
    }

    #[test]
    fn a_name_that_resembles_that_of_a_test_is_suspicious() {
        check("Tests/limits.toml", "Tests ~ tests");
        check("TESTS/limits.TOML", "TESTS ~ tests");
        check("tests/limits.TOML", "tests/limits.TOML ~ tests/limits.toml");
        check("tests/limits.toml ", "tests/limits.toml  ~ tests/limits.toml");
        check("tests\\limits.toml", "tests\\limits.toml ~ tests/limits.toml");
        check("Tests\\limits.toml", "Tests\\limits.toml ~ tests/limits.toml");
        check("tests/README.TOML", "tests/README.TOML ~ tests/README.toml");
        for directory in ["tests", "test", "text", "te-sts"] {
            assert!(!resembles_directory(directory), "{directory}");
        }
    }

    #[test]
    fn the_rest_of_a_repository_is_passed_over() {
        for path in [
            "variables/limit.toml",
            "README.md",
            "Cargo.toml",
            "package.json",
            "tests/a.toml",
            "tests/.a.TOML",
            "tests/fixtures/a.TOML",
            "tests/A.TOML/",
            "tests/a.RS",
            "Tests/",
            "Tests/ImageTests.swift",
            "Tests/Fixtures/a.toml",
            "Tests\\Fixtures\\a.toml",
            "test/a.toml",
            "test/main/resources/a.toml",
            "src/variables/limit.toml",
            "Resources/logo.png",
            "Resources/",
            "Variables/README.md",
            "sources/a.toml",
            "schema/api.json",
            "list/a.toml",
            "link/a.json",
            "variables/README.toml",
            "variables/.taplo.toml",
            "variables/._limit.toml",
            "variables/.DS_Store",
            "variables/notes.md",
            "variables/LICENSE",
            "variables/LICENSE-MIT",
            "variables/Changelog.txt",
            "variables/readme.de.rst",
            "variables/OWNERS",
            "variables/Makefile",
            "variables/Thumbs.db",
            "variables/limit.toml.orig",
            "variables/limit.toml.rej",
            "variables/limit.toml.bak",
            "variables/limit.toml.BAK",
            "variables/limit.toml.swp",
            "variables/limit.toml.disabled",
            "variables/limit.toml.example",
            "variables/limit.toml~",
            "variables/#limit.toml#",
            "resources/logo.png",
            "resources/robots.txt",
            "resources/application.properties",
            "schemas/user.proto",
            "schemas/user.ts",
            "schemas/check.sh",
            "lint/run.sh",
            "lint/words.txt",
            "lint/eslint.config.js",
            "lint/std.yml",
            "variables/tests/a.toml",
            "schemas/__MACOSX/a.json",
            "resources/plan-objects/",
            "lint/selene.toml",
            ".github/workflows/lint.yaml",
        ] {
            assert_eq!(judged(path), None, "{path}");
        }
    }

    #[test]
    fn a_hundred_paths_are_kept_and_mistakes_come_first() {
        let mut unread = UnreadPaths::default();
        (0..10_000).for_each(|n| unread.notice(&format!("variables/{n}.yaml"), PathKind::File));
        unread.notice("variables/z.TOML", PathKind::File);
        assert_eq!((unread.paths.len(), unread.has_more), (MOST, true));
        assert_eq!(unread.iter().next().map(|(path, _)| &**path), Some("variables/z.TOML"));
    }
}
