//! Identities of content: a [`Digest`] of bytes, and the [`Fingerprint`] of a whole workspace.
//!
//! ```
//! use rototo_engine::{Fingerprint, Tree};
//!
//! let mut tree = Tree::default();
//! tree.insert("variables/limit.toml", *b"type = \"int\"");
//! let fingerprint = tree.fingerprint();
//! assert_eq!(fingerprint.to_string().parse::<Fingerprint>()?, fingerprint);
//! assert_eq!(tree.clone().fingerprint(), fingerprint);
//! tree.remove("variables/limit.toml");
//! assert_ne!(tree.fingerprint(), fingerprint);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes; displayed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of `bytes`.
    ///
    /// ```
    /// let digest = rototo_engine::Digest::of(b"");
    /// assert!(digest.to_string().starts_with("e3b0c442"));
    /// ```
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    fn hex(&self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        hex
    }

    /// Returns the first bytes as a number that is never 0. They distinguish the few documents that one process reads.
    pub(crate) fn short_identity(&self) -> u64 {
        self.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)).max(1)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex().iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidFingerprint(text.to_owned());
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

/// The identity of a workspace's content: identical documents have one fingerprint, wherever they came from.
///
/// It is the SHA-256 over one line per document, in bytewise order of the paths: the path, a zero byte, the hexadecimal
/// SHA-256 of the document's bytes, and a line feed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Digest);

/// The number of bytes that fit into the fastest cache of the processor.
const HASHED_AT_ONCE: usize = 8 << 10;

impl Fingerprint {
    /// Returns the fingerprint of documents given as path and digest, in bytewise order of the paths.
    pub(crate) fn of<'a>(documents: impl Iterator<Item = (&'a str, Digest)>) -> Self {
        let (mut hash, mut lines) = (Sha256::new(), Vec::new());
        for (path, digest) in documents {
            lines.extend_from_slice(path.as_bytes());
            lines.push(0);
            lines.extend_from_slice(&digest.hex());
            lines.push(b'\n');
            // Hashing many lines at once is faster than hashing one after the other.
            if lines.len() > HASHED_AT_ONCE {
                hash.update(&lines);
                lines.clear();
            }
        }
        hash.update(&lines);
        Self(Digest(hash.finalize().into()))
    }

    /// Returns the first eight hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a fingerprint: it must be `sha256:` and 64 lower-case hexadecimal digits")]
pub struct InvalidFingerprint(String);

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").ok_or_else(|| InvalidFingerprint(text.to_owned()))?;
        digits.parse().map(Self).map_err(|_| InvalidFingerprint(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_and_others_are_refused() {
        let fingerprint = Fingerprint::of([("a", Digest::of(b"1"))].into_iter());
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        let text = fingerprint.to_string();
        for wrong in [&text[1..], &text[..70], &text.to_uppercase(), "", "sha256:", "sha256:ü"] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
