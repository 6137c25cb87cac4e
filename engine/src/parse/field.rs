//! A field of a document as it was written: there, of the wrong type, or not there; and where.

use crate::document::text::Span;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the document.
    pub span: Span,
}

/// What stands in a field that should hold a `T`.
#[derive(Clone, Debug, PartialEq)]
pub enum Field<T> {
    /// A `T`.
    Present(Spanned<T>),
    /// Something else.
    Invalid(Span),
    /// Nothing. With the table it is missing from, or `None` when that is the document.
    Missing(Option<Span>),
}

impl<T> Field<T> {
    /// The value, if it is there.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        self.present().map(|present| &present.value)
    }

    /// The value and its place, if it is there.
    #[must_use]
    pub fn present(&self) -> Option<&Spanned<T>> {
        match self {
            Self::Present(present) => Some(present),
            Self::Invalid(_) | Self::Missing(_) => None,
        }
    }

    /// Where it is, or where it is missing; `None` is the document as a whole.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Present(Spanned { span, .. }) | Self::Invalid(span) => Some(*span),
            Self::Missing(span) => *span,
        }
    }
}
