//! The cost of the patterns of a schema, estimated before compiling them: a few characters such as `\pL{1000}` can
//! stand for megabytes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::parse::lookaround::Lookaround;

/// The largest permitted weight of all patterns of one schema: about 20 MiB when compiled.
const MAX_WEIGHT: u64 = 100_000;

/// The largest permitted weight of all patterns of a workspace: about 80 MiB when compiled. A thousand schemas with three
/// usual patterns each have three quarters of it.
pub(crate) const MAX_WEIGHT_OF_ALL: u64 = 400_000;

/// The most bytes that a compiled pattern takes for each unit of its weight, as measured: 30 to 220.
pub(crate) const BYTES_PER_WEIGHT: u64 = 250;

/// The weight of a pattern, however short it is.
const EACH: u64 = 50;

/// The weight of a class of Unicode, such as all letters, in single characters.
const UNICODE_CLASS: u64 = 300;

/// Returns whether patterns of that weight exceed the limit for one schema.
pub(super) fn too_heavy(weight: u64) -> bool {
    weight > MAX_WEIGHT
}

/// Returns the weight of everything in `schema` that could be a pattern, wherever it occurs. Equal patterns of one schema
/// are compiled once.
pub(super) fn all(schema: &Value) -> u64 {
    let mut patterns = BTreeSet::new();
    each_pattern(schema, &mut |pattern| {
        patterns.insert(pattern);
    });
    patterns.into_iter().fold(0, |sum: u64, pattern| sum.saturating_add(weight(pattern)))
}

/// Calls `found` with each text in a schema that may be a pattern.
pub(super) fn each_pattern<'s>(schema: &'s Value, found: &mut dyn FnMut(&'s str)) {
    match schema {
        Value::Object(members) => {
            patterns_in(members).for_each(&mut *found);
            members.values().for_each(|part| each_pattern(part, found));
        }
        Value::Array(items) => items.iter().for_each(|item| each_pattern(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The patterns of one part of a schema.
pub(super) fn patterns_in(members: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let own = members.get("pattern").and_then(Value::as_str);
    let of_keys = members.get("patternProperties").and_then(Value::as_object);
    own.into_iter().chain(of_keys.into_iter().flat_map(|patterns| patterns.keys().map(String::as_str)))
}

/// The weights of classes of characters.
struct ClassWeights {
    /// A class of Unicode, such as all letters.
    unicode: u64,
    /// All characters but a few.
    others: u64,
    /// Any character, or any but those in brackets.
    any: u64,
    /// White space.
    space: u64,
    digit: u64,
    /// A letter, a digit, or `_`.
    word: u64,
    /// A class in brackets, whose entries have a weight together.
    bracketed: fn(u64) -> u64,
}

/// The weights by which a pattern takes memory.
const MEMORY: ClassWeights = ClassWeights {
    unicode: UNICODE_CLASS,
    others: 20,
    any: 5,
    space: 5,
    digit: 1,
    word: 1,
    bracketed: |entries| entries,
};

/// The weights by which a pattern with lookaround takes memory: its digits and letters are those of all scripts.
const MEMORY_OF_LOOKAROUND: ClassWeights = ClassWeights { digit: 30, word: UNICODE_CLASS, ..MEMORY };

/// The weights by which a pattern takes work: of the states of a class, few are active at a time.
const WORK: ClassWeights =
    ClassWeights { unicode: 5, others: 5, any: 5, space: 1, digit: 1, word: 1, bracketed: |entries| entries.min(2) };

/// The characters of ASCII in a class in brackets that take as much as one character.
const IN_CLASS: u64 = 8;

/// Returns the approximate number of states of a pattern, by the memory that they take. With lookaround, it is compiled a
/// second time to count its work.
fn weight(pattern: &str) -> u64 {
    if has_hidden_parts(pattern) {
        return u64::MAX;
    }
    match Lookaround::of(pattern) {
        Some(_) => states(pattern, &MEMORY_OF_LOOKAROUND).saturating_mul(2),
        None => states(pattern, &MEMORY),
    }
}

/// Returns whether the text of a pattern does not show what a counted repetition applies to, or how often a part occurs:
/// with the flag `x`, spaces and comments mean nothing; `(?#…)` is a comment, too; `\g<…>` and `(?P>…)` stand for groups.
fn has_hidden_parts(pattern: &str) -> bool {
    let mut rest = pattern;
    while let Some(at) = rest.find(['\\', '(']) {
        let (_, from) = rest.split_at(at);
        if from.starts_with(r"\g") || from.starts_with("(?#") || from.starts_with("(?P>") {
            return true;
        }
        if let Some(group) = from.strip_prefix("(?") {
            let end = group.find(|next: char| !next.is_ascii_alphabetic() && next != '-').unwrap_or(group.len());
            let (flags, after) = group.split_at(end);
            if flags.contains('x') && after.starts_with([':', ')']) {
                return true;
            }
        }
        let mut passed = from.chars();
        if passed.next() == Some('\\') {
            passed.next();
        }
        rest = passed.as_str();
    }
    false
}

/// Returns the approximate number of states of a pattern that may be active at one time.
pub(super) fn active_states(pattern: &str) -> u64 {
    if is_one_class(pattern) { EACH } else { states(pattern, &WORK) }
}

/// Returns whether a pattern is one class that is repeated from the beginning to the end of a string, such as
/// `^[a-z]{1,500}$`: however often, one state is active at a time.
fn is_one_class(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else { return false };
    let quantifier = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((class, _)) if class.contains('[') || class.ends_with('\\') => None,
        Some((_, after)) => Some(after),
        None => rest.strip_prefix('.'),
    };
    let counted = |text: &str| {
        let times = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        times.is_some_and(|times| times.bytes().all(|next| next.is_ascii_digit() || next == b','))
    };
    quantifier.is_some_and(|text| matches!(text, "*" | "+" | "?") || counted(text))
}

/// Returns the approximate number of states of a pattern. A part that is repeated a counted number of times counts as
/// often.
fn states(pattern: &str, classes: &ClassWeights) -> u64 {
    let mut rest = pattern.chars().peekable();
    let mut open = Vec::new();
    let (mut sum, mut last) = (EACH, 0_u64);
    // The characters of ASCII in the class, which share their states.
    let (mut in_class, mut ascii) = (false, 0_u64);
    while let Some(next) = rest.next() {
        let atom = match next {
            '\\' => match rest.next() {
                Some('p' | 'P') => {
                    pass_name(&mut rest);
                    classes.unicode
                }
                Some('W' | 'S' | 'D') => classes.others,
                Some('s') => classes.space,
                Some('d') => classes.digit,
                Some('w') => classes.word,
                _ => 1,
            },
            '[' if !in_class => {
                in_class = true;
                ascii = 0;
                open.push(std::mem::take(&mut sum));
                sum = if rest.next_if_eq(&'^').is_some() { classes.any } else { 0 };
                continue;
            }
            '(' if !in_class => {
                open.push(std::mem::take(&mut sum));
                continue;
            }
            ']' if in_class => {
                in_class = false;
                sum = sum.saturating_add(ascii.div_ceil(IN_CLASS));
                (classes.bracketed)(close(&mut sum, &mut open))
            }
            ')' if !in_class => close(&mut sum, &mut open),
            '{' if !in_class => match repeats(&mut rest) {
                Some(times) => {
                    sum = sum.saturating_sub(last);
                    last.saturating_mul(times.max(1))
                }
                None => 1,
            },
            next if in_class && next.is_ascii() => {
                ascii += 1;
                continue;
            }
            '.' => classes.any,
            _ => 1,
        };
        sum = sum.saturating_add(atom);
        last = atom;
    }
    open.iter().fold(sum, |sum, outer| sum.saturating_add(*outer))
}

/// Returns the weight of the innermost open group; `sum` is the weight before it.
fn close(sum: &mut u64, open: &mut Vec<u64>) -> u64 {
    let before = open.pop().unwrap_or(0);
    std::mem::replace(sum, before).saturating_add(1)
}

/// Skips the name of a class: `L`, or `{Letter}`.
fn pass_name(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if rest.next() == Some('{') {
        while rest.next().is_some_and(|next| next != '}') {}
    }
}

/// Returns the larger number of `2}` or `2,3}`; consumes no more than that from `rest`.
fn repeats(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<u64> {
    let (mut times, mut largest) = (None, 0);
    while let Some(next) = rest.next_if(|next| next.is_ascii_digit() || matches!(next, ',' | '}' | ' ')) {
        match next.to_digit(10) {
            Some(digit) => {
                times = Some(times.unwrap_or(0_u64).saturating_mul(10).saturating_add(u64::from(digit)));
            }
            None => largest = largest.max(times.take().unwrap_or(0)),
        }
        if next == '}' {
            return Some(largest);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usual_patterns_are_light() {
        for pattern in [
            r"^\d{4}-\d{2}-\d{2}$",
            r"^(?=.*[A-Z])(?=.*\d)[A-Za-z\d]{8,64}$",
            r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){0,10}$",
            r"^\p{L}[\p{L}\p{M}' -]{0,99}$",
            r"^.{1,64}@.{1,255}$",
            r"^[^{}]{3,}$",
            r"{,}{a}\{100}",
            r"^a\(?x\)(?:x)(?<x>x)\\g(?i-s)x",
        ] {
            assert!(!too_heavy(all(&json!({ "pattern": pattern }))), "{pattern} {}", weight(pattern));
        }
    }

    #[test]
    fn equal_patterns_of_one_schema_count_once() {
        let field = json!({ "pattern": "^.{1,500}$" });
        let same = json!({ "items": vec![field.clone(); 40], "patternProperties": { "^.{1,500}$": true } });
        assert_eq!(all(&same), weight("^.{1,500}$"));
        assert_eq!(all(&json!([field, { "pattern": "a" }])), weight("^.{1,500}$") + weight("a"));
    }

    #[test]
    fn one_class_that_is_repeated_has_one_active_state() {
        for pattern in ["^[^<>]{1,2000}$", "^.{500}$", r"^[\w-]*$", "^[a]+$", "^.?$"] {
            assert_eq!(active_states(pattern), EACH, "{pattern}");
        }
        for pattern in [
            "^.{9}a{9}$",
            "[a]{9}$",
            "^[a]{9}",
            r"^[\]]{9}$",
            "^[a]a[a]{9}$",
            "^.*.{9}$",
            "^(?:.{9}){9}$",
            "^[a]{9}{9}$",
        ] {
            assert!(active_states(pattern) > EACH, "{pattern}");
        }
    }

    #[test]
    fn a_repeated_part_counts_as_often_as_it_repeats() {
        assert_eq!(weight("a{10}") - EACH, 10);
        assert_eq!(weight("(a{10}){2,3}b") - EACH, 34);
        assert_eq!(weight(r"\pL{0,2}") - EACH, 2 * UNICODE_CLASS);
        assert_eq!(active_states(r"[\p{L}\p{N}_-]{0,10}(ab){2}") - EACH, 20 + 6);
        // The measured bytes, in units of 220.
        for (pattern, least) in [
            (r"[a-z0-9-]{62}", 80),
            (r"\s{100}", 465),
            (r"[^a]{100}", 520),
            (r".{319}", 1_600),
            (r"(?=a)\w{100}", 2 * 29_000),
            (r"(?=.*[A-Z])(?=.*\d)[A-Za-z\d]{8,64}", 2 * 1_700),
        ] {
            let weight = weight(pattern);
            assert!(weight >= least && weight <= 3 * least, "{pattern} {weight}");
        }
        for pattern in [
            r"\pL{1000}",
            "((a{100}){100}){100}",
            r"[^\pN]{500}",
            "a{99999999999999999999999}",
            r"(?x)\pL {140}",
            "(?ix)a",
            "(?-x)a",
            "a(?x:a)",
            r"\\(?s-xi:a)",
            r"(?=a)\pL(?#b){1000}",
            r"(?=a)(?<n>a)\g<n>",
            "(?=a)(?P<n>a)(?P>n)",
        ] {
            assert!(too_heavy(all(&json!({ "items": [{ "pattern": pattern }] }))), "{pattern} {}", weight(pattern));
        }
        let many: serde_json::Map<String, Value> = (0..10_000).map(|n| (format!("^a{n}"), true.into())).collect();
        assert!(too_heavy(all(&json!({ "patternProperties": many }))));
    }
}
