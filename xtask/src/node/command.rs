//! Runs commands, and waits for conditions.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Runs a command to its end, and returns its output. The error has what it wrote to stderr.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {program}"))?;
    text(command, output)
}

/// Runs a command with this input, and returns its output.
pub(crate) fn output_of(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {program}"))?;
    let mut stdin = child.stdin.take().with_context(|| format!("write to {program}"))?;
    stdin.write_all(input.as_bytes()).with_context(|| format!("write to {program}"))?;
    drop(stdin);
    let output = child.wait_with_output().with_context(|| format!("wait for {program}"))?;
    text(command, output)
}

fn text(command: &Command, output: std::process::Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let said = String::from_utf8_lossy(&output.stderr);
        let program = command.get_program().to_string_lossy();
        bail!("`{program} {}` failed ({}): {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Repeats `check` until it succeeds. Its last error is the state that is shown when time is over.
pub(crate) fn wait_for<T>(
    what: &str,
    within: Duration,
    mut check: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(state) if started.elapsed() > within => {
                return Err(state.context(format!("{what}: not within {} s", within.as_secs())));
            }
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_command_has_its_arguments_and_its_own_words() {
        let error = output(Command::new("sh").args(["-c", "echo gone >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("`sh -c echo gone") && error.contains("exit status: 3") && error.ends_with(": gone"));
        assert_eq!(output_of(&mut Command::new("cat"), "x\n").unwrap(), "x");
    }

    #[test]
    fn a_wait_ends_with_the_last_state() {
        let mut times = 0;
        let mut third = || {
            times += 1;
            if times < 3 { bail!("{times} of 3") } else { Ok(times) }
        };
        assert_eq!(wait_for("three", Duration::from_secs(5), &mut third).unwrap(), 3);
        let error = wait_for::<()>("four", Duration::ZERO, || bail!("3 of 4")).unwrap_err();
        assert_eq!(format!("{error:#}"), "four: not within 0 s: 3 of 4");
    }
}
