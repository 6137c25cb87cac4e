//! A field of a document as it was written: present, of the wrong type, or missing; with its place.

use crate::document::text::Span;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the document.
    pub span: Span,
}

/// The content of a field that should hold a `T`.
#[derive(Clone, Debug, PartialEq)]
pub enum Field<T> {
    /// A `T`.
    Present(Spanned<T>),
    /// A value of another type.
    Invalid(Span),
    /// Nothing. The span is that of the table without the field, or `None` if that is the document.
    Missing(Option<Span>),
}

impl<T> Field<T> {
    /// Returns the value, if it is present.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        self.present().map(|present| &present.value)
    }

    /// Returns the value and its place, if it is present.
    #[must_use]
    pub fn present(&self) -> Option<&Spanned<T>> {
        match self {
            Self::Present(present) => Some(present),
            Self::Invalid(_) | Self::Missing(_) => None,
        }
    }

    /// Returns the place of the field, or of the table without it; `None` is the whole document.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Present(Spanned { span, .. }) | Self::Invalid(span) => Some(*span),
            Self::Missing(span) => *span,
        }
    }
}
