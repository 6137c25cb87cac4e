//! The port of the engine to a program that runs Lua: requests and results as plain data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::Stage;

/// Runs the Lua of a workspace. The implementation decides where and within which limits. Each call begins afresh, so
/// that no result depends on an earlier one.
pub trait Scripts {
    /// Runs a script and its `register(lint)`.
    ///
    /// # Errors
    /// When the script has a fault, or exceeds its limits.
    fn register(&mut self, script: Script<'_>) -> Result<Vec<Declared>, ScriptError>;

    /// Runs a script and one of its handlers.
    ///
    /// # Errors
    /// When the script has a fault, or exceeds its limits.
    fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, ScriptError>;
}

/// One `lint/<name>.lua`.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Its path in the workspace.
    pub path: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// One call of a handler.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The script that defines the handler.
    pub script: Script<'a>,
    /// The name of the handler.
    pub handler: &'a str,
    /// `ctx.stage`
    pub stage: Stage,
    /// `ctx.entity`
    pub entity: &'a str,
    /// `ctx.target`
    pub target: &'a Value,
}

/// One call of `lint:on`, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// `stage`
    pub stage: String,
    /// The kind of thing to check, `entity`.
    pub entity: String,
    /// The field to check, `field`.
    pub field: Option<String>,
    /// The id of the rule, `rule.id`.
    pub id: String,
    /// The title of the rule, `rule.title`.
    pub title: String,
    /// The help of the rule, `rule.help`.
    pub help: String,
    /// The severity of the rule, `rule.severity`.
    pub severity: Option<String>,
    /// The name of the function to call, `handler`.
    pub handler: String,
    /// True if the script has a function of that name.
    pub callable: bool,
    /// The other keys of the table, in order; those of its `rule` begin with `rule.`.
    #[serde(default)]
    pub unread: Vec<String>,
    /// The line of the call, counted from 1.
    pub line: Option<usize>,
}

impl Declared {
    /// The keys of the table that are read.
    pub const KEYS: [&str; 5] = ["stage", "entity", "field", "rule", "handler"];
    /// The keys of its `rule` that are read.
    pub const KEYS_OF_RULE: [&str; 4] = ["id", "title", "help", "severity"];
}

/// One objection that a handler returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// The fault.
    pub message: String,
    /// The field of the target with the fault.
    pub field: Option<String>,
}

/// The reason for which a script gave no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptError {
    /// The kind of the reason.
    pub cause: ScriptErrorKind,
    /// The reason, in one sentence; it may quote the script.
    pub message: String,
    /// The line of the script where it happened, counted from 1.
    pub line: Option<usize>,
}

impl ScriptError {
    /// A reason without a line.
    pub fn new(cause: ScriptErrorKind, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), line: None }
    }
}

/// The kind of reason for which a script gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptErrorKind {
    /// The script itself has a fault.
    Fault,
    /// The script exceeded its memory limit.
    Memory,
    /// The script exceeded its instruction limit.
    Instructions,
    /// The script exceeded its time limit.
    Time,
    /// The result exceeds its size limit.
    Answer,
    /// The process that ran the script was lost.
    Process,
    /// All scripts of the workspace together exceeded their time limit.
    TotalTime,
    /// Lua does not run here.
    Off,
}

impl ScriptErrorKind {
    /// A word for the kind, which holds nothing of any workspace.
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

    /// Returns whether the same script may give a result another time.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Time | Self::TotalTime | Self::Process)
    }

    /// Returns whether further calls for the same workspace are useless.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::TotalTime | Self::Process)
    }
}

/// Runs no script, and gives a reason: every script of the workspace has a fault with that reason.
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
