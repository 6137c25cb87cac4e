//! `schemas/<name>.json`: a JSON Schema. It is compiled when it is first needed, and never fetches another one.

use std::sync::OnceLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::document::text::{Lines, Span, shortened};
use crate::parse::ParseError;
use crate::parse::duplicate_key::duplicate;
use crate::parse::foreign::{foreign_format, foreign_text};
use crate::parse::pattern;
use crate::parse::schema_cost::SchemaCost;
use crate::parse::schema_paths;
use crate::parse::schema_work::SchemaWork;

/// The most backtracking steps of a pattern with lookaround on one string. Other patterns never backtrack.
pub(super) const MAX_BACKTRACKS: u32 = 20_000;

/// The most memory that a pattern may keep between matches.
const MAX_PATTERN_CACHE: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A schema as it was written.
#[derive(Debug)]
pub struct Schema {
    /// The document.
    pub json: Value,
    /// The first key that its object has twice, and its place.
    pub(crate) duplicate: Option<(String, Span)>,
    checker: OnceLock<Result<Checker, InvalidSchema>>,
    /// What lint knows of the work of its checks.
    pub(super) work: OnceLock<SchemaWork>,
    /// The weight of its patterns.
    patterns: u64,
}

/// A compiled schema, and its cost.
#[derive(Debug)]
struct Checker {
    validator: Validator,
    cost: SchemaCost,
}

/// The reason for which a document is no JSON Schema.
#[derive(Clone, Debug)]
pub struct InvalidSchema {
    /// The fault.
    pub message: String,
    /// The place of the fault, as keys and indices from the root.
    pub(crate) pointer: String,
}

impl Schema {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if let Some(message) = foreign_format(bytes) {
            return Err(ParseError { span: None, message: message.to_owned() });
        }
        // A byte order mark is no part of the text, as in TOML.
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let before = bytes.len() - text.len();
        let json = serde_json::from_slice(text).map_err(|error| {
            let start = before + Lines::of(text).byte_at(error.line(), error.column());
            let foreign = std::str::from_utf8(bytes).ok().and_then(|text| foreign_text(text, start));
            let message = foreign.map_or_else(|| error.to_string(), str::to_owned);
            ParseError::at(Span { start, end: start + 1 }, format!("the file is not JSON: {message}"))
        })?;
        let duplicate = duplicate(text).map(|(key, place)| {
            let (start, end) = (before + place.start, before + place.end);
            (key, Span { start, end })
        });
        let patterns = pattern::all(&json);
        Ok(Self { json, duplicate, checker: OnceLock::new(), work: OnceLock::new(), patterns })
    }

    /// The weight of the patterns that are compiled with this schema; none if they exceed its limit.
    pub(crate) fn compiled_patterns(&self) -> u64 {
        if pattern::too_heavy(self.patterns) { 0 } else { self.patterns }
    }

    /// Returns the validator of this schema.
    ///
    /// # Errors
    /// When the document is no JSON Schema, refers to another document, or has excessive patterns.
    pub fn validator(&self) -> Result<&Validator, &InvalidSchema> {
        self.checker().map(|checker| &checker.validator)
    }

    /// Returns the cost of its checks; `None` if the document is no schema.
    pub(crate) fn cost(&self) -> Option<SchemaCost> {
        self.checker().ok().map(|checker| checker.cost)
    }

    fn checker(&self) -> Result<&Checker, &InvalidSchema> {
        self.checker.get_or_init(|| Checker::build(&self.json, self.patterns)).as_ref()
    }
}

impl Checker {
    fn build(schema: &Value, patterns: u64) -> Result<Self, InvalidSchema> {
        let too_much = |message: &str| Err(InvalidSchema { message: message.to_owned(), pointer: String::new() });
        if pattern::too_heavy(patterns) {
            return too_much(
                "its patterns are too large: repeat less with `{n}`, use fewer of them, and write none with the flag `x`, \
                 `(?#…)`, or `\\g<…>`",
            );
        }
        if schema_paths::too_long(schema) {
            return too_much("its names are too long for the number of parts below them: shorten them");
        }
        let cost = SchemaCost::of(schema);
        if cost == SchemaCost::Boundless {
            return too_much(
                "its references lead to more than a million schemas: name the same schema less often in `anyOf`, \
                 `oneOf`, and `allOf`",
            );
        }
        let backtracks = usize::try_from(MAX_BACKTRACKS).unwrap_or(usize::MAX);
        let patterns = PatternOptions::fancy_regex().backtrack_limit(backtracks).dfa_size_limit(MAX_PATTERN_CACHE);
        let built = jsonschema::options().with_pattern_options(patterns).offline().build(schema);
        let validator = built.map_err(|error| InvalidSchema {
            message: shortened(&error.to_string()).into_owned(),
            pointer: error.instance_path().to_string(),
        })?;
        Ok(Self { validator, cost })
    }
}
