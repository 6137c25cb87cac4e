//! Documents as far as they can be read: somebody may be typing in them.

use std::borrow::Cow;

use crate::parse::toml::recover;
use crate::parse::{Parse, Parsed, Qualifier, Resource, Variable};

impl Parsed {
    /// The variable of that id, as far as it can be read. A document with faults may lack any part.
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

    /// The qualifier of that id, as far as it can be read.
    #[must_use]
    pub fn readable_qualifier(&self, id: &str) -> Option<Cow<'_, Qualifier>> {
        let document = self.qualifiers.get(id)?;
        document.content().map(Cow::Borrowed).or_else(|| self.recovered(document, Qualifier::of))
    }

    /// The resource of that id, as far as it can be read.
    #[must_use]
    pub fn readable_resource(&self, id: &str) -> Option<Cow<'_, Resource>> {
        let document = self.resources.get(id)?;
        document.content().map(Cow::Borrowed).or_else(|| self.recovered(document, Resource::of))
    }

    fn recovered<T: Clone>(
        &self,
        document: &Parse<T>,
        project: impl FnOnce(crate::parse::toml::TomlTable<'_, '_>) -> Result<T, crate::parse::ParseError>,
    ) -> Option<Cow<'_, T>> {
        recover(&self.tree().get(&document.path)?.bytes, project).map(Cow::Owned)
    }
}
