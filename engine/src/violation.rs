//! How a value breaks a JSON Schema: where, which keyword, and in words with or without the value.

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::parse::Step;

/// One violation.
pub(crate) struct Violation {
    /// The way from the root to the value, or to the key that should not be there.
    pub(crate) steps: Vec<Step>,
    /// What is wrong; may quote the value and the schema.
    pub(crate) message: String,
    keyword: String,
    missing: Option<String>,
}

/// How many violations of one value are worth telling; each is looked up in its document.
const MAX_VIOLATIONS: usize = 50;

impl Violation {
    /// The ways in which `value` breaks a schema, up to a number that nobody reads beyond.
    pub(crate) fn all(validator: &Validator, value: &Value) -> Vec<Self> {
        if validator.is_valid(value) {
            return Vec::new();
        }
        validator.iter_errors(value).take(MAX_VIOLATIONS).map(|error| Self::of(&error)).collect()
    }

    fn of(error: &ValidationError<'_>) -> Self {
        let mut steps: Vec<Step> = error.instance_path().into_iter().map(|segment| Step::of(&segment)).collect();
        let unexpected = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected.first(),
            _ => None,
        };
        steps.extend(unexpected.cloned().map(Step::Key));
        let missing = match error.kind() {
            ValidationErrorKind::Required { property: Value::String(name) } => Some(name.clone()),
            _ => None,
        };
        Self { steps, message: error.to_string(), keyword: error.kind().keyword().to_owned(), missing }
    }

    /// The way to the value as one text; empty at the root.
    pub(crate) fn key(&self) -> String {
        join(&self.steps)
    }

    /// What is wrong in words that hold neither the value nor anything the schema compares it with.
    pub(crate) fn masked(&self) -> String {
        let at = if self.steps.is_empty() { "at its root".to_owned() } else { format!("at `{}`", self.key()) };
        match &self.missing {
            Some(name) => format!("`{name}` is missing {at}"),
            None => format!("`{}` is violated {at}", self.keyword),
        }
    }
}

impl Step {
    fn of(segment: &LocationSegment<'_>) -> Self {
        match segment {
            LocationSegment::Property(name) => Self::Key(name.to_string()),
            LocationSegment::Index(index) => Self::Index(*index),
        }
    }
}

/// `limits.tiers[2].name`
pub(crate) fn join(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
