//! Serves the page: its routes, the documents that they answer with, and the streams of them.

pub(crate) mod document;
pub(crate) mod routes;
pub(crate) mod source;
mod stream;
#[cfg(test)]
mod tests;
