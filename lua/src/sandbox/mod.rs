//! One Lua state for one call: Lua's library without access to the outside, and limits.
//!
//! Scripts run as coroutines. A hook counts instructions. When they are spent, the coroutine yields and is never
//! resumed: unlike an error, a yield can't be caught, and nothing of the script runs after it. C code calls no hook and
//! can't yield, so `prelude.lua` replaces every function of Lua's library that runs long in C or calls a script from
//! there.

mod budget;
mod pattern;
mod strings;

use std::rc::Rc;

use mlua::chunk::ChunkMode;
use mlua::{FromLuaMulti, Function, HookTriggers, IntoLuaMulti, Lua, LuaOptions, StdLib, Table, Value, VmState};
use rototo_engine::lint::{ScriptError, ScriptErrorKind};

use budget::ScriptBudget;
pub use budget::ScriptLimits;

/// The number of instructions between two counts.
const COUNTED: u32 = 100;

/// The most bytes of a script.
const LONGEST_SCRIPT: usize = 1024 * 1024;

/// The most quoted bytes of an error.
const LONGEST_ERROR: usize = 500;

/// The name of a script in errors: its path is known, and Lua would truncate it.
const SCRIPT: &str = "rule";

/// A Lua state that has run a script.
pub(crate) struct Sandbox {
    pub(crate) lua: Lua,
    /// Calls a function of the script.
    runner: Function,
    budget: Rc<ScriptBudget>,
    limits: ScriptLimits,
}

impl Sandbox {
    /// Runs `script`.
    pub(crate) fn run(script: &str, limits: &ScriptLimits) -> Result<Self, ScriptError> {
        if script.len() > LONGEST_SCRIPT {
            return Err(ScriptError::new(ScriptErrorKind::Fault, "the script is longer than 1 MiB"));
        }
        let budget = Rc::new(ScriptBudget::new(limits));
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH, LuaOptions::default());
        let lua = lua.map_err(|error| {
            ScriptError::new(ScriptErrorKind::Process, format!("Lua could not be started: {error}"))
        })?;
        let runner = confine(&lua, &budget, limits);
        let runner = runner.map_err(|error| {
            ScriptError::new(ScriptErrorKind::Process, format!("Lua could not be confined: {error}"))
        })?;
        let sandbox = Self { lua, runner, budget, limits: *limits };
        // As at the start of TOML and JSON, a byte order mark is no part of the text.
        let script = script.strip_prefix('\u{feff}').unwrap_or(script);
        sandbox.within(|lua| {
            let script = lua.load(script).set_name(format!("={SCRIPT}")).set_mode(ChunkMode::Text).into_function()?;
            sandbox.call::<()>(script, ())
        })?;
        Ok(sandbox)
    }

    /// Calls a function of the script. After `Ok`, [`Sandbox::within`] shows whether the call completed.
    pub(crate) fn call<T: FromLuaMulti>(&self, function: Function, arguments: impl IntoLuaMulti) -> mlua::Result<T> {
        let mut arguments = arguments.into_lua_multi(&self.lua)?;
        arguments.push_front(Value::Function(function));
        self.lua.create_thread(self.runner.clone())?.resume(arguments)
    }

    /// Runs `work` on the state, and translates errors into a user's words.
    pub(crate) fn within<T>(&self, work: impl FnOnce(&Lua) -> mlua::Result<T>) -> Result<T, ScriptError> {
        let done = work(&self.lua);
        match (self.budget.cause(), done) {
            (Some(cause), _) => Err(ScriptError::new(cause, self.passed(cause))),
            (None, Ok(value)) => Ok(value),
            (None, Err(error)) => Err(self.explain(&error)),
        }
    }

    fn passed(&self, cause: ScriptErrorKind) -> String {
        match cause {
            ScriptErrorKind::Time => format!("the script took longer than {:?}", self.limits.time),
            ScriptErrorKind::Memory => format!("the script needs more than {} MiB of memory", self.limits.memory >> 20),
            _ => format!("the script ran more than {} instructions", self.limits.instructions),
        }
    }

    fn explain(&self, error: &mlua::Error) -> ScriptError {
        let text = root(error).to_string();
        if matches!(root(error), mlua::Error::MemoryError(_)) || text.contains("not enough memory") {
            return ScriptError::new(ScriptErrorKind::Memory, self.passed(ScriptErrorKind::Memory));
        }
        let text = text.split("\nstack traceback:").next().unwrap_or_default();
        let text = ["runtime error: ", "syntax error: "]
            .iter()
            .fold(text, |text, kind| text.strip_prefix(kind).unwrap_or(text));
        let place = text.strip_prefix(SCRIPT).and_then(|rest| rest.strip_prefix(':')?.split_once(": "));
        let (line, text) = match place.and_then(|(line, text)| Some((line.parse().ok()?, text))) {
            Some((line, text)) => (Some(line), text),
            None => (None, text),
        };
        ScriptError { cause: ScriptErrorKind::Fault, message: text.chars().take(LONGEST_ERROR).collect(), line }
    }
}

/// Returns the original error beneath the layers that callbacks add.
fn root(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => root(cause),
        error => error,
    }
}

fn confine(lua: &Lua, budget: &Rc<ScriptBudget>, limits: &ScriptLimits) -> mlua::Result<Function> {
    lua.set_memory_limit(limits.memory)?;
    let counted = Rc::clone(budget);
    let every = HookTriggers::new().every_nth_instruction(COUNTED);
    let prelude = lua.load(include_str!("prelude.lua")).set_name("=library").set_mode(ChunkMode::Text);
    let spends = Rc::clone(budget);
    let runner = prelude.call::<Function>((
        lua.create_function(move |_, steps: i64| {
            spends.spend(u64::try_from(steps).unwrap_or(u64::MAX)).map_err(mlua::Error::from)
        })?,
        lua.create_function(|_, table: Table| Ok(is_plain(&table)))?,
        lua.create_function(|_, value: Value| Ok(to_string_of(&value)))?,
        strings::seek(lua, budget)?,
        strings::expand(lua)?,
    ))?;
    lua.set_global_hook(every, move |_, _| {
        let left = counted.spend(COUNTED.into());
        Ok(if left.is_ok() { VmState::Continue } else { VmState::Yield })
    })?;
    // The random numbers are the same each time.
    lua.globals().get::<Table>("math")?.get::<Function>("randomseed")?.call::<()>(0)?;
    Ok(runner)
}

/// Returns whether the metatable of a table changes neither its elements nor its length.
fn is_plain(table: &Table) -> bool {
    let Some(metatable) = table.metatable() else { return true };
    ["__index", "__newindex", "__len"]
        .into_iter()
        .all(|name| metatable.raw_get::<Value>(name).is_ok_and(|value| value.is_nil()))
}

/// Returns the function of the script that implements `tostring` for this value.
fn to_string_of(value: &Value) -> Option<Value> {
    let metatable = value.as_table()?.metatable()?;
    metatable.raw_get::<Value>("__tostring").ok().filter(|convert| !convert.is_nil())
}
