//! The body of a request, and the context that it brings.

use std::fmt;
use std::str::FromStr;

use rototo::{ResolveContext, ResolveError};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::evaluation::fault::{Code, Fault};

/// The attribute of the protocol that says about whom or what an evaluation is.
const TARGETING_KEY: &str = "targetingKey";

/// The attribute of a workspace that `targetingKey` fills, such as `account.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetingAttribute {
    text: String,
    parts: Vec<String>,
}

/// The error of a text that can't be the path of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the path of an attribute, such as account.id")]
pub struct TargetingAttributeError(String);

impl FromStr for TargetingAttribute {
    type Err = TargetingAttributeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        if parts.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
            return Err(TargetingAttributeError(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl fmt::Display for TargetingAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Default for TargetingAttribute {
    fn default() -> Self {
        Self { text: TARGETING_KEY.to_owned(), parts: vec![TARGETING_KEY.to_owned()] }
    }
}

impl TargetingAttribute {
    /// Puts a targeting key into a context. An attribute that the context has already stays as it is.
    fn fill(&self, context: &mut Map<String, Value>, key: Value) {
        let Some((last, parents)) = self.parts.split_last() else { return };
        let mut object = context;
        for parent in parents {
            let entry = object.entry(parent.as_str()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = entry else { return };
            object = next;
        }
        object.entry(last.as_str()).or_insert(key);
    }
}

/// The context of an evaluation, with the targeting key at its place.
#[derive(Debug)]
pub(crate) struct EvaluationContext<'a> {
    pub(crate) facts: ResolveContext,
    /// The fields of the context whose names have a dot, as no attribute's do.
    dotted: Vec<String>,
    has_targeting_key: bool,
    attribute: &'a TargetingAttribute,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    context: Value,
}

impl<'a> EvaluationContext<'a> {
    /// Reads the context from the body of a request. A body without a context has an empty one.
    pub(crate) fn read(body: &[u8], attribute: &'a TargetingAttribute) -> Result<Self, Fault> {
        let refused = |reason: &dyn fmt::Display| {
            Fault::new(Code::ParseError, format!("the body is not a JSON object with a `context`: {reason}"))
        };
        // Serde reads a struct from a list, too.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(refused(&"it is a list"));
        }
        let Body { context } = serde_json::from_slice(body).map_err(|error| refused(&error))?;
        let mut context = match context {
            Value::Object(context) => context,
            Value::Null => Map::new(),
            _ => return Err(Fault::new(Code::InvalidContext, "`context` is not an object")),
        };
        let key = match context.remove(TARGETING_KEY) {
            // Some SDKs send an empty text where the application gave no key.
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => Some(Value::String(text)),
            Some(_) => return Err(Fault::new(Code::InvalidContext, "`targetingKey` is not a string")),
        };
        let dotted = context.keys().filter(|name| name.contains('.')).cloned().collect();
        let has_targeting_key = key.is_some();
        if let Some(key) = key {
            attribute.fill(&mut context, key);
        }
        let facts = ResolveContext::from_json(Value::Object(context));
        let facts = facts.map_err(|error| Fault::new(Code::InvalidContext, error.to_string()))?;
        Ok(Self { facts, dotted, has_targeting_key, attribute })
    }

    /// Returns the error of a resolution with this context.
    pub(super) fn fault(&self, error: &rototo::Error) -> Fault {
        let rototo::Error::Resolve(reason) = error else { return Fault::new(Code::General, error.to_string()) };
        match reason {
            ResolveError::UnknownVariable(_) => Fault::new(Code::FlagNotFound, reason.to_string()),
            ResolveError::MissingAttribute { attribute, .. } if self.lacks_targeting_key_at(attribute) => {
                let advice = self.advice(attribute);
                Fault::new(Code::TargetingKeyMissing, format!("the context has no targetingKey: {reason}{advice}"))
            }
            ResolveError::MissingAttribute { attribute, .. } => {
                Fault::new(Code::InvalidContext, format!("{reason}{}", self.advice(attribute)))
            }
            _ => Fault::new(Code::InvalidContext, reason.to_string()),
        }
    }

    /// Returns true if this attribute is missing because there is no targeting key.
    fn lacks_targeting_key_at(&self, attribute: &str) -> bool {
        !self.has_targeting_key && self.attribute.text == attribute
    }

    /// Returns advice for the sender of a context that has a field with the whole path of an attribute, instead of objects.
    fn advice(&self, attribute: &str) -> String {
        let found = self.dotted.iter().find(|name| *name == attribute);
        let Some((parents, field)) = found.and_then(|name| name.rsplit_once('.')) else { return String::new() };
        let objects = parents.replace('.', "` with an object `");
        format!("; it has a field named `{attribute}`: send an object `{objects}` with the field `{field}`")
    }

    /// Returns the context with any targeting key, if it has none.
    pub(super) fn with_any_targeting_key(&self) -> Option<ResolveContext> {
        if self.has_targeting_key {
            return None;
        }
        let Value::Object(mut context) = self.facts.value().clone() else { return None };
        self.attribute.fill(&mut context, Value::String("any".to_owned()));
        ResolveContext::from_json(Value::Object(context)).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &str, attribute: &str) -> Result<Value, Code> {
        let attribute = attribute.parse().unwrap();
        let context = EvaluationContext::read(body.as_bytes(), &attribute).map_err(|fault| fault.code)?;
        Ok(context.facts.value().clone())
    }

    #[test]
    fn the_targeting_key_fills_the_attribute_that_the_option_names() {
        let body = r#"{"context":{"targetingKey":"a","plan":"pro"}}"#;
        assert_eq!(read(body, "targetingKey"), Ok(json!({ "targetingKey": "a", "plan": "pro" })));
        assert_eq!(read(body, "account.id"), Ok(json!({ "account": { "id": "a" }, "plan": "pro" })));
    }

    #[test]
    fn an_attribute_of_the_context_comes_before_the_targeting_key() {
        let own = |account: &str| format!(r#"{{"context":{{"targetingKey":"a","account":{account}}}}}"#);
        let read = |account: &str| read(&own(account), "account.id");
        assert_eq!(read(r#"{"id":"b"}"#), Ok(json!({ "account": { "id": "b" } })));
        assert_eq!(read(r#"{"plan":"pro"}"#), Ok(json!({ "account": { "plan": "pro", "id": "a" } })));
        assert_eq!(read("7"), Ok(json!({ "account": 7 })));
    }

    #[test]
    fn no_key_an_empty_one_and_null_are_the_same() {
        for body in [r#"{"context":{}}"#, r#"{"context":{"targetingKey":""}}"#, r#"{"context":{"targetingKey":null}}"#]
        {
            assert_eq!(read(body, "account.id"), Ok(json!({})), "{body}");
        }
        assert_eq!(read("{}", "account.id"), Ok(json!({})));
        assert_eq!(read(r#"{"context":null}"#, "account.id"), Ok(json!({})));
    }

    #[test]
    fn bodies_that_the_protocol_does_not_have_are_refused() {
        for body in ["", "{", "[]", "7", "\"text\"", "{\"context\":{}} more", "\u{0}", "{\"context\":{\"a\":1e999}}"] {
            assert_eq!(read(body, "account.id"), Err(Code::ParseError), "{body}");
        }
        let deep = format!("{{\"context\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep, "account.id"), Err(Code::ParseError));
        for body in [r#"{"context":[]}"#, r#"{"context":7}"#, r#"{"context":{"targetingKey":7}}"#] {
            assert_eq!(read(body, "account.id"), Err(Code::InvalidContext), "{body}");
        }
    }

    #[test]
    fn a_field_with_the_path_of_an_attribute_is_no_attribute_and_has_advice() {
        let attribute = TargetingAttribute::default();
        let body = br#"{"context":{"account.id":"a","a.b.c":1,"plan":"pro"}}"#;
        let context = EvaluationContext::read(body, &attribute).unwrap();
        assert_eq!(
            context.advice("account.id"),
            "; it has a field named `account.id`: send an object `account` with the field `id`"
        );
        assert!(context.advice("a.b.c").ends_with("send an object `a` with an object `b` with the field `c`"));
        assert_eq!((context.advice("account.plan"), context.advice("plan")), (String::new(), String::new()));
    }

    #[test]
    fn paths_have_no_empty_parts() {
        for text in ["", ".", "a.", ".a", "a..b", "a b"] {
            assert!(text.parse::<TargetingAttribute>().is_err(), "{text}");
        }
    }
}
