//! The contents that a source can have, by their numbers.

use std::sync::LazyLock;

use rototo_engine::Fingerprint;

/// The fingerprints of all contents: every event compares some, so each is read once.
static CONTENTS: LazyLock<[Fingerprint; 6]> = LazyLock::new(|| {
    ["a", "b", "c", "d", "e", "f"].map(|digit| {
        // 64 hexadecimal digits always parse.
        format!("sha256:{}", digit.repeat(64)).parse().unwrap_or_else(|_| unreachable!("a fingerprint"))
    })
});

/// Returns the fingerprint of a content.
pub fn content(number: u8) -> Fingerprint {
    CONTENTS[usize::from(number) % CONTENTS.len()]
}

/// Returns the number of a content.
pub fn number(fingerprint: Fingerprint) -> u8 {
    (0..6).find(|one| content(*one) == fingerprint).unwrap_or(0)
}
