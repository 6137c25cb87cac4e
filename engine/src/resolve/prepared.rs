//! A context whose paths were read in advance, for many resolutions with the same attributes.

use std::sync::Arc;

use serde_json::Value;

use crate::compile::compiled::Compiled;
use crate::compile::paths::Paths;
use crate::resolve::context::Context;
use crate::resolve::facts::{AttributeReader, AttributeSource, JsonReader};
use crate::resolve::memory::Memory;
use crate::resolve::outcome::ResolveError;
use crate::value::attribute::Attribute;

/// A [`Context`] with the values of all paths that a workspace may read.
///
/// It resolves with every workspace. With a workspace that reads other paths it is as slow as the context, until it is
/// [prepared](Compiled::prepare_again) again. Most changes to a workspace read no new path.
///
/// ```
/// # use rototo_engine::{Tree, compile, parse};
/// # let files = [
/// #     ("rototo-workspace.toml", "schema_version = 1"),
/// #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
/// # ];
/// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
/// # let compiled = compile(&parse(tree))?;
/// use rototo_engine::Context;
///
/// let mut prepared = compiled.prepare(Context::from_json(serde_json::json!({ "plan": "pro" }))?);
/// assert_eq!(compiled.resolve_qualifier("pro", &prepared), Ok(true));
/// compiled.prepare_again(&mut prepared);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    context: Context,
    paths: Arc<Paths>,
    /// The value at each path.
    values: Box<[PreparedValue]>,
}

#[derive(Clone, Debug)]
enum PreparedValue {
    Missing,
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(Box<str>),
    /// A list or an object, which stays in the context.
    Json,
}

impl Compiled {
    /// Reads all paths that this workspace may read from a context.
    #[must_use]
    pub fn prepare(&self, context: Context) -> Prepared {
        let values = Prepared::lookup(&context, self.paths());
        Prepared { context, paths: Arc::clone(self.paths()), values }
    }

    /// Prepares a context for this workspace. Does nothing if it was prepared for the same paths.
    pub fn prepare_again(&self, prepared: &mut Prepared) {
        if !prepared.is_for(self) {
            prepared.values = Prepared::lookup(&prepared.context, self.paths());
            prepared.paths = Arc::clone(self.paths());
        }
    }
}

impl Prepared {
    /// Returns the context that it was made from.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns whether it was prepared for the paths that this workspace reads.
    #[must_use]
    #[inline]
    pub fn is_for(&self, compiled: &Compiled) -> bool {
        // This value holds the paths, so no other allocation can have their address.
        Arc::ptr_eq(&self.paths, compiled.paths())
    }

    fn lookup(context: &Context, paths: &Paths) -> Box<[PreparedValue]> {
        paths.items().iter().map(|path| PreparedValue::of(path.read(context.value()))).collect()
    }
}

impl PreparedValue {
    fn of(value: Option<&Value>) -> Self {
        match value.map(Attribute::from) {
            None => Self::Missing,
            Some(Attribute::Null) => Self::Null,
            Some(Attribute::Bool(bool)) => Self::Bool(bool),
            Some(Attribute::Integer(integer)) => Self::Integer(integer),
            Some(Attribute::Unsigned(integer)) => Self::Unsigned(integer),
            Some(Attribute::Float(float)) => Self::Float(float),
            Some(Attribute::Text(text)) => Self::Text(text.into()),
            Some(Attribute::Json(_)) => Self::Json,
        }
    }
}

impl AttributeSource for Prepared {
    /// Only values that were not prepared must be remembered.
    type Memory<'a> = Option<Memory<&'a Value>>;
    type AttributeReader<'a, 'm>
        = PreparedReader<'a, 'm>
    where
        'a: 'm;

    #[inline(always)]
    fn memory<'a>() -> Option<Memory<&'a Value>> {
        None
    }

    #[inline(always)]
    fn reader<'a, 'm>(
        &'a self,
        compiled: &'a Compiled,
        memory: &'m mut Option<Memory<&'a Value>>,
    ) -> PreparedReader<'a, 'm> {
        if self.is_for(compiled) {
            PreparedReader::Ready(self)
        } else {
            let memory = memory.get_or_insert_with(Memory::new);
            PreparedReader::Other(JsonReader::new(self.context.value(), compiled, memory))
        }
    }

    #[inline]
    fn check(&self, compiled: &Compiled) -> Result<(), ResolveError> {
        compiled.validate_context(&self.context)
    }
}

/// Reads prepared values or, for a workspace with other paths, the context itself.
pub enum PreparedReader<'a, 'm> {
    /// The prepared values belong to the workspace's paths.
    Ready(&'a Prepared),
    /// The prepared values belong to other paths.
    Other(JsonReader<'a, 'm>),
}

impl<'a> AttributeReader<'a> for PreparedReader<'a, '_> {
    type AttributeValue = Attribute<'a>;

    #[inline(always)]
    fn read(&mut self, path: u32) -> Option<Attribute<'a>> {
        let prepared = match self {
            Self::Ready(prepared) => *prepared,
            Self::Other(reader) => return reader.read(path).map(Attribute::from),
        };
        Some(match prepared.values.get(path as usize)? {
            PreparedValue::Missing => return None,
            PreparedValue::Null => Attribute::Null,
            PreparedValue::Bool(bool) => Attribute::Bool(*bool),
            PreparedValue::Integer(integer) => Attribute::Integer(*integer),
            PreparedValue::Unsigned(integer) => Attribute::Unsigned(*integer),
            PreparedValue::Float(float) => Attribute::Float(*float),
            PreparedValue::Text(text) => Attribute::Text(text),
            PreparedValue::Json => {
                Attribute::Json(prepared.paths.items().get(path as usize)?.read(prepared.context.value())?)
            }
        })
    }
}
