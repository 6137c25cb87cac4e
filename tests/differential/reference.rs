//! Runs the public crate in a process of its own, because its Lua and ours can't be linked into one program.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A running process of `reference/`.
pub struct Reference {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    /// Builds the program if necessary, and starts it.
    pub fn start() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/Cargo.toml");
        let target = target_directory().join("reference");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&target);
        assert!(build.status().unwrap().success(), "{build:?} failed");
        let program = target.join("debug/rototo-differential-reference");
        let mut process =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start the reference");
        let (questions, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, questions, answers }
    }

    /// Returns its diagnostics for the workspace at `root`.
    pub fn lint(&mut self, root: &Path) -> Value {
        self.ask(&json!({ "lint": { "root": root } })).unwrap()
    }

    /// Returns its trace of a resolution.
    pub fn trace(&mut self, root: &Path, variable: &str, context: &Value) -> Result<Value, String> {
        self.ask(&json!({ "trace": { "root": root, "variable": variable, "context": context } }))
    }

    fn ask(&mut self, question: &Value) -> Result<Value, String> {
        writeln!(self.questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).expect("read the response of the reference");
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the target directory in which cargo built this test: `target` of `target/debug/deps/differential-…`.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}
