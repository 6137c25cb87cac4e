//! Lua in the calling process.

use std::time::Instant;

use rototo_engine::lint::{Call, Declared, Objection, Script, ScriptError, ScriptErrorKind, Scripts};

use crate::answers;
use crate::sandbox::{Sandbox, ScriptLimits};

/// Runs the scripts of one workspace in this process, on the calling thread, with a Lua state for each call. Make one
/// for each run of lint, because the time limit covers all scripts together.
#[derive(Debug)]
pub struct InProcess {
    limits: ScriptLimits,
    end: Instant,
}

impl InProcess {
    /// Starts the time limit of all scripts together.
    #[must_use]
    pub fn new(limits: ScriptLimits) -> Self {
        Self { limits, end: Instant::now() + limits.total_time }
    }

    fn run(&self, script: Script<'_>) -> Result<Sandbox, ScriptError> {
        if Instant::now() > self.end {
            return Err(out_of_time(&self.limits));
        }
        Sandbox::run(script.text, &self.limits)
    }
}

impl Scripts for InProcess {
    fn register(&mut self, script: Script<'_>) -> Result<Vec<Declared>, ScriptError> {
        answers::register(&self.run(script)?)
    }

    fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, ScriptError> {
        answers::check(&self.run(call.script)?, call)
    }
}

pub(crate) fn out_of_time(limits: &ScriptLimits) -> ScriptError {
    let message = format!(
        "all scripts of the workspace together took longer than {:?}: no further one was run",
        limits.total_time
    );
    ScriptError::new(ScriptErrorKind::TotalTime, message)
}
