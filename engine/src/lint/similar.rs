//! Repeated names, names that resemble a word, and names and texts that are not what they look like.

use crate::document::text::{distance, is_disruptive};

/// Returns whether an item occurs twice. Callers ask this first, because it rarely does.
pub(super) fn repeats<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.windows(2).any(|pair| matches!(pair, [one, two] if one == two))
}

/// The name that is closest to `word`, which may differ in case and separators. There is none if no name is close, or if
/// there are so many names that searching them for every mistake would cost more than it helps.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    const MANY: usize = 1_000;
    let word = folded(word);
    let length = word.chars().count();
    let tolerated = (length / 3).min(3);
    let near = known.take(MANY).filter_map(|known| {
        let folded = folded(known);
        let is_near = folded.chars().count().abs_diff(length) <= tolerated;
        is_near.then(|| (distance(&word, &folded), known)).filter(|(distance, _)| *distance <= tolerated)
    });
    near.min().map(|(_, known)| known)
}

/// Returns a word without what slips change most: case and separators.
fn folded(word: &str) -> String {
    word.chars().filter(|letter| !matches!(letter, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// A question for the intended name, which ends a message.
pub(crate) fn question(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!("; is `{meant}` meant?"))
}

/// The known word from which `word` differs only in case, separators, or a slip: a letter too many, too few, wrong, or
/// exchanged with its neighbour, and two of them in a long word. `None` if it is one of the known words itself.
pub(super) fn resembling<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    /// No key of the format and no keyword of JSON Schema is as long.
    const LONGEST: usize = 64;
    if known.contains(&word) || word.len() > LONGEST {
        return None;
    }
    let (tolerated, word) = match word.len() {
        0..=2 => (0, folded(word)),
        3..=7 => (1, folded(word)),
        _ => (2, folded(word)),
    };
    let near = known.iter().filter_map(|known| {
        let folded_known = folded(known);
        // Most words differ in length alone.
        if folded_known.len().abs_diff(word.len()) > tolerated {
            return None;
        }
        let distance = distance(&word, &folded_known);
        (distance <= tolerated).then_some((distance, *known))
    });
    near.min().map(|(_, known)| known)
}

/// The reason for which a name is not what it looks like, in words that follow the name; `None` for a plain one.
pub(super) fn deceptive(name: &str) -> Option<String> {
    if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return None;
    }
    if let Some(reason) = invisible(name) {
        return Some(reason);
    }
    if let Some(mark) = loose_accent(name) {
        return Some(format!("has the accent U+{:04X} as a character of its own", u32::from(mark)));
    }
    let is_latin = name.chars().any(|letter| letter.is_ascii_alphabetic());
    let other = name.chars().find_map(lookalike).filter(|_| is_latin);
    other.map(|alphabet| format!("has letters of the {alphabet} alphabet among Latin ones"))
}

/// The reason for which a text has a part that nobody sees, in words that follow the text; `None` for a plain one.
pub(super) fn unseen(text: &str) -> Option<String> {
    let blank = (text.trim() != text).then(|| "begins or ends with a blank".to_owned());
    blank.or_else(|| invisible(text))
}

fn invisible(text: &str) -> Option<String> {
    let hidden = text.chars().find(|letter| is_hidden(*letter))?;
    Some(format!("has the invisible character U+{:04X}", u32::from(hidden)))
}

/// The reason for which a file of this name is not the same on every computer; `None` for a plain name.
pub(super) fn not_portable(name: &str) -> Option<String> {
    if let Some(letter) = name.chars().find(|letter| matches!(letter, '<' | '>' | ':' | '"' | '|' | '?' | '*')) {
        return Some(format!("Windows can't check the file out: no name has `{letter}` there"));
    }
    if let Some(device) = device(name) {
        return Some(format!("Windows can't check the file out: `{device}` is the name of a device there"));
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    (stem.trim_matches(' ') != stem)
        .then(|| "a name in the path begins or ends with a blank, which nobody sees".to_owned())
}

/// The name of a device of Windows that a name of a file is, whatever stands behind its first dot.
fn device(name: &str) -> Option<&str> {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    const NUMBERED: [&str; 2] = ["com", "lpt"];
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let is_numbered = || {
        let number = stem.strip_suffix(|last: char| matches!(last, '1'..='9'));
        number.is_some_and(|kind| NUMBERED.iter().any(|device| device.eq_ignore_ascii_case(kind)))
    };
    (DEVICES.iter().any(|device| device.eq_ignore_ascii_case(stem)) || is_numbered()).then_some(stem)
}

/// The accent behind a letter that also exists with it, as macOS writes names of files. The two look the same, and differ.
fn loose_accent(name: &str) -> Option<char> {
    name.chars().zip(name.chars().skip(1)).find_map(|(letter, mark)| {
        let letters = match mark {
            '\u{300}' | '\u{301}' | '\u{302}' | '\u{303}' | '\u{308}' => "aeiouyn",
            '\u{304}' | '\u{30a}' | '\u{328}' => "aeiou",
            '\u{30c}' | '\u{327}' => "cdenrstz",
            _ => return None,
        };
        letters.contains(letter.to_ascii_lowercase()).then_some(mark)
    })
}

/// Characters that do something to the text around them, and those without width.
fn is_hidden(letter: char) -> bool {
    is_disruptive(letter)
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200d}'
                | '\u{202f}'
                | '\u{2060}'..='\u{2065}'
                | '\u{206a}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffd}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The alphabet of a letter, if it has letters that look like Latin ones.
fn lookalike(letter: char) -> Option<&'static str> {
    match letter {
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Some("Greek"),
        '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}' => {
            Some("Cyrillic")
        }
        '\u{530}'..='\u{58f}' => Some("Armenian"),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Some("Cherokee"),
        '\u{ff01}'..='\u{ff5e}' => Some("full-width"),
        '\u{1d400}'..='\u{1d7ff}' => Some("mathematical"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_close_and_notes_are_not() {
        const KNOWN: &[&str] = &["schema_version", "description", "type", "schema", "values", "resolve", "rule", "op"];
        for (word, meant) in [
            ("value", "values"),
            ("resovle", "resolve"),
            ("rules", "rule"),
            ("Type", "type"),
            ("schema-version", "schema_version"),
            ("schemaVersion", "schema_version"),
            ("descrption", "description"),
            ("opp", "op"),
        ] {
            assert_eq!(resembling(word, KNOWN), Some(meant), "{word}");
        }
        for word in ["owner", "team", "tags", "expires", "ticket", "note", "name", "type", "id", "url", "version", "e"]
        {
            assert_eq!(resembling(word, KNOWN), None, "{word}");
        }
    }

    #[test]
    fn a_name_in_another_case_is_the_nearest() {
        for (word, known, meant) in [
            ("eu-west", &["eu-east", "EU-WEST"][..], Some("EU-WEST")),
            ("OFF", &["on", "off"], Some("off")),
            ("not-in", &["in", "not_in"], Some("not_in")),
            ("sales", &["sale"], Some("sale")),
            ("\u{1f600}b", &["b"], None),
            ("large", &["small"], None),
        ] {
            assert_eq!(nearest(word, known.iter().copied()), meant, "{word}");
        }
    }

    #[test]
    fn names_that_show_as_another_are_deceptive() {
        for name in
            ["lim\u{430}it", "l\u{202e}imit", "limit\u{200b}", "a\nb", "\u{ff4c}imit", "\u{1b}[2J", "cafe\u{301}"]
        {
            assert!(deceptive(name).is_some(), "{name:?}");
        }
        for name in ["limit", "größe", "лимит", "限制", "α", "café au lait", "حد"] {
            assert_eq!(deceptive(name), None, "{name}");
        }
    }
}
