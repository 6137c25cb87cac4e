//! Lua in a process of its own: it can open nothing, has a limit of everything, and is ended when it takes too long.
//!
//! The process is a program that calls [`serve`] when it is started with the one argument [`SANDBOX`]. It gets questions
//! as lines of JSON, and answers each with one.

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
use process::{SandboxProcess, SubprocessError};
pub use serve::serve;

/// What makes a program the process in which Lua runs.
pub const SANDBOX: &str = "lua-sandbox";

/// How much longer than a script may take its process may take to answer: it has to be started, and to be scheduled.
const GRACE: Duration = Duration::from_secs(3);

/// What is asked of the process.
#[derive(Serialize, Deserialize)]
enum SandboxRequest<'a> {
    Register { script: &'a str },
    Check { script: &'a str, handler: &'a str, stage: Stage, entity: &'a str, target: Value },
}

/// Runs the scripts of one workspace in a process of its own. Make one for each run of lint, since together they may take
/// only so long.
#[derive(Debug)]
pub struct Subprocess {
    program: PathBuf,
    limits: ScriptLimits,
    end: Instant,
    process: Option<SandboxProcess>,
}

impl Subprocess {
    /// Starts `program` with the argument [`SANDBOX`] once there is something to ask. From now on scripts may take their
    /// total time. The limits for one call are those of the process, which knows them itself.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        let limits = ScriptLimits::default();
        Self { program, limits, end: Instant::now() + limits.total_time, process: None }
    }

    /// The answer to one question. A process that is lost is replaced once: that it was lost may be another's fault.
    fn ask<T: DeserializeOwned>(&mut self, question: &SandboxRequest<'_>) -> Result<T, ScriptError> {
        let question = serde_json::to_string(question).unwrap_or_default();
        let answer = match self.try_once(&question) {
            Err(SubprocessError::Ended(_)) => self.try_once(&question),
            answer => answer,
        };
        match answer {
            Ok(answer) => {
                serde_json::from_str(&answer).unwrap_or_else(|_| Err(lost("gave no answer that can be read")))
            }
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
        // Only one that has answered is asked again; any other ends as it is dropped.
        self.process = Some(process);
        Ok(answer)
    }
}

fn lost(how: &str) -> ScriptError {
    ScriptError::new(ScriptErrorKind::Process, format!("the process in which Lua runs {how}"))
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
