//! The kinds of documents, and the paths where the format has them.

/// The document that makes a directory a workspace.
pub(crate) const MANIFEST: &str = "rototo-workspace.toml";

/// The longest name of a file or a directory in bytes. File systems have the same limit.
pub(crate) const LONGEST_NAME: usize = 255;

/// The kind of a document, which its path decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// `rototo-workspace.toml`
    Manifest,
    /// `variables/<id>.toml`
    Variable,
    /// `qualifiers/<id>.toml`
    Qualifier,
    /// `resources/<id>.toml`
    Resource,
    /// `resources/<resource>-objects/<key>.toml`
    ResourceObject,
    /// `schemas/<name>.json`
    Schema,
    /// `lint/<name>.lua`
    CustomLint,
}

impl DocumentKind {
    /// Returns the kind of the document at `path`, or `None` if the format has no document there.
    ///
    /// ```
    /// use rototo_engine::DocumentKind;
    ///
    /// assert_eq!(DocumentKind::at("variables/limit.toml"), Some(DocumentKind::Variable));
    /// assert_eq!(DocumentKind::at("variables/nested/limit.toml"), None);
    /// assert_eq!(DocumentKind::at("README.md"), None);
    /// ```
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        if path == MANIFEST {
            return Some(Self::Manifest);
        }
        let folders = [
            ("variables/", ".toml", Self::Variable),
            ("qualifiers/", ".toml", Self::Qualifier),
            ("schemas/", ".json", Self::Schema),
            ("lint/", ".lua", Self::CustomLint),
        ];
        for (folder, extension, kind) in folders {
            if let Some(file) = path.strip_prefix(folder) {
                return is_file(file, extension).then_some(kind);
            }
        }
        let below = path.strip_prefix("resources/")?;
        match below.split_once('/') {
            None => is_file(below, ".toml").then_some(Self::Resource),
            Some((folder, file)) => {
                (is_file(folder, "-objects") && is_file(file, ".toml")).then_some(Self::ResourceObject)
            }
        }
    }

    /// Returns whether the format has documents in this directory of a workspace.
    ///
    /// ```
    /// use rototo_engine::DocumentKind;
    ///
    /// assert!(DocumentKind::is_any_in("variables") && DocumentKind::is_any_in("resources/plan-objects"));
    /// assert!(!DocumentKind::is_any_in("resources/plan") && !DocumentKind::is_any_in("docs"));
    /// ```
    #[must_use]
    pub fn is_any_in(directory: &str) -> bool {
        ["toml", "json", "lua"].iter().any(|extension| Self::at(&format!("{directory}/x.{extension}")).is_some())
    }
}

/// Returns whether `name` is the name of a file, in no folder, with that extension and a stem. Names that begin with a dot
/// belong to tools: macOS writes `._limit.toml` beside `limit.toml`.
pub(crate) fn is_file(name: &str, extension: &str) -> bool {
    name.len() <= LONGEST_NAME
        && !name.starts_with('.')
        && name.strip_suffix(extension).is_some_and(|stem| !stem.is_empty() && !stem.contains('/'))
}

/// Returns whether a path is that of a workspace's tests: `tests/<name>.toml`. They stand beside the documents and are none:
/// neither the fingerprint nor a snapshot holds them.
///
/// ```
/// use rototo_engine::tree::is_test;
///
/// assert!(is_test("tests/limits.toml"));
/// assert!(!is_test("tests/fixtures/limits.toml") && !is_test("tests/.limits.toml") && !is_test("tests/a.rs"));
/// ```
#[must_use]
pub fn is_test(path: &str) -> bool {
    path.strip_prefix("tests/").is_some_and(|file| is_file(file, ".toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_paths_of_the_format_hold_documents() {
        for path in ["resources/a-objects/x.toml", "schemas/a.schema.json", "lint/a.lua"] {
            assert!(DocumentKind::at(path).is_some(), "{path}");
        }
        for path in [
            "resources/-objects/x.toml",
            "resources/a/b-objects/x.toml",
            "variables/.toml",
            "variables/a.json",
            "schemas/a/b.json",
            "sub/rototo-workspace.toml",
            "lint/a.toml",
        ] {
            assert_eq!(DocumentKind::at(path), None, "{path}");
        }
    }
}
