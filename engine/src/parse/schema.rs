//! `schemas/<name>.json`: a JSON Schema, compiled when it is first needed and never fetching another.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

use super::Fault;
use crate::text::{Lines, Span};

/// A schema as it was written.
#[derive(Debug)]
pub struct Schema {
    /// The document.
    pub json: Value,
    validator: OnceLock<Result<Validator, InvalidSchema>>,
}

/// Why a document is no JSON Schema.
#[derive(Clone, Debug)]
pub struct InvalidSchema {
    /// What is wrong with it.
    pub message: String,
    /// Where, as keys and indices from its root.
    pub(crate) pointer: String,
}

impl Schema {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let json = serde_json::from_slice(bytes).map_err(|error| {
            let start = Lines::of(bytes).byte_at(error.line(), error.column());
            Fault::at(Span { start, end: start + 1 }, format!("the file is not JSON: {error}"))
        })?;
        Ok(Self { json, validator: OnceLock::new() })
    }

    /// What checks a value against it.
    ///
    /// # Errors
    /// When the document is no JSON Schema, or refers to one outside of itself.
    pub fn validator(&self) -> Result<&Validator, &InvalidSchema> {
        let build = || {
            jsonschema::options().offline().build(&self.json).map_err(|error| InvalidSchema {
                message: error.to_string(),
                pointer: error.instance_path().to_string(),
            })
        };
        self.validator.get_or_init(build).as_ref()
    }
}
