//! The checks of a rule: of one document after the other, or of the references between them.

use crate::document::tree::DocumentKind;
use crate::lint::entry::{DocumentEntry, ObjectEntry};
use crate::lint::references::References;
use crate::lint::{Findings, ScriptFaultKind, WorkspaceIndex};
use crate::parse::{Qualifier, Resource, Schema, Variable};

type OfDocument<T> = for<'a> fn(&WorkspaceIndex<'a>, DocumentEntry<'a, T>, &mut Findings<'_>);
type OfObject = for<'a> fn(&WorkspaceIndex<'a>, ObjectEntry<'a>, &mut Findings<'_>);
type OfWorkspace = fn(&WorkspaceIndex<'_>, &mut Findings<'_>);

/// A check, by the thing that it reads.
///
/// A check of a document may read only what [`super::affected`] knows of: whether the things that the document names
/// exist, and the content of a schema that the document, or the resource of an object, names. After it has found a
/// fault, it may also search for similar names.
#[derive(Debug)]
pub(super) enum Check {
    /// Faults in reading documents of that kind.
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
    /// The workspace as a whole. The check is cheap, and runs each time.
    Workspace(OfWorkspace),
    /// Faults in custom rules.
    Scripts(ScriptFaultKind),
    /// The uses of qualifiers and schemas. The check runs when a qualifier or a schema changes, or when anything
    /// becomes used or unused.
    References(fn(&References<'_>, &mut Findings<'_>)),
}
