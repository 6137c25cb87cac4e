//! Documents as far as they can be read: somebody may be typing in them.

use std::borrow::Cow;

use crate::document::tree::DocumentKind;
use crate::parse::toml::{TomlTable, recover};
use crate::parse::{Parse, ParseError, Parsed, Qualifier, Resource, TestFile, Variable, resource_of, stem};

impl Parsed {
    /// Returns the fault that hides the content of the document at `path`, if it has one.
    ///
    /// ```
    /// use rototo_engine::{Tree, parse};
    ///
    /// let mut tree = Tree::default();
    /// tree.insert("qualifiers/pro.toml", *b"schema_version =");
    /// assert!(parse(tree).fault_of("qualifiers/pro.toml").is_some());
    /// ```
    #[must_use]
    pub fn fault_of(&self, path: &str) -> Option<&ParseError> {
        let id = stem(path);
        match DocumentKind::at(path)? {
            DocumentKind::Manifest => self.manifest.as_ref()?.fault(),
            DocumentKind::Variable => self.variables.get(id)?.fault(),
            DocumentKind::Qualifier => self.qualifiers.get(id)?.fault(),
            DocumentKind::Resource => self.resources.get(id)?.fault(),
            DocumentKind::ResourceObject => self.objects.get(resource_of(path))?.get(id)?.fault(),
            DocumentKind::Schema => self.schemas.get(path)?.fault(),
            DocumentKind::CustomLint => None,
        }
    }

    /// Returns a fault in the test at `path` that may hide an expected result. A file that declares no version may belong
    /// to other software, and has such a fault only if it is no TOML.
    ///
    /// ```
    /// use rototo_engine::{Tree, parse};
    ///
    /// let mut tree = Tree::default();
    /// tree.insert("tests/limits.toml", *b"schema_version = 1\n[[case]]\nexpects = { limit = \"small\" }");
    /// tree.insert("tests/other.toml", *b"speed = 3");
    /// let parsed = parse(tree);
    /// assert!(parsed.fault_of_test("tests/limits.toml").unwrap().message.starts_with("nothing reads `expects` here"));
    /// assert_eq!(parsed.fault_of_test("tests/other.toml"), None);
    /// ```
    #[must_use]
    pub fn fault_of_test(&self, path: &str) -> Option<ParseError> {
        TestFile::fault_in(self.tree().test(path)?)
    }

    /// Returns the variable of that id, as far as it can be read. A document with faults may lack any part.
    ///
    /// ```
    /// use rototo_engine::{Tree, parse};
    ///
    /// let mut tree = Tree::default();
    /// tree.insert("variables/limit.toml", *b"type = \"int\"\n[values]\nsmall = 1\n[resolve]\ndefault = ");
    /// let parsed = parse(tree);
    /// assert!(parsed.variables.get("limit").unwrap().content().is_none());
    /// let variable = parsed.readable_variable("limit").unwrap();
    /// assert_eq!(variable.inline_values().count(), 1);
    /// ```
    #[must_use]
    pub fn readable_variable(&self, id: &str) -> Option<Cow<'_, Variable>> {
        let document = self.variables.get(id)?;
        document.content().map(Cow::Borrowed).or_else(|| self.recovered(document, Variable::of))
    }

    /// Returns the qualifier of that id, as far as it can be read.
    #[must_use]
    pub fn readable_qualifier(&self, id: &str) -> Option<Cow<'_, Qualifier>> {
        let document = self.qualifiers.get(id)?;
        document.content().map(Cow::Borrowed).or_else(|| self.recovered(document, Qualifier::of))
    }

    /// Returns the resource of that id, as far as it can be read.
    #[must_use]
    pub fn readable_resource(&self, id: &str) -> Option<Cow<'_, Resource>> {
        let document = self.resources.get(id)?;
        document.content().map(Cow::Borrowed).or_else(|| self.recovered(document, Resource::of))
    }

    fn recovered<T: Clone>(
        &self,
        document: &Parse<T>,
        project: impl FnOnce(TomlTable<'_, '_>) -> Result<T, ParseError>,
    ) -> Option<Cow<'_, T>> {
        recover(&self.tree().get(&document.path)?.bytes, project).map(Cow::Owned)
    }
}
