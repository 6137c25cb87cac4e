//! Lua in the process that asks.

use std::time::Instant;

use rototo_engine::lint::{Call, Cause, Declared, Objection, Script, Scripts, Unable};

use crate::answers;
use crate::sandbox::{Limits, Sandbox};

/// Runs the scripts of one workspace in this process, on the thread that asks: each call in a Lua state of its own. Make
/// one for each run of lint, since together they may take only so long.
#[derive(Debug)]
pub struct InProcess {
    limits: Limits,
    end: Instant,
}

impl InProcess {
    /// From now on scripts may take their total time.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, end: Instant::now() + limits.total_time }
    }

    fn run(&self, script: Script<'_>) -> Result<Sandbox, Unable> {
        if Instant::now() > self.end {
            return Err(out_of_time(&self.limits));
        }
        Sandbox::run(script.text, &self.limits)
    }
}

impl Scripts for InProcess {
    fn register(&mut self, script: Script<'_>) -> Result<Vec<Declared>, Unable> {
        answers::register(&self.run(script)?)
    }

    fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, Unable> {
        answers::check(&self.run(call.script)?, call)
    }
}

pub(crate) fn out_of_time(limits: &Limits) -> Unable {
    let message = format!(
        "all scripts of the workspace together took longer than {:?}: no further one was run",
        limits.total_time
    );
    Unable::new(Cause::TotalTime, message)
}
