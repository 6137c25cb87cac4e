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
use rototo_engine::lint::{Call, Cause, Declared, Objection, Script, Scripts, Unable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::in_process::out_of_time;
use crate::sandbox::Limits;
use process::{Lost, Process};
pub use serve::serve;

/// What makes a program the process in which Lua runs.
pub const SANDBOX: &str = "lua-sandbox";

/// How much longer than a script may take its process may take to answer: it has to be started, and to be scheduled.
const GRACE: Duration = Duration::from_secs(3);

/// What is asked of the process.
#[derive(Serialize, Deserialize)]
enum Question<'a> {
    Register { script: &'a str },
    Check { script: &'a str, handler: &'a str, stage: Stage, entity: &'a str, target: Value },
}

/// Runs the scripts of one workspace in a process of its own. Make one for each run of lint, since together they may take
/// only so long.
#[derive(Debug)]
pub struct Elsewhere {
    program: PathBuf,
    limits: Limits,
    end: Instant,
    process: Option<Process>,
}

impl Elsewhere {
    /// Starts `program` with the argument [`SANDBOX`] once there is something to ask. From now on scripts may take their
    /// total time. The limits for one call are those of the process, which knows them itself.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        let limits = Limits::default();
        Self { program, limits, end: Instant::now() + limits.total_time, process: None }
    }

    /// The answer to one question. A process that is lost is replaced once: that it was lost may be another's fault.
    fn ask<T: DeserializeOwned>(&mut self, question: &Question<'_>) -> Result<T, Unable> {
        let question = serde_json::to_string(question).unwrap_or_default();
        let answer = match self.try_once(&question) {
            Err(Lost::Ended(_)) => self.try_once(&question),
            answer => answer,
        };
        match answer {
            Ok(answer) => {
                serde_json::from_str(&answer).unwrap_or_else(|_| Err(lost("gave no answer that can be read")))
            }
            Err(Lost::Late) if Instant::now() >= self.end => Err(out_of_time(&self.limits)),
            Err(Lost::Late) => {
                let message = format!("the script took longer than {:?}", self.limits.time);
                Err(Unable::new(Cause::Time, message))
            }
            Err(Lost::Ended(how)) => Err(lost(&how)),
        }
    }

    fn try_once(&mut self, question: &str) -> Result<String, Lost> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Lost::Late);
        }
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&self.program)?,
        };
        let answer = process.ask(question, left.min(self.limits.time + GRACE))?;
        // Only one that has answered is asked again; any other ends as it is dropped.
        self.process = Some(process);
        Ok(answer)
    }
}

fn lost(how: &str) -> Unable {
    Unable::new(Cause::Process, format!("the process in which Lua runs {how}"))
}

impl Scripts for Elsewhere {
    fn register(&mut self, script: Script<'_>) -> Result<Vec<Declared>, Unable> {
        self.ask(&Question::Register { script: script.text })
    }

    fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, Unable> {
        let Call { script, handler, stage, entity, target } = *call;
        self.ask(&Question::Check { script: script.text, handler, stage, entity, target: target.clone() })
    }
}
