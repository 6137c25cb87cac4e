//! The documents of a workspace as rules receive them: with id and path.

use std::sync::Arc;

use crate::diagnostic::Entity;
use crate::document::tree::DocumentKind;
use crate::parse::{Object, ParseError, Qualifier, Resource, Schema, Variable};

/// A readable document: its id, its path, and its content.
pub(super) type DocumentEntry<'a, T> = (&'a Arc<str>, &'a Arc<str>, &'a T);

/// A readable object: its resource, its key, its path, and its content.
pub(super) type ObjectEntry<'a> = (&'a str, &'a Arc<str>, &'a Arc<str>, &'a Object);

/// A document as rules look at it.
pub(super) enum CheckedDocument<'a> {
    Unreadable(DocumentKind, Entity, &'a ParseError),
    Variable(DocumentEntry<'a, Variable>),
    Qualifier(DocumentEntry<'a, Qualifier>),
    Resource(DocumentEntry<'a, Resource>),
    Object(ObjectEntry<'a>),
    Schema(DocumentEntry<'a, Schema>),
}
