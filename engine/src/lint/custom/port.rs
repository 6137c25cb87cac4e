//! What the engine asks of whoever runs Lua, and what it gets: plain data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::Stage;

/// Runs the Lua of a workspace. Whoever implements it decides where and within which limits; each call starts afresh,
/// so that no answer depends on an earlier one.
pub trait Scripts {
    /// Runs a script and its `register(lint)`.
    ///
    /// # Errors
    /// When the script has a fault, or goes beyond its limits.
    fn register(&mut self, script: Script<'_>) -> Result<Vec<Declared>, ScriptError>;

    /// Runs a script and one of its handlers.
    ///
    /// # Errors
    /// When the script has a fault, or goes beyond its limits.
    fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, ScriptError>;
}

/// One `lint/<name>.lua`.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Its path in the workspace.
    pub path: &'a str,
    /// What stands in it.
    pub text: &'a str,
}

/// One question to a handler.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Where the handler stands.
    pub script: Script<'a>,
    /// Its name.
    pub handler: &'a str,
    /// `ctx.stage`
    pub stage: Stage,
    /// `ctx.entity`
    pub entity: &'a str,
    /// `ctx.target`
    pub target: &'a Value,
}

/// What one `lint:on` says, as it stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// `stage`
    pub stage: String,
    /// `entity`
    pub entity: String,
    /// `field`
    pub field: Option<String>,
    /// `rule.id`
    pub id: String,
    /// `rule.title`
    pub title: String,
    /// `rule.help`
    pub help: String,
    /// `rule.severity`
    pub severity: Option<String>,
    /// `handler`
    pub handler: String,
    /// Whether the script has a function of that name.
    pub callable: bool,
    /// The line of the call, counted from 1.
    pub line: Option<usize>,
}

/// One thing that a handler returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// What is wrong.
    pub message: String,
    /// With which part of the target.
    pub field: Option<String>,
}

/// Why a script gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptError {
    /// The kind of reason.
    pub cause: ScriptErrorKind,
    /// The reason, in one sentence; it may quote the script.
    pub message: String,
    /// The line of the script where it happened, counted from 1.
    pub line: Option<usize>,
}

impl ScriptError {
    /// A reason without a place.
    pub fn new(cause: ScriptErrorKind, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), line: None }
    }
}

/// Why a script gave no answer, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptErrorKind {
    /// The script itself has a fault.
    Fault,
    /// It wanted more memory than it may have.
    Memory,
    /// It did more steps than it may do.
    Instructions,
    /// It took longer than it may take.
    Time,
    /// It returned more than it may return.
    Answer,
    /// The process in which it ran was lost.
    Process,
    /// All scripts of the workspace together took longer than they may take.
    TotalTime,
    /// Lua is not run here at all.
    Off,
}

impl ScriptErrorKind {
    /// A word for it that holds nothing of any workspace.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fault => "script",
            Self::Memory => "memory limit",
            Self::Instructions => "instruction limit",
            Self::Time => "time limit",
            Self::Answer => "answer limit",
            Self::Process => "process",
            Self::TotalTime => "total time limit",
            Self::Off => "turned off",
        }
    }

    /// Whether the same script may answer another time.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Time | Self::TotalTime | Self::Process)
    }

    /// Whether asking anything else of the same workspace is of no use.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::TotalTime | Self::Process)
    }
}

/// Runs nothing, and says why: every script of the workspace is a fault with that reason.
#[derive(Clone, Copy, Debug)]
pub struct Refuse(pub &'static str);

impl Refuse {
    fn unable(self) -> ScriptError {
        ScriptError::new(ScriptErrorKind::Off, self.0)
    }
}

impl Scripts for Refuse {
    fn register(&mut self, _: Script<'_>) -> Result<Vec<Declared>, ScriptError> {
        Err(self.unable())
    }

    fn check(&mut self, _: &Call<'_>) -> Result<Vec<Objection>, ScriptError> {
        Err(self.unable())
    }
}
