//! What came of reading one document: its content, or a fault in its place.

use std::sync::Arc;

use crate::document::text::Span;

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where; `None` for the document as a whole.
    pub span: Option<Span>,
    /// What is wrong there.
    pub message: String,
}

impl ParseError {
    pub(super) fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into() }
    }
}

/// A document of one kind: where it stands, and what was read there.
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

    /// What was read, if it could be read.
    #[must_use]
    pub fn content(&self) -> Option<&T> {
        self.outcome.as_ref().as_ref().ok()
    }

    /// Why it could not be read.
    #[must_use]
    pub fn fault(&self) -> Option<&ParseError> {
        self.outcome.as_ref().as_ref().err()
    }

    /// Whether both are the same document, read once: what did not change is taken over from one workspace to the next.
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
