//! The process in which Lua runs, as its parent sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// The argument that turns a program into the process in which Lua runs.
pub const SANDBOX: &str = "lua-sandbox";

/// The most bytes of a result. The process itself has a lower limit.
const LONGEST_ANSWER: u64 = 32 * 1024 * 1024;

/// One process. It ends when this value is dropped.
#[derive(Debug)]
pub(super) struct SandboxProcess {
    child: Child,
    questions: Sender<String>,
    answers: Receiver<String>,
}

/// The reason for which there is no result.
pub(super) enum SubprocessError {
    /// The result did not arrive in time.
    Late,
    /// The process has ended, or did not start; with the reason.
    Ended(String),
}

impl SandboxProcess {
    /// Starts the process without an environment, and with only three pipes open.
    pub(super) fn start(program: &Path) -> Result<Self, SubprocessError> {
        let mut command = Command::new(program);
        command.arg(SANDBOX).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let cannot = |error| SubprocessError::Ended(format!("could not be started: {error}"));
        let mut child = command.spawn().map_err(cannot)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SubprocessError::Ended("has no pipes".to_owned()));
        };
        let (questions, to_ask) = channel();
        let (answered, answers) = channel();
        // This thread ends when the process ends, or when no more requests can arrive.
        let exchange = move || exchange(stdin, stdout, &to_ask, &answered);
        match thread::Builder::new().name("lua".to_owned()).spawn(exchange) {
            Ok(_) => Ok(Self { child, questions, answers }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(cannot(error))
            }
        }
    }

    /// Returns the result of a request, if it arrives within `time`.
    pub(super) fn ask(&mut self, question: &str, time: Duration) -> Result<String, SubprocessError> {
        // If the send fails, no result arrives either.
        let _ = self.questions.send(question.to_owned());
        self.answers.recv_timeout(time).map_err(|error| match error {
            RecvTimeoutError::Timeout => SubprocessError::Late,
            RecvTimeoutError::Disconnected => SubprocessError::Ended(match self.child.wait() {
                Ok(status) => format!("has ended ({status})"),
                Err(error) => format!("is lost: {error}"),
            }),
        })
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(mut stdin: ChildStdin, stdout: ChildStdout, to_ask: &Receiver<String>, answered: &Sender<String>) {
    let mut stdout = BufReader::new(stdout);
    for question in to_ask {
        let mut answer = String::new();
        let exchanged = writeln!(stdin, "{question}")
            .and_then(|()| stdin.flush())
            .and_then(|()| stdout.by_ref().take(LONGEST_ANSWER).read_line(&mut answer));
        let whole = exchanged.is_ok() && answer.ends_with('\n');
        if !whole || answered.send(answer).is_err() {
            return;
        }
    }
}
