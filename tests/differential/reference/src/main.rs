//! Reads one question per line, and answers each with the public crate.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    Lint { root: PathBuf },
    Trace { root: PathBuf, variable: String, context: Value },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = answer(serde_json::from_str(&line?)?).await;
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

async fn answer(question: Question) -> Value {
    let answer = match question {
        Question::Lint { root } => {
            let lint = reference::lint_workspace(&root).await;
            lint.map(|lint| json!(lint.diagnostics)).map_err(|error| error.to_string())
        }
        Question::Trace { root, variable, context } => {
            let trace = reference::trace_variable_resolution(&root, &variable, &context).await;
            trace.map(|trace| json!(trace)).map_err(|error| error.to_string())
        }
    };
    match answer {
        Ok(answer) => json!({ "ok": answer }),
        Err(error) => json!({ "error": error }),
    }
}
