//! Explains why a value is not of the application's type: by names of fields, kinds, and types, and never by the value.
//!
//! Serde's own messages quote values, and so may those of the application's types. Here the value is read once more with
//! an error that keeps no message: it takes the kind from the value, and the expected type from its visitor before the
//! visitor sees the value.

use std::fmt::Display;

use rototo_engine::text::{readable, shortened_to};
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Number, Value, map};

/// Returns the reason why `value` is not a `T`, with the path to the part that does not fit.
pub(crate) fn explain<T: DeserializeOwned>(value: &Value) -> String {
    let misfit = Node::Value(value).seed(std::marker::PhantomData::<T>).err().unwrap_or_default();
    let reason = misfit.reason.unwrap_or_else(|| "its type refuses it".to_owned());
    match misfit.path.as_str() {
        "" => reason,
        path => format!("at `{path}`: {reason}"),
    }
}

/// The part that does not fit: its path, and the reason once it is known.
#[derive(Debug, Default, thiserror::Error)]
#[error("a value does not fit")]
struct Misfit {
    path: String,
    reason: Option<String>,
}

impl Misfit {
    fn because(reason: String) -> Self {
        Self { path: String::new(), reason: Some(reason) }
    }

    /// Adds the reason, unless the part that does not fit is a smaller one.
    fn or(mut self, reason: impl FnOnce() -> String) -> Self {
        self.reason.get_or_insert_with(reason);
        self
    }

    /// Adds a segment before the path.
    fn below(mut self, segment: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, &format!("{segment}{joint}"));
        self
    }
}

impl serde::de::Error for Misfit {
    /// Drops the message, which may quote the value.
    fn custom<M: Display>(_: M) -> Self {
        Self::default()
    }

    fn missing_field(field: &'static str) -> Self {
        Self::because(format!("missing field `{field}`"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let names: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        Self::because(format!("none of {}", names.join(", ")))
    }
}

/// Returns a key of the workspace as a short text of one line.
fn one_line(key: &str) -> String {
    const LONGEST: usize = 100;
    shortened_to(&readable(&shortened_to(key, LONGEST)), LONGEST).into_owned()
}

/// A value or a key of an object, which is deserialized as serde_json does it.
#[derive(Clone, Copy)]
enum Node<'a> {
    Value(&'a Value),
    Key(&'a str),
}

impl<'de> Node<'de> {
    fn kind(self) -> &'static str {
        match self {
            Self::Value(Value::Null) => "null",
            Self::Value(Value::Bool(_)) => "a bool",
            Self::Value(Value::Number(number)) if number.is_f64() => "a number",
            Self::Value(Value::Number(_)) => "an integer",
            Self::Value(Value::String(_)) | Self::Key(_) => "a string",
            Self::Value(Value::Array(_)) => "a list",
            Self::Value(Value::Object(_)) => "an object",
        }
    }

    fn seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Misfit> {
        // A type that converts another one may refuse what its visitor took.
        seed.deserialize(self).map_err(|misfit| misfit.or(|| format!("{} that its type refuses", self.kind())))
    }

    fn visit<V: Visitor<'de>>(
        self,
        visitor: V,
        visit: impl FnOnce(V) -> Result<V::Value, Misfit>,
    ) -> Result<V::Value, Misfit> {
        let expected = (&visitor as &dyn Expected).to_string();
        visit(visitor).map_err(|misfit| misfit.or(|| format!("{} where {expected} is expected", self.kind())))
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, Misfit> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(number), _, _) => visitor.visit_u64(number),
        (_, Some(number), _) => visitor.visit_i64(number),
        (_, _, Some(number)) => visitor.visit_f64(number),
        _ => Err(Misfit::default()),
    }
}

/// The methods for types that a key may be, too, if its text is one.
macro_rules! deserialize_plain {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match self {
                Self::Key(key) => self.visit(visitor, |visitor| match serde_json::from_str(key) {
                    Ok(Value::Number(number)) => visit_number(&number, visitor),
                    Ok(Value::Bool(is_set)) => visitor.visit_bool(is_set),
                    _ => visitor.visit_borrowed_str(key),
                }),
                Self::Value(_) => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.visit(visitor, |visitor| match self {
            Self::Key(text) => visitor.visit_borrowed_str(text),
            Self::Value(Value::String(text)) => visitor.visit_borrowed_str(text),
            Self::Value(Value::Null) => visitor.visit_unit(),
            Self::Value(Value::Bool(is_set)) => visitor.visit_bool(*is_set),
            Self::Value(Value::Number(number)) => visit_number(number, visitor),
            Self::Value(Value::Array(list)) => {
                let mut elements = Elements(list.iter().enumerate());
                let visited = visitor.visit_seq(&mut elements)?;
                elements.0.next().map_or(Ok(visited), |_| Err(Misfit::default()))
            }
            Self::Value(Value::Object(object)) => {
                let mut entries = Entries::new(object);
                let visited = visitor.visit_map(&mut entries)?;
                entries.left.next().map_or(Ok(visited), |_| Err(Misfit::default()))
            }
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Self::Value(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.visit(visitor, |visitor| match self {
            Self::Key(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Self::Value(Value::String(name)) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Self::Value(Value::Object(object)) if object.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::new(object)))
            }
            Self::Value(_) => Err(Misfit::default()),
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    deserialize_plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

struct Elements<'a>(std::iter::Enumerate<std::slice::Iter<'a, Value>>);

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        Node::Value(value).seed(seed).map(Some).map_err(|misfit| misfit.below(&format!("[{index}]")))
    }
}

struct Entries<'a> {
    left: map::Iter<'a>,
    /// The entry whose key was read last.
    entry: Option<(&'a str, &'a Value)>,
}

impl<'a> Entries<'a> {
    fn new(object: &'a Map<String, Value>) -> Self {
        Self { left: object.iter(), entry: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.entry = Some((key, value));
        let read = seed.deserialize(Node::Key(key)).map(Some);
        read.map_err(|_| Misfit::because(format!("unexpected field `{}`", one_line(key))))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let (key, value) = self.entry.take().ok_or_else(Misfit::default)?;
        Node::Value(value).seed(seed).map_err(|misfit| misfit.below(&one_line(key)))
    }
}

#[cfg(test)]
#[expect(dead_code, reason = "what serde fills is not read")]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;
    use std::num::NonZeroU8;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Policy {
        max_concurrency: u64,
        #[serde(default)]
        limits: BTreeMap<u32, Limit>,
        #[serde(default)]
        mode: Option<Mode>,
        #[serde(default)]
        hosts: Vec<(Ipv4Addr, NonZeroU8)>,
        #[serde(default)]
        text: Option<Word>,
    }

    #[derive(Deserialize)]
    struct Limit {
        burst: Option<u8>,
        rate: f64,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
        Slow { by: Limit },
    }

    /// A type whose own message quotes the value.
    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Word(String);

    impl TryFrom<String> for Word {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("unknown word {text}"))
        }
    }

    fn explained(more: Value) -> String {
        let mut policy = json!({ "max_concurrency": 10 });
        policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert!(Policy::deserialize(&policy).is_err(), "{policy}");
        explain::<Policy>(&policy)
    }

    #[test]
    fn a_reason_names_the_part_that_does_not_fit() {
        assert_eq!(explain::<Policy>(&json!({})), "missing field `max_concurrency`");
        assert_eq!(explain::<Policy>(&json!(true)), "a bool where struct Policy is expected");
        assert_eq!(explain::<u8>(&json!(-1)), "an integer where u8 is expected");
        assert_eq!(explained(json!({ "burst": 1 })), "unexpected field `burst`");
        assert_eq!(explained(json!({ "limits": { "x": {} } })), "at `limits`: unexpected field `x`");
        assert_eq!(explained(json!({ "limits": { "10": {} } })), "at `limits.10`: missing field `rate`");
        let burst = |burst: Value| explained(json!({ "limits": { "1": { "rate": 2, "burst": burst } } }));
        assert_eq!(burst(json!("7")), "at `limits.1.burst`: a string where u8 is expected");
        assert_eq!(burst(json!(300)), "at `limits.1.burst`: an integer where u8 is expected");
        assert_eq!(burst(json!(0.5)), "at `limits.1.burst`: a number where u8 is expected");
        assert_eq!(explained(json!({ "mode": "quick" })), "at `mode`: none of `fast`, `slow`");
        assert_eq!(
            explained(json!({ "mode": { "slow": { "by": 1 } } })),
            "at `mode.slow.by`: an integer where struct Limit is expected"
        );
        assert_eq!(
            explained(json!({ "hosts": [["::1", 1]] })),
            "at `hosts[0][0]`: a string where IPv4 address is expected"
        );
        assert_eq!(
            explained(json!({ "hosts": [["127.0.0.1", 0]] })),
            "at `hosts[0][1]`: an integer where a nonzero u8 is expected"
        );
        assert_eq!(explained(json!({ "text": "word" })), "at `text`: a string that its type refuses");
    }

    #[test]
    fn no_reason_holds_a_value_whatever_the_type_says() {
        /// Says everything that it sees, in every way in which serde takes words.
        struct Chatty;
        impl<'de> Deserialize<'de> for Chatty {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::{Error, Unexpected};
                let text = String::deserialize(deserializer)?;
                let said = format!("missing field `{text}`");
                Err(match text.len() % 4 {
                    0 => D::Error::custom(said),
                    1 => D::Error::invalid_value(Unexpected::Other(&said), &said.as_str()),
                    2 => D::Error::invalid_type(Unexpected::Str(&said), &said.as_str()),
                    _ => D::Error::unknown_field(&said, &[]),
                })
            }
        }
        for canary in ["canary", "canary-", "canary--", "canary---"] {
            for value in [json!(canary), json!([canary]), json!({ "limit": canary })] {
                let reasons = [
                    explain::<Chatty>(&value),
                    explain::<Vec<Chatty>>(&value),
                    explain::<BTreeMap<String, Chatty>>(&value),
                    explain::<BTreeMap<String, Mode>>(&value),
                    explain::<Policy>(&value),
                ];
                assert!(reasons.iter().all(|reason| !reason.contains("canary")), "{reasons:?}");
                if value.is_object() {
                    assert_eq!(reasons[2], "at `limit`: a string that its type refuses");
                }
            }
        }
    }
}
