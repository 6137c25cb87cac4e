//! One SDK against an agent of its own: the table, and then changes and failures under the running driver.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::agent::{Agent, Workspace};
use super::drivers::Language;
use super::table::{Case, Expected, FILES, cases, default_of};

/// The longest time for one evaluation, and for a change to arrive.
const DEADLINE: Duration = Duration::from_secs(30);
/// The time between two evaluations that wait for a change.
const AGAIN: Duration = Duration::from_millis(50);

/// The outcome of one evaluation.
pub(super) enum SdkOutcome {
    Passed,
    /// As this SDK is known to differ, for this reason.
    Differs(&'static str),
    Failed(String),
}

/// A running driver with its agent.
pub(super) struct SdkScene {
    language: &'static Language,
    driver: Driver,
    agent: Agent,
    workspace: Workspace,
    outcomes: Vec<(&'static str, SdkOutcome)>,
}

impl SdkScene {
    /// Runs the whole table.
    pub(super) fn play(
        language: &'static Language,
        command: Command,
    ) -> anyhow::Result<Vec<(&'static str, SdkOutcome)>> {
        let workspace = Workspace::new(language.name, FILES)?;
        let agent = Agent::start(&workspace)?;
        let driver = Driver::start(command, &agent.url())?;
        let mut scene = Self { language, driver, agent, workspace, outcomes: Vec::new() };
        // The agent listens before it has loaded the workspace.
        scene.until("the agent is ready, no evaluation paused", &fixed("same", "STATIC"))?;
        for case in cases() {
            scene.evaluate(&case)?;
        }
        scene.metadata("metadata", &fixed("same", "STATIC"), false)?;
        scene.changes()?;
        scene.failures()?;
        Ok(scene.outcomes)
    }

    fn evaluate(&mut self, case: &Case) -> anyhow::Result<()> {
        let found = self.driver.evaluate(case)?;
        let outcome = self.judge(case, &found);
        self.outcomes.push((case.name, outcome));
        Ok(())
    }

    fn judge(&self, case: &Case, found: &Value) -> SdkOutcome {
        let difference = case.differences.iter().find(|(language, ..)| *language == self.language.name);
        let expected = difference.map_or(&case.expected, |(_, expected, _)| expected);
        match (mismatch(case, expected, found), difference) {
            (Some(mismatch), _) => SdkOutcome::Failed(mismatch),
            (None, Some((.., reason))) => SdkOutcome::Differs(reason),
            (None, None) => SdkOutcome::Passed,
        }
    }

    /// Evaluates until the result is as expected, for at most [`DEADLINE`].
    fn until(&mut self, name: &'static str, case: &Case) -> anyhow::Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            let found = self.driver.evaluate(case)?;
            let outcome = self.judge(case, &found);
            if !matches!(outcome, SdkOutcome::Failed(_)) || Instant::now() > end {
                self.outcomes.push((name, outcome));
                return Ok(());
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn metadata(&mut self, name: &'static str, case: &Case, is_stale: bool) -> anyhow::Result<()> {
        let found = self.driver.evaluate(case)?;
        let metadata = &found["metadata"];
        let is_complete = metadata["fingerprint"].as_str().is_some_and(|text| text.starts_with("sha256:"))
            && metadata["stale"] == is_stale
            && metadata["verified_seconds_ago"].is_number();
        let outcome =
            if is_complete { SdkOutcome::Passed } else { SdkOutcome::Failed(format!("the metadata is {metadata}")) };
        self.outcomes.push((name, outcome));
        Ok(())
    }

    fn changes(&mut self) -> anyhow::Result<()> {
        self.workspace.write("variables/fixed.toml", &fixed_is("changed"))?;
        self.until("a change arrives", &fixed("changed", "STATIC"))?;
        self.workspace.write("variables/new.toml", &fixed_is("new"))?;
        let new = Case { key: "new", ..fixed("new", "STATIC") };
        self.until("a new variable arrives", &new)?;
        self.workspace.remove("variables/doomed.toml")?;
        let doomed = Case { key: "doomed", expected: Expected::Error("FLAG_NOT_FOUND"), ..fixed("", "") };
        self.until("a removed variable is gone", &doomed)?;
        self.workspace.write("variables/new.toml", "type = 7\n")?;
        let end = Instant::now() + DEADLINE;
        while self.agent.refusals()? == 0 {
            ensure!(Instant::now() < end, "the agent does not see a change that lint refuses");
            std::thread::sleep(AGAIN);
        }
        self.until("a change that lint refuses changes nothing", &new)?;
        self.workspace.write("variables/new.toml", &fixed_is("newer"))?;
        let newer = Case { key: "new", ..fixed("newer", "STATIC") };
        self.until("the next good change arrives", &newer)?;
        self.workspace.set_present(false)?;
        let stale = fixed("changed", "STALE");
        self.until("reason STALE", &stale)?;
        self.metadata("metadata of a stale value", &stale, true)?;
        self.workspace.set_present(true)?;
        self.until("verified again", &fixed("changed", "STATIC"))
    }

    fn failures(&mut self) -> anyhow::Result<()> {
        self.agent.stop();
        let mut gone = Case { expected: Expected::Error("GENERAL"), ..fixed("", "") };
        let keeps = "the values of the last answer stay in use";
        let kept = fixed("changed", "STATIC").expected;
        gone.differences.push(("javascript-web", kept.clone(), keeps));
        self.until("the agent is gone", &gone)?;
        self.agent.restart()?;
        self.until("the agent is back", &fixed("changed", "STATIC"))?;

        self.workspace.set_present(false)?;
        self.agent.restart()?;
        self.until("the agent has nothing loaded", &gone)?;
        self.workspace.set_present(true)?;
        self.until("it has loaded, no evaluation paused", &fixed("changed", "STATIC"))?;
        self.workspace.write("variables/fixed.toml", &fixed_is("last"))?;
        self.until("a change arrives after the restarts", &fixed("last", "STATIC"))
    }
}

/// Returns the document of a variable without rules.
fn fixed_is(value: &str) -> String {
    format!(
        "schema_version = 1\ntype = \"string\"\nvalues = {{ off = \"{value}\" }}\nresolve = {{ default = \"off\" }}\n"
    )
}

/// Returns an evaluation of the variable without rules.
fn fixed(value: &str, reason: &'static str) -> Case {
    Case {
        name: "",
        kind: "string",
        key: "fixed",
        context: json!({ "targetingKey": "acct-001", "plan": "pro" }),
        expected: Expected::Value(json!(value), "off", reason),
        differences: Vec::new(),
    }
}

/// Returns how a result differs from the expected one.
fn mismatch(case: &Case, expected: &Expected, found: &Value) -> Option<String> {
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    let is_right = match expected {
        Expected::Anything => true,
        Expected::Value(value, variant, reason) => {
            same(&found["value"], value)
                && text("variant") == *variant
                && text("reason") == *reason
                && text("error").is_empty()
        }
        Expected::Error(code) => text("error") == *code && same(&found["value"], &default_of(case.kind)),
    };
    let shown = |text: String| text.chars().take(300).collect::<String>();
    (!is_right).then(|| format!("expected {expected:?}, found {}", shown(found.to_string())))
}

/// Returns whether two values are the same; `2` and `2.0` are, because some SDKs have one type for both.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, value)| other.get(key).is_some_and(|it| same(value, it)))
        }
        _ => one == other,
    }
}

/// A running driver. Dropping it ends it.
struct Driver {
    process: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Driver {
    fn start(mut command: Command, url: &str) -> anyhow::Result<Self> {
        let mut process = command
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let input = process.stdin.take().context("the driver has an input")?;
        let lines = BufReader::new(process.stdout.take().context("the driver has an output")?).lines();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| line.starts_with('{')) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut driver = Self { process, input, output };
        driver.answer().context("the driver does not start")?;
        Ok(driver)
    }

    fn evaluate(&mut self, case: &Case) -> anyhow::Result<Value> {
        let mut attributes = case.context.clone();
        let mut wanted = json!({ "type": case.kind, "key": case.key, "default": default_of(case.kind) });
        if let Some(key) = attributes.as_object_mut().and_then(|attributes| attributes.remove("targetingKey")) {
            wanted["targetingKey"] = key;
        }
        wanted["attributes"] = attributes;
        writeln!(self.input, "{wanted}").context("write to the driver")?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Value> {
        match self.output.recv_timeout(DEADLINE) {
            Ok(line) => serde_json::from_str(&line).with_context(|| format!("the driver wrote {line}")),
            Err(RecvTimeoutError::Timeout) => bail!("the driver did not answer within {DEADLINE:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("the driver has ended"),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
