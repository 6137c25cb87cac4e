//! The process in which Lua runs, as it sees itself.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use rototo_engine::lint::{Call, Declared, Objection, Script, ScriptError, ScriptErrorKind};
use serde::Deserialize;
use serde_json::Value;

use super::confine::confine;
use crate::answers;
use crate::sandbox::{Sandbox, ScriptLimits};

/// A request as it is parsed: texts with escapes can't be borrowed.
#[derive(Deserialize)]
enum SandboxRequest {
    Register { script: String },
    Check { script: String, handler: String, stage: rototo_engine::Stage, entity: String, target: Value },
}

/// Confines this process, and answers requests until there are no more. Call it first in `main`, before there are other
/// threads.
#[must_use]
pub fn serve() -> ExitCode {
    let (mut questions, mut answers) = (std::io::stdin().lock(), std::io::stdout().lock());
    let confined = confine();
    let limits = ScriptLimits::default();
    let mut line = String::new();
    loop {
        line.clear();
        match questions.read_line(&mut line) {
            Ok(0) => return ExitCode::SUCCESS,
            Ok(_) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        let answer = match (&confined, serde_json::from_str(&line)) {
            (Err(why), _) => as_json::<()>(Err(ScriptError::new(
                ScriptErrorKind::Process,
                format!("Lua could not be confined: {why}"),
            ))),
            (_, Err(_)) => return ExitCode::FAILURE,
            (Ok(()), Ok(SandboxRequest::Register { script })) => as_json(register(&script, &limits)),
            (Ok(()), Ok(SandboxRequest::Check { script, handler, stage, entity, target })) => {
                let script = Script { path: "", text: &script };
                let call = Call { script, handler: &handler, stage, entity: &entity, target: &target };
                as_json(check(&call, &limits))
            }
        };
        if writeln!(answers, "{answer}").and_then(|()| answers.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

fn register(script: &str, limits: &ScriptLimits) -> Result<Vec<Declared>, ScriptError> {
    answers::register(&Sandbox::run(script, limits)?)
}

fn check(call: &Call<'_>, limits: &ScriptLimits) -> Result<Vec<Objection>, ScriptError> {
    answers::check(&Sandbox::run(call.script.text, limits)?, call)
}

fn as_json<T: serde::Serialize>(answer: Result<T, ScriptError>) -> String {
    serde_json::to_string(&answer).unwrap_or_default()
}
