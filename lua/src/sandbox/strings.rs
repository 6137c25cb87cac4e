//! The functions of Lua's library that search in strings. Each step costs a part of the budget.

use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Value};

use super::budget::ScriptBudget;
use super::pattern::{Capture, Pattern, PatternError, PatternMatch};

/// The number of search steps that cost as much as one instruction.
const STEPS: u64 = 10;

type SeekArguments = (String, mlua::LuaString, mlua::LuaString, Option<i64>, Option<i64>, bool);

/// `seek(for, text, pattern, from, but, literally)` → the beginning and the end of the next match, and its captures;
/// for `match` only the captures. Matches that end before `but` don't count.
pub(super) fn seek(lua: &Lua, budget: &Rc<ScriptBudget>) -> mlua::Result<Function> {
    let budget = Rc::clone(budget);
    lua.create_function(move |lua, (purpose, text, pattern, from, but, literally): SeekArguments| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let Some(from) = offset(from.unwrap_or(1), text.len()) else { return Ok(nothing()) };
        let found = if literally {
            budget.spend(steps(text.len() + pattern.len()))?;
            literal(&text, &pattern, from)
        } else {
            let pattern = Pattern::read(&pattern, purpose != "each").map_err(|failure| explain(failure, &budget))?;
            let but = but.and_then(|but| usize::try_from(but - 1).ok());
            let allowed = budget.left().saturating_mul(STEPS);
            let mut left = allowed;
            let found = pattern.find(&text, from, but, &mut left);
            budget.spend((allowed - left) / STEPS + 1)?;
            found.map_err(|failure| explain(failure, &budget))?
        };
        match found {
            None => Ok(nothing()),
            Some(found) => answer(lua, &purpose, &text, &found),
        }
    })
}

/// `expand(replacement, whole, captures…)` → the replacement, with `%0` to `%9` replaced.
pub(super) fn expand(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, (replacement, whole, captures): (mlua::LuaString, mlua::LuaString, MultiValue)| {
        let replacement = replacement.as_bytes();
        let mut text = Vec::with_capacity(replacement.len());
        let mut bytes = replacement.iter().copied();
        while let Some(byte) = bytes.next() {
            match (byte, if byte == b'%' { bytes.next() } else { None }) {
                (b'%', Some(b'%')) => text.push(b'%'),
                (b'%', Some(b'0')) => text.extend_from_slice(&whole.as_bytes()),
                (b'%', Some(digit @ b'1'..=b'9')) => {
                    let capture = captures.get(usize::from(digit - b'1')).cloned();
                    let capture = capture.and_then(|capture| lua.coerce_string(capture).transpose()).transpose()?;
                    let number = digit - b'0';
                    let missing =
                        || mlua::Error::runtime(format!("invalid capture index %{number} in replacement string"));
                    text.extend_from_slice(&capture.ok_or_else(missing)?.as_bytes());
                }
                (b'%', _) => return Err(mlua::Error::runtime("invalid use of '%' in replacement string")),
                (byte, _) => text.push(byte),
            }
        }
        lua.create_string(text)
    })
}

fn steps(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX) / (STEPS * 8)
}

/// Returns the byte at a position that is counted from 1, or from the end if it is negative; `None` is beyond the end.
fn offset(place: i64, length: usize) -> Option<usize> {
    let length_or_most = i64::try_from(length).unwrap_or(i64::MAX);
    let place = if place < 0 { length_or_most.saturating_add(place) } else { place.saturating_sub(1) };
    usize::try_from(place.max(0)).ok().filter(|place| *place <= length)
}

fn literal(text: &[u8], needle: &[u8], from: usize) -> Option<PatternMatch> {
    let start = from + memchr::memmem::find(text.get(from..)?, needle)?;
    Some(PatternMatch { start, end: start + needle.len(), captures: Vec::new() })
}

/// Returns a match as Lua does: without captures, a match of `each` and `replace` captures itself.
fn answer(lua: &Lua, purpose: &str, text: &[u8], found: &PatternMatch) -> mlua::Result<MultiValue> {
    let number = |place: usize| i64::try_from(place).unwrap_or(i64::MAX);
    let part = |from: usize, to: usize| lua.create_string(text.get(from..to).unwrap_or_default());
    let mut values = Vec::new();
    if purpose != "match" {
        values.push(Value::Integer(number(found.start + 1)));
        values.push(Value::Integer(number(found.end)));
    }
    if found.captures.is_empty() && purpose != "find" {
        values.push(Value::String(part(found.start, found.end)?));
    }
    for capture in &found.captures {
        values.push(match *capture {
            Capture::Place(at) => Value::Integer(number(at + 1)),
            Capture::Text(from, to) => Value::String(part(from, to)?),
            Capture::Open(from) => Value::String(part(from, from)?),
        });
    }
    Ok(MultiValue::from_vec(values))
}

fn explain(failure: PatternError, budget: &ScriptBudget) -> mlua::Error {
    match failure {
        PatternError::Malformed(why) => mlua::Error::runtime(why),
        PatternError::Exhausted => {
            // This exceeds the rest of the budget.
            let _ = budget.spend(u64::MAX);
            mlua::Error::runtime("the pattern needs too many steps")
        }
    }
}

fn nothing() -> MultiValue {
    MultiValue::from_vec(vec![Value::Nil])
}
