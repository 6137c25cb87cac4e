//! The violations of a JSON Schema by a value: the place, the keyword, and a message with or without the value.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use serde_json::Value;

use crate::document::text::shortened;
use crate::parse::schema_cost::{MAX_CHECKS, SchemaCost, checks};
use crate::parse::{PathStep, Schema};

/// One violation.
pub(crate) struct Violation {
    /// The path from the root to the value, or to the key that should not exist.
    pub(crate) steps: Vec<PathStep>,
    /// The fault; the text may quote the value and the schema.
    pub(crate) message: String,
    keyword: String,
    missing: Option<String>,
}

/// The most reported violations of one value. Each is located in its document.
const MAX_VIOLATIONS: usize = 50;

/// Above this number of checks, collecting all violations takes too much memory.
const MAX_COLLECTED: u64 = 20_000;

/// The most bytes of the paths of collected results, each of which has its own.
const MAX_PATHS: u64 = 64 << 20;

/// The message about a value that requires too many checks: it violates no schema, but costs too much to read.
const TOO_MANY_CHECKS: &str = "its schema takes more than a million checks: name the same schema less often in `anyOf`, \
                               `oneOf`, and `allOf`, and let references follow each other less deeply";

impl Violation {
    /// Returns the violations of `schema` by `value`, up to a limit; none if the document is no schema.
    pub(crate) fn all(schema: &Schema, value: &Value) -> Vec<Self> {
        let (Ok(validator), Some(cost)) = (schema.validator(), schema.cost()) else { return Vec::new() };
        if has_too_many_checks(schema, value) {
            return vec![Self::at_root(TOO_MANY_CHECKS, "$ref")];
        }
        if validator.is_valid(value) {
            return Vec::new();
        }
        if !may_collect(schema, value) {
            return Self::first(schema, value, cost).into_iter().collect();
        }
        validator.iter_errors(value).take(MAX_VIOLATIONS).map(|error| Self::of(&error)).collect()
    }

    /// Returns the first violation, or at least the fact that there is one.
    fn first(schema: &Schema, value: &Value, cost: SchemaCost) -> Option<Self> {
        match cost {
            SchemaCost::Proportional => schema.validator().ok()?.validate(value).err().map(|error| Self::of(&error)),
            SchemaCost::PerValue | SchemaCost::Boundless => Some(Self::at_root("it is not as the schema says", "$ref")),
        }
    }

    fn at_root(message: &str, keyword: &str) -> Self {
        Self { steps: Vec::new(), message: message.to_owned(), keyword: keyword.to_owned(), missing: None }
    }

    fn of(error: &ValidationError<'_>) -> Self {
        let mut steps: Vec<PathStep> =
            error.instance_path().into_iter().map(|segment| PathStep::of(&segment)).collect();
        let unexpected = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected.first(),
            _ => None,
        };
        steps.extend(unexpected.cloned().map(PathStep::Key));
        let missing = match error.kind() {
            ValidationErrorKind::Required { property: Value::String(name) } => Some(name.clone()),
            _ => None,
        };
        Self {
            steps,
            message: shortened(&error.to_string()).into_owned(),
            keyword: error.kind().keyword().to_owned(),
            missing,
        }
    }

    /// Returns the path to the value as one text; empty at the root.
    pub(crate) fn key(&self) -> String {
        join(&self.steps)
    }

    /// Returns the fault, in words that hold neither the value nor anything that the schema compares it with.
    pub(crate) fn masked(&self) -> String {
        let at = if self.steps.is_empty() { "at its root".to_owned() } else { format!("at `{}`", self.key()) };
        let masked = match &self.missing {
            Some(name) => format!("`{name}` is missing {at}"),
            None => format!("`{}` is violated {at}", self.keyword),
        };
        shortened(&masked).into_owned()
    }
}

/// Returns whether a value requires too many checks, which is a violation of its own.
pub(crate) fn has_too_many_checks(schema: &Schema, value: &Value) -> bool {
    schema.cost() == Some(SchemaCost::PerValue) && checks(&schema.json, value) > MAX_CHECKS
}

/// Returns whether the results of all checks of a value fit into memory, with their paths.
pub(crate) fn may_collect(schema: &Schema, value: &Value) -> bool {
    let checks = checks(&schema.json, value);
    checks <= MAX_COLLECTED && checks.saturating_mul(longest_path(value)) <= MAX_PATHS
}

/// Returns the number of bytes of the longest path to a part of a value.
fn longest_path(value: &Value) -> u64 {
    let bytes = |key: &str| u64::try_from(key.len()).unwrap_or(u64::MAX);
    let longest = match value {
        Value::Object(members) => members.iter().map(|(key, member)| bytes(key) + longest_path(member)).max(),
        Value::Array(items) => items.iter().map(longest_path).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    longest.unwrap_or(0).saturating_add(1)
}

impl PathStep {
    fn of(segment: &LocationSegment<'_>) -> Self {
        match segment {
            LocationSegment::Property(name) => Self::Key(name.to_string()),
            LocationSegment::Index(index) => Self::Index(*index),
        }
    }
}

/// Joins the steps of a path to a text such as `limits.tiers[2].name`.
pub(crate) fn join(steps: &[PathStep]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            PathStep::Key(key) if text.is_empty() => text.push_str(key),
            PathStep::Key(key) => text.extend([".", key]),
            PathStep::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
