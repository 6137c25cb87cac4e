//! The sources of attributes: JSON, a prepared context, or an application's own type.

use serde_json::Value;

use crate::compile::compiled::Compiled;
use crate::compile::paths::{Path, PathAccess, child};
use crate::resolve::context::Context;
use crate::resolve::memory::Memory;
use crate::resolve::outcome::ResolveError;
use crate::value::attribute::{Attribute, AttributeValue};

/// Attributes in an application's own type, which resolve without being converted to JSON.
///
/// A path without a value is `None`, and a qualifier that reads it fails as it does with JSON. Each path is asked for
/// at most once per resolution. The workspace's context schema is not consulted: it describes JSON, while here the type
/// defines the attributes.
///
/// ```
/// # use rototo_engine::{Tree, compile, parse};
/// # let files = [
/// #     ("rototo-workspace.toml", "schema_version = 1"),
/// #     ("qualifiers/large.toml", "schema_version = 1\npredicate = [{ attribute = \"account.seats\", op = \"gt\", value = 100 }]"),
/// # ];
/// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
/// # let compiled = compile(&parse(tree))?;
/// use rototo_engine::{Attribute, Attributes};
///
/// struct Request {
///     account: String,
///     seats: u32,
/// }
///
/// impl Attributes for Request {
///     fn attribute(&self, path: &str) -> Option<Attribute<'_>> {
///         match path {
///             "account.id" => Some(Attribute::from(&self.account)),
///             "account.seats" => Some(Attribute::from(self.seats)),
///             _ => None,
///         }
///     }
/// }
///
/// let request = Request { account: "acct-001".to_owned(), seats: 250 };
/// assert_eq!(compiled.resolve_qualifier("large", &request), Ok(true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Attributes {
    /// Returns the attribute at a path such as `account.id`.
    fn attribute(&self, path: &str) -> Option<Attribute<'_>>;
}

/// The argument of a resolution: a [`Context`], a [`Prepared`](crate::Prepared) one, or a type with [`Attributes`].
/// Nothing else implements it.
pub trait Facts: AttributeSource {}

impl<F: AttributeSource + ?Sized> Facts for F {}

/// Reads attributes: from a context, a prepared context, or an application's own type.
pub trait AttributeSource {
    /// The attributes that one resolution has read.
    type Memory<'a>
    where
        Self: 'a;

    /// The reader for one resolution.
    type AttributeReader<'a, 'm>: AttributeReader<'a>
    where
        Self: 'a,
        'a: 'm;

    /// Returns an empty memory. It stays where it is made: it is too large to be moved for each resolution.
    fn memory<'a>() -> Self::Memory<'a>
    where
        Self: 'a;

    /// Begins a resolution from that workspace.
    fn reader<'a, 'm>(
        &'a self,
        compiled: &'a Compiled,
        memory: &'m mut Self::Memory<'a>,
    ) -> Self::AttributeReader<'a, 'm>;

    /// Checks the attributes against the workspace's context schema.
    fn check(&self, compiled: &Compiled) -> Result<(), ResolveError>;
}

/// The attributes as one resolution reads them.
pub trait AttributeReader<'a> {
    /// The type of an attribute that was read.
    type AttributeValue: AttributeValue<'a>;

    /// Returns the attribute at the path of that number.
    fn read(&mut self, path: u32) -> Option<Self::AttributeValue>;
}

impl AttributeSource for Context {
    type Memory<'a> = Memory<&'a Value>;
    type AttributeReader<'a, 'm>
        = JsonReader<'a, 'm>
    where
        'a: 'm;

    #[inline(always)]
    fn memory<'a>() -> Memory<&'a Value> {
        Memory::new()
    }

    #[inline(always)]
    fn reader<'a, 'm>(&'a self, compiled: &'a Compiled, memory: &'m mut Memory<&'a Value>) -> JsonReader<'a, 'm> {
        JsonReader::new(self.value(), compiled, memory)
    }

    #[inline]
    fn check(&self, compiled: &Compiled) -> Result<(), ResolveError> {
        compiled.validate_context(self)
    }
}

impl<T: Attributes + ?Sized> AttributeSource for T {
    type Memory<'a>
        = Memory<Attribute<'a>>
    where
        T: 'a;
    type AttributeReader<'a, 'm>
        = AttributesReader<'a, 'm, T>
    where
        T: 'a,
        'a: 'm;

    #[inline(always)]
    fn memory<'a>() -> Memory<Attribute<'a>>
    where
        T: 'a,
    {
        Memory::new()
    }

    #[inline(always)]
    fn reader<'a, 'm>(
        &'a self,
        compiled: &'a Compiled,
        memory: &'m mut Memory<Attribute<'a>>,
    ) -> AttributesReader<'a, 'm, T> {
        AttributesReader { paths: compiled.paths().items(), attributes: self, known: memory }
    }

    fn check(&self, _: &Compiled) -> Result<(), ResolveError> {
        Ok(())
    }
}

/// Reads JSON. A prefix of several paths is read once.
pub struct JsonReader<'a, 'm> {
    paths: &'a [Path],
    root: &'a Value,
    known: &'m mut Memory<&'a Value>,
}

impl<'a, 'm> JsonReader<'a, 'm> {
    #[inline(always)]
    pub(crate) fn new(root: &'a Value, compiled: &'a Compiled, known: &'m mut Memory<&'a Value>) -> Self {
        Self { paths: compiled.paths().items(), root, known }
    }

    #[inline(always)]
    fn value(&mut self, number: u32) -> Option<&'a Value> {
        match self.known.get(number) {
            Some(value) => Some(value),
            None => self.lookup(number),
        }
    }

    /// Paths with parents are short, so this recursion ends soon.
    #[inline(never)]
    fn lookup(&mut self, number: u32) -> Option<&'a Value> {
        let path = self.paths.get(number as usize)?;
        let value = match &path.way {
            PathAccess::Root(key) => child(self.root, key),
            PathAccess::Below(parent, key) => child(self.value(*parent)?, key),
            PathAccess::Long => path.read(self.root),
        }?;
        self.known.insert(number, value);
        Some(value)
    }
}

impl<'a> AttributeReader<'a> for JsonReader<'a, '_> {
    type AttributeValue = &'a Value;

    #[inline(always)]
    fn read(&mut self, path: u32) -> Option<&'a Value> {
        self.value(path)
    }
}

/// Reads attributes from an application's own type.
pub struct AttributesReader<'a, 'm, T: ?Sized> {
    paths: &'a [Path],
    attributes: &'a T,
    known: &'m mut Memory<Attribute<'a>>,
}

impl<'a, T: Attributes + ?Sized> AttributeReader<'a> for AttributesReader<'a, '_, T> {
    type AttributeValue = Attribute<'a>;

    #[inline]
    fn read(&mut self, path: u32) -> Option<Attribute<'a>> {
        if let Some(attribute) = self.known.get(path) {
            return Some(attribute);
        }
        let text = &self.paths.get(path as usize)?.text;
        let attribute = self.attributes.attribute(text)?.normal();
        self.known.insert(path, attribute);
        Some(attribute)
    }
}
