//! Documents, as checks get them.

use crate::diagnostic::Entity;
use crate::document::tree::DocumentKind;
use crate::parse::{Object, ParseError, Qualifier, Resource, Schema, Variable};
use std::sync::Arc;

/// A readable document: its id, its path, and its content.
pub(crate) type DocumentEntry<'a, T> = (&'a Arc<str>, &'a Arc<str>, &'a T);

/// A readable object: its resource, its key, its path, and its content.
pub(crate) type ObjectEntry<'a> = (&'a str, &'a Arc<str>, &'a Arc<str>, &'a Object);

/// A document as rules look at it.
pub(crate) enum CheckedDocument<'a> {
    Unreadable(DocumentKind, Entity, &'a ParseError),
    Variable(DocumentEntry<'a, Variable>),
    Qualifier(DocumentEntry<'a, Qualifier>),
    Resource(DocumentEntry<'a, Resource>),
    Object(ObjectEntry<'a>),
    Schema(DocumentEntry<'a, Schema>),
}
