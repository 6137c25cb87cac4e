//! Finds the first key that an object of a JSON document has twice. The parser keeps the last of them silently.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::document::text::{Lines, Span};

/// Returns the first key that occurs twice in one object of a document that is JSON, and its place: the key with its
/// quotes.
pub(super) fn duplicate(text: &[u8]) -> Option<(String, Span)> {
    let found = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let error = UniqueKeys { found: &found }.deserialize(&mut reader).err()?;
    let key = found.into_inner()?;
    // The reader stands behind the key.
    let end = Lines::of(text).byte_at(error.line(), error.column() + 1);
    let start = text.get(..end.saturating_sub(1)).and_then(|before| before.iter().rposition(|byte| *byte == b'"'));
    Some((key, Span { start: start.unwrap_or(end), end }))
}

/// A value whose objects have each key once; the first other key is kept in `found`.
#[derive(Clone, Copy)]
struct UniqueKeys<'f> {
    found: &'f RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for UniqueKeys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                *self.found.borrow_mut() = Some(key);
                return Err(A::Error::custom("a key occurs twice"));
            }
            keys.insert(key);
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, usize)>) {
        let found = duplicate(text.as_bytes());
        let found = found.as_ref().map(|(key, span)| (key.as_str(), span.start));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_second_of_two_equal_keys_is_found() {
        check("{\"a\": 1, \"a\": 2}", Some(("a", 9)));
        check("{\"x\": [{\"a\": 1.5,\n \"a\": null}]}", Some(("a", 19)));
        check("{\"a\": {\"a\": true}, \"b\": {\"a\": -1}}", None);
        check("[\"a\", \"a\"]", None);
        check("7", None);
    }
}
