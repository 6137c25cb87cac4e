//! The cost of the patterns of a schema, estimated before compiling them: a few characters such as `\pL{1000}` can
//! stand for megabytes.

use serde_json::Value;

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

/// Returns the weight of everything in `schema` that could be a pattern, wherever it occurs.
pub(super) fn all(schema: &Value) -> u64 {
    match schema {
        Value::Object(members) => members.iter().fold(0, |sum, (key, value)| {
            let own = match (key.as_str(), value) {
                ("pattern", Value::String(pattern)) => weight(pattern),
                ("patternProperties", Value::Object(patterns)) => {
                    patterns.keys().fold(0, |sum: u64, pattern| sum.saturating_add(weight(pattern)))
                }
                _ => 0,
            };
            sum.saturating_add(own).saturating_add(all(value))
        }),
        Value::Array(items) => items.iter().fold(0, |sum: u64, item| sum.saturating_add(all(item))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
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

/// Returns the approximate number of states of a pattern, by the memory that they take.
fn weight(pattern: &str) -> u64 {
    states(pattern, if Lookaround::of(pattern).is_some() { &MEMORY_OF_LOOKAROUND } else { &MEMORY })
}

/// Returns the approximate number of states of a pattern that may be active at one time.
pub(super) fn active_states(pattern: &str) -> u64 {
    states(pattern, &WORK)
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
        ] {
            assert!(!too_heavy(all(&json!({ "pattern": pattern }))), "{pattern} {}", weight(pattern));
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
            (r"(?=a)\w{100}", 29_000),
            (r"(?=.*[A-Z])(?=.*\d)[A-Za-z\d]{8,64}", 1_700),
        ] {
            let weight = weight(pattern);
            assert!(weight >= least && weight <= 3 * least, "{pattern} {weight}");
        }
        for pattern in [r"\pL{1000}", "((a{100}){100}){100}", r"[^\pN]{500}", "a{99999999999999999999999}"] {
            assert!(too_heavy(all(&json!({ "items": [{ "pattern": pattern }] }))), "{pattern} {}", weight(pattern));
        }
        let many: serde_json::Map<String, Value> = (0..10_000).map(|n| (format!("^a{n}"), true.into())).collect();
        assert!(too_heavy(all(&json!({ "patternProperties": many }))));
    }
}
