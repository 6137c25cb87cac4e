//! Stable buckets: the same salt and value give the same one of 10,000 buckets, in every process and every version.

use std::fmt::{self, Write as _};

use serde_json::Value;

use crate::value::attribute::{Attribute, AttributeValue};

/// The number of buckets.
pub const BUCKETS: u16 = 10_000;

const OFFSET_BASIS: u64 = 14_695_981_039_346_656_037;
const PRIME: u64 = 1_099_511_628_211;

/// Returns the bucket of `value` under `salt`: FNV-1a over the salt, a colon, and the value. A string is hashed as it
/// is, and any other value as its JSON text.
///
/// ```
/// let bucket = rototo_engine::bucket("service-degradation-recovery-2026-06", &"acct-001".into());
/// assert_eq!(bucket, 540);
/// ```
#[must_use]
pub fn bucket(salt: &str, value: &Value) -> u16 {
    Salted::new(salt).bucket(value)
}

/// The hash of a salt and its colon, which each value continues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Salted(Hash);

impl Salted {
    pub(crate) fn new(salt: &str) -> Self {
        let mut hash = Hash(OFFSET_BASIS);
        hash.update(salt.as_bytes());
        hash.update(b":");
        Self(hash)
    }

    #[inline(always)]
    pub(crate) fn bucket<'a>(self, found: impl AttributeValue<'a>) -> u16 {
        let Self(mut hash) = self;
        match found.text() {
            Some(text) => hash.update(text.as_bytes()),
            None => hash.update_json(found.attribute()),
        }
        u16::try_from(hash.0 % u64::from(BUCKETS)).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Hash(u64);

impl Hash {
    #[inline]
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }

    fn update_json(&mut self, attribute: Attribute<'_>) {
        // Writing into a hash cannot fail.
        let _ = match attribute {
            Attribute::Json(value) => write!(self, "{value}"),
            scalar => write!(self, "{}", scalar.to_json()),
        };
    }
}

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_answer_holds() {
        let rows: Vec<Value> = serde_json::from_str(include_str!("../../tests/vectors/buckets.json")).unwrap();
        assert_eq!(rows.len(), 125);
        for row in rows {
            let salt = row["salt"].as_str().unwrap();
            assert_eq!(Value::from(bucket(salt, &row["value"])), row["bucket"], "{row}");
        }
    }

    /// The bucket is that of the JSON text, so numbers that are equal may differ: as in the reference, and for ever.
    #[test]
    fn a_number_is_hashed_as_it_is_written() {
        let of = |json: &str| bucket("s", &serde_json::from_str(json).unwrap());
        for (number, bucket) in [
            ("1000", 1641),
            ("1000.0", 6527),
            ("1e3", 6527),
            ("18446744073709551615", 8041),
            ("18446744073709551616", 5452),
            ("18446744073709551617", 5452),
        ] {
            assert_eq!(of(number), bucket, "{number}");
        }
    }
}
