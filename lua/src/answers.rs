//! The results of a script: its registrations, and the objections of its handlers.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Function, Lua, LuaSerdeExt, Table, Value, Variadic};
use rototo_engine::lint::{Call, Declared, Objection, ScriptError, ScriptErrorKind};
use serde_json::json;

use crate::sandbox::Sandbox;

/// The most registrations or objections in one result.
const MAX_ENTRIES: usize = 1_000;

/// The most bytes of each text in it.
const MAX_TEXT_BYTES: usize = 4_096;

/// The most keys that are reported of one table.
const MAX_UNREAD: usize = 20;

/// Calls `register(lint)`, and returns the registrations.
pub(crate) fn register(sandbox: &Sandbox) -> Result<Vec<Declared>, ScriptError> {
    let declared = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&declared);
    sandbox.within(|lua| {
        let register = function(lua, "register")?;
        let register = register.ok_or_else(|| fault("the script must define `function register(lint)`"))?;
        let on = lua.create_function(move |lua, arguments: Variadic<Value>| {
            let declared = declare(lua, arguments)?;
            if kept.borrow().len() >= MAX_ENTRIES {
                return Err(fault(&format!("a script may register at most {MAX_ENTRIES} times")));
            }
            kept.borrow_mut().push(declared);
            Ok(())
        })?;
        let lint = lua.create_table()?;
        lint.set("on", on)?;
        sandbox.call::<()>(register, lint)?;
        for one in declared.borrow_mut().iter_mut() {
            one.callable = function(lua, &one.handler).is_ok_and(|handler| handler.is_some());
        }
        Ok(declared.take())
    })
}

/// Returns a function of the script. Nothing here or below consults metatables: they would run the script where it
/// can't be stopped.
fn function(lua: &Lua, name: &str) -> mlua::Result<Option<Function>> {
    lua.globals().raw_get(name)
}

/// Reads a registration. `lint:on{…}` and `lint.on{…}` mean the same.
fn declare(lua: &Lua, arguments: Variadic<Value>) -> mlua::Result<Declared> {
    let table = match arguments.as_slice() {
        [Value::Table(table)] | [_, Value::Table(table)] => table,
        _ => return Err(fault("`lint:on` takes one table")),
    };
    let rule = table.raw_get::<Option<Table>>("rule")?.ok_or_else(|| fault("a registration needs a table `rule`"))?;
    let of_rule = unread(&rule, &Declared::KEYS_OF_RULE)?.into_iter().map(|key| format!("rule.{key}"));
    Ok(Declared {
        stage: needed(table, "stage", "stage")?,
        entity: needed(table, "entity", "entity")?,
        field: optional(table, "field")?,
        id: needed(&rule, "id", "rule.id")?,
        title: needed(&rule, "title", "rule.title")?,
        help: needed(&rule, "help", "rule.help")?,
        severity: optional(&rule, "severity")?,
        handler: needed(table, "handler", "handler")?,
        callable: false,
        unread: unread(table, &Declared::KEYS)?.into_iter().chain(of_rule).collect(),
        line: lua.inspect_stack(1, |caller| caller.current_line()).flatten(),
    })
}

/// Returns the keys of a table that are not read, in order, up to a limit.
fn unread(table: &Table, read: &[&str]) -> mlua::Result<Vec<String>> {
    let mut unread = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let key = name_of_key(&pair?.0);
        if unread.len() < MAX_UNREAD && !read.contains(&&*key) {
            unread.push(key);
        }
    }
    unread.sort();
    Ok(unread)
}

fn needed(table: &Table, key: &str, name: &str) -> mlua::Result<String> {
    let text = optional(table, key)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| fault(&format!("a registration needs `{name}`")))
}

fn optional(table: &Table, key: &str) -> mlua::Result<Option<String>> {
    let text = table.raw_get::<Option<String>>(key)?;
    match text {
        Some(text) if text.len() > MAX_TEXT_BYTES => {
            Err(fault(&format!("`{key}` is longer than {MAX_TEXT_BYTES} bytes")))
        }
        text => Ok(text),
    }
}

fn fault(text: &str) -> mlua::Error {
    mlua::Error::runtime(text)
}

/// Calls a handler, and returns its objections.
pub(crate) fn check(sandbox: &Sandbox, call: &Call<'_>) -> Result<Vec<Objection>, ScriptError> {
    let answer = sandbox.within(|lua| {
        let handler = function(lua, call.handler)?.ok_or_else(|| fault("the script has no such function"))?;
        let context = lua.to_value(&json!({ "stage": call.stage, "entity": call.entity, "target": call.target }))?;
        sandbox.call::<Value>(handler, context)
    })?;
    let list = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(list) => list,
        other => {
            let message = format!("`{}` must return a list of tables, not a {}", call.handler, other.type_name());
            return Err(ScriptError::new(ScriptErrorKind::Fault, message));
        }
    };
    let objections = sandbox.within(|_| {
        let tables =
            (1..=MAX_ENTRIES + 1).map(|place| list.raw_get::<Option<Table>>(place)).map_while(Result::transpose);
        tables.map(|table| objection(&table?)).collect::<mlua::Result<Vec<_>>>()
    })?;
    if objections.len() > MAX_ENTRIES || objections.iter().any(|one| one.message.len() > MAX_TEXT_BYTES) {
        let message = format!(
            "`{}` returned more than {MAX_ENTRIES} findings, or one of more than {MAX_TEXT_BYTES} bytes",
            call.handler
        );
        return Err(ScriptError::new(ScriptErrorKind::Answer, message));
    }
    match sandbox.within(|_| key_beside(&list, objections.len()))? {
        None => Ok(objections),
        Some(key) => {
            let message = format!(
                "`{}` must return a list of tables, and its answer has the key {key}: write `{{ {{ message = … }} }}`",
                call.handler
            );
            Err(ScriptError::new(ScriptErrorKind::Fault, message))
        }
    }
}

/// Returns a key of `list` that is no place among its first `length`, in words. `table.pack` sets a key `n`, which is
/// none.
fn key_beside(list: &Table, length: usize) -> mlua::Result<Option<String>> {
    let is_place = |place: i64| usize::try_from(place).is_ok_and(|place| (1..=length).contains(&place));
    for pair in list.pairs::<Value, Value>() {
        match pair? {
            (Value::Integer(place), _) if is_place(place) => {}
            (Value::String(key), Value::Integer(_)) if *key.as_bytes() == *b"n" => {}
            (key, _) => return Ok(Some(shown_key(&key))),
        }
    }
    Ok(None)
}

fn shown_key(key: &Value) -> String {
    match key {
        Value::String(_) => format!("`{}`", name_of_key(key)),
        key => name_of_key(key),
    }
}

fn name_of_key(key: &Value) -> String {
    /// The most characters of a key in a message.
    const LONGEST: usize = 40;
    match key {
        Value::Integer(place) => place.to_string(),
        Value::String(key) => key.to_string_lossy().chars().take(LONGEST).collect(),
        other => format!("of type {}", other.type_name()),
    }
}

fn objection(table: &Table) -> mlua::Result<Objection> {
    let message = table.raw_get::<Option<String>>("message")?;
    let message = message.ok_or_else(|| fault("each table that a handler returns needs a `message`"))?;
    Ok(Objection { message, field: optional(table, "field")? })
}
