//! Lua in another process, which can't open files or sockets, has limits of memory and time, and is killed when it
//! exceeds them.
//!
//! The process is a program that calls [`serve()`] when its only argument is [`SANDBOX`]. It receives requests as lines
//! of JSON, and answers each with one line.

mod confine;
mod process;
mod serve;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rototo_engine::Stage;
use rototo_engine::lint::{Call, Declared, Objection, Script, ScriptError, ScriptErrorKind, Scripts};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::in_process::out_of_time;
use crate::sandbox::ScriptLimits;
pub use process::SANDBOX;
use process::{SandboxProcess, SubprocessError};
pub use serve::serve;

/// The time that a process may take to answer beyond the time limit of the script: it must start and be scheduled.
const GRACE: Duration = Duration::from_secs(3);

/// A request to the process.
#[derive(Serialize, Deserialize)]
enum SandboxRequest<'a> {
    Register { script: &'a str },
    Check { script: &'a str, handler: &'a str, stage: Stage, entity: &'a str, target: Value },
}

/// Runs the scripts of one workspace in another process. Make one for each run of lint, because the time limit covers
/// all scripts together.
#[derive(Debug)]
pub struct Subprocess {
    program: PathBuf,
    limits: ScriptLimits,
    end: Instant,
    process: Option<SandboxProcess>,
}

impl Subprocess {
    /// Starts `program` with the argument [`SANDBOX`] at the first request. The time limit of all scripts together
    /// starts now. The process itself knows the limits of one call.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        let limits = ScriptLimits::default();
        Self { program, limits, end: Instant::now() + limits.total_time, process: None }
    }

    /// Returns the result of one request. A lost process is replaced once, because something else may have ended it.
    fn ask<T: DeserializeOwned>(&mut self, question: &SandboxRequest<'_>) -> Result<T, ScriptError> {
        let question = serde_json::to_string(question).unwrap_or_default();
        let answer = match self.try_once(&question) {
            Err(SubprocessError::Ended(_)) => self.try_once(&question),
            answer => answer,
        };
        match answer {
            Ok(answer) => serde_json::from_str(&answer).unwrap_or_else(|_| Err(lost("sent an unreadable answer"))),
            Err(SubprocessError::Late) if Instant::now() >= self.end => Err(out_of_time(&self.limits)),
            Err(SubprocessError::Late) => {
                let message = format!("the script took longer than {:?}", self.limits.time);
                Err(ScriptError::new(ScriptErrorKind::Time, message))
            }
            Err(SubprocessError::Ended(how)) => Err(lost(&how)),
        }
    }

    fn try_once(&mut self, question: &str) -> Result<String, SubprocessError> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SubprocessError::Late);
        }
        let mut process = match self.process.take() {
            Some(process) => process,
            None => SandboxProcess::start(&self.program)?,
        };
        let answer = process.ask(question, left.min(self.limits.time + GRACE))?;
        // Only a process that has answered is used again; any other ends when it is dropped.
        self.process = Some(process);
        Ok(answer)
    }
}

fn lost(how: &str) -> ScriptError {
    ScriptError::new(ScriptErrorKind::Process, format!("the process that runs Lua {how}"))
}

impl Scripts for Subprocess {
    fn register(&mut self, script: Script<'_>) -> Result<Vec<Declared>, ScriptError> {
        self.ask(&SandboxRequest::Register { script: script.text })
    }

    fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, ScriptError> {
        let Call { script, handler, stage, entity, target } = *call;
        self.ask(&SandboxRequest::Check { script: script.text, handler, stage, entity, target: target.clone() })
    }
}
