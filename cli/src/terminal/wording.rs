//! Plurals, plain names, and text without effects on a terminal.

use rototo_engine::parse::Ownership;
use rototo_engine::text::{is_disruptive, shortened_to};

/// Returns `1 error`, `2 errors`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The most characters of a name or a value of a workspace in text for people; `--json` has all of it.
const LONGEST: usize = 1_000;

/// Returns a name of a workspace or a cluster as one line for a terminal: shortened, and without characters that would do
/// something to the terminal.
pub(crate) fn plain(name: &str) -> String {
    let shown = |letter: char| if is_disruptive(letter) { '\u{fffd}' } else { letter };
    shortened_to(name, LONGEST).chars().map(shown).collect()
}

/// Returns a value as JSON on one line, as [`plain`] as a name.
pub(crate) fn value(value: &impl ToString) -> String {
    plain(&value.to_string())
}

/// Returns `owner team-web, expires on 2026-12-31`; `None` if there is neither.
pub(crate) fn ownership(ownership: &Ownership) -> Option<String> {
    let owner = ownership.owner.value().map(|owner| format!("owner {}", plain(owner)));
    let expires = ownership.expires.value().map(|date| format!("expires on {date}"));
    let parts: Vec<String> = owner.into_iter().chain(expires).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns text that may hold quotes from a workspace without the characters that would do something to the terminal.
/// Line breaks, tabs, and the colours of the command stay.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let end = if letter == '\u{1b}' { style(rest) } else { None };
        let (part, after) = rest.split_at(end.unwrap_or(letter.len_utf8()));
        match letter {
            _ if end.is_some() => shown.push_str(part),
            '\n' | '\t' => shown.push(letter),
            _ if is_disruptive(letter) => shown.push('\u{fffd}'),
            _ => shown.push(letter),
        }
        rest = after;
    }
    shown
}

/// Returns the length of the sequence at the start of `text` that sets a colour or a weight, and does nothing else.
fn style(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    parameters.get(end..)?.starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_and_line_breaks_pass() {
        assert_eq!(harmless("\u{1b}[1;31ma\u{1b}[0m\n\tb"), "\u{1b}[1;31ma\u{1b}[0m\n\tb");
        for (text, shown) in [
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
            ("a\u{1b}]0;t\u{7}", "a\u{fffd}]0;t\u{fffd}"),
            ("a\u{9b}2J\r\u{202e}\u{1b}", "a\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}"),
            ("\u{1b}[", "\u{fffd}["),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn names_are_one_short_line() {
        assert_eq!(plain("a\nb\u{1b}[2J\u{202e}"), "a\u{fffd}b\u{fffd}[2J\u{fffd}");
        assert!(plain(&"x".repeat(1 << 20)).len() < LONGEST + 10);
    }
}
