//! What a rule looks at: one document after the other, or what lies between them.

use crate::document::tree::DocumentKind;
use crate::lint::entry::{DocumentEntry, ObjectEntry};
use crate::lint::references::References;
use crate::lint::{Findings, ScriptFaultKind, WorkspaceIndex};
use crate::parse::{Qualifier, Resource, Schema, Variable};

type OfDocument<T> = for<'a> fn(&WorkspaceIndex<'a>, DocumentEntry<'a, T>, &mut Findings<'_>);
type OfObject = for<'a> fn(&WorkspaceIndex<'a>, ObjectEntry<'a>, &mut Findings<'_>);
type OfWorkspace = fn(&WorkspaceIndex<'_>, &mut Findings<'_>);

/// What a rule looks at, and how it looks at it.
///
/// A check of a document may ask only for what [`super::affected`] knows of: whether something that the document names is
/// there, and what stands in a schema that the document, or the resource of an object, names. It may look for similar
/// names once it has found a fault.
#[derive(Debug)]
pub(super) enum Check {
    /// Whether documents of that kind could be read.
    Unreadable(DocumentKind),
    /// A variable.
    Variable(OfDocument<Variable>),
    /// A qualifier.
    Qualifier(OfDocument<Qualifier>),
    /// A resource.
    Resource(OfDocument<Resource>),
    /// An object of a resource.
    Object(OfObject),
    /// A schema.
    Schema(OfDocument<Schema>),
    /// What costs next to nothing, and is looked at each time.
    Workspace(OfWorkspace),
    /// What is wrong with the workspace's own rules.
    Scripts(ScriptFaultKind),
    /// What qualifiers and schemas are used for. Looked at when a qualifier, a schema, or whether something is used at all
    /// changes.
    References(fn(&References<'_>, &mut Findings<'_>)),
}
