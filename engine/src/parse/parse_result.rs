//! The result of reading one document: its content, or an error in its place.

use std::sync::Arc;

use crate::document::text::Span;

/// The reason for which a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The place of the error; `None` for the whole document.
    pub span: Option<Span>,
    /// The error at that place.
    pub message: String,
}

impl ParseError {
    pub(super) fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into() }
    }
}

/// A document of one kind: its path and its content.
#[derive(Debug)]
pub struct Parse<T> {
    /// Its path in the workspace.
    pub path: Arc<str>,
    outcome: Arc<Result<T, ParseError>>,
}

impl<T> Parse<T> {
    pub(super) fn new(path: &Arc<str>, outcome: Result<T, ParseError>) -> Self {
        Self { path: Arc::clone(path), outcome: Arc::new(outcome) }
    }

    /// Returns the content, if the document could be read.
    #[must_use]
    pub fn content(&self) -> Option<&T> {
        self.outcome.as_ref().as_ref().ok()
    }

    /// Returns the error, if the document could not be read.
    #[must_use]
    pub fn fault(&self) -> Option<&ParseError> {
        self.outcome.as_ref().as_ref().err()
    }

    /// Returns whether both are the same document, read once: unchanged documents pass from one workspace to the next.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.outcome, &other.outcome)
    }
}

impl<T> Clone for Parse<T> {
    fn clone(&self) -> Self {
        Self { path: Arc::clone(&self.path), outcome: Arc::clone(&self.outcome) }
    }
}
