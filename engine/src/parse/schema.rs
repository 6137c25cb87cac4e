//! `schemas/<name>.json`: a JSON Schema, compiled when it is first needed and never fetching another.

use std::sync::OnceLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::document::text::{Lines, Span, shortened};
use crate::parse::ParseError;
use crate::parse::pattern;
use crate::parse::schema_cost::SchemaCost;

/// How often a pattern with lookaround may change its mind about one string. Other patterns never do.
const MAX_BACKTRACKS: usize = 20_000;

/// The most memory of what a pattern remembers between matches.
const MAX_PATTERN_CACHE: usize = 1 << 20;

/// A schema as it was written.
#[derive(Debug)]
pub struct Schema {
    /// The document.
    pub json: Value,
    checker: OnceLock<Result<Checker, InvalidSchema>>,
}

/// A compiled schema, and how much work it can make.
#[derive(Debug)]
struct Checker {
    validator: Validator,
    cost: SchemaCost,
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
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let json = serde_json::from_slice(bytes).map_err(|error| {
            let start = Lines::of(bytes).byte_at(error.line(), error.column());
            ParseError::at(Span { start, end: start + 1 }, format!("the file is not JSON: {error}"))
        })?;
        Ok(Self { json, checker: OnceLock::new() })
    }

    /// What checks a value against it.
    ///
    /// # Errors
    /// When the document is no JSON Schema, refers to one outside of itself, or has patterns beyond all measure.
    pub fn validator(&self) -> Result<&Validator, &InvalidSchema> {
        self.checker().map(|checker| &checker.validator)
    }

    /// How much work its checks can make; nothing for what is no schema.
    pub(crate) fn cost(&self) -> Option<SchemaCost> {
        self.checker().ok().map(|checker| checker.cost)
    }

    fn checker(&self) -> Result<&Checker, &InvalidSchema> {
        self.checker.get_or_init(|| Checker::build(&self.json)).as_ref()
    }
}

impl Checker {
    fn build(schema: &Value) -> Result<Self, InvalidSchema> {
        let too_much = |message: &str| Err(InvalidSchema { message: message.to_owned(), pointer: String::new() });
        if pattern::too_heavy(schema) {
            return too_much("its patterns are too large: repeat less with `{n}`, or use fewer of them");
        }
        let cost = SchemaCost::of(schema);
        if cost == SchemaCost::Boundless {
            return too_much(
                "its references lead to more than a million schemas: name the same schema less often in `anyOf`, `oneOf`, and `allOf`",
            );
        }
        let patterns = PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS).dfa_size_limit(MAX_PATTERN_CACHE);
        let built = jsonschema::options().with_pattern_options(patterns).offline().build(schema);
        let validator = built.map_err(|error| InvalidSchema {
            message: shortened(&error.to_string()).into_owned(),
            pointer: error.instance_path().to_string(),
        })?;
        Ok(Self { validator, cost })
    }
}
