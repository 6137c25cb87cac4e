//! Decodes OpenPGP keys in ASCII armor, as `gpgv` reads them only in binary.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Returns the packets of all keys in a text; `None` where it holds none, or a damaged one.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut packets = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while lines.by_ref().any(|line| line == BEGIN) {
        // Headers such as `Comment: …` end with an empty line.
        lines.by_ref().find(|line| line.is_empty())?;
        let mut encoded = String::new();
        loop {
            match lines.next()? {
                line if line == END => break,
                // The checksum. Nothing depends on it: a damaged key fits no signature.
                line if line.starts_with('=') => {}
                line => encoded.push_str(line),
            }
        }
        packets.extend(STANDARD.decode(encoded).ok()?);
    }
    (!packets.is_empty()).then_some(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded_one_after_the_other() {
        let one = format!("{BEGIN}\nComment: test\n\nAQID\nBA==\n=abcd\n{END}\n");
        assert_eq!(decode(format!("hello\n{one}\n{one}").as_bytes()).unwrap(), [1, 2, 3, 4, 1, 2, 3, 4]);
    }

    #[test]
    fn a_damaged_key_is_none() {
        for text in
            ["", BEGIN, &format!("{BEGIN}\n\n???\n{END}"), &format!("{BEGIN}\n\nAQID"), &format!("{BEGIN}\n{END}")]
        {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
