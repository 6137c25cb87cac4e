//! Runs builds side by side, and shows the progress of all of them in one line.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The part of all work, as one of so many, that has to be done before the rest is estimated.
const ESTIMATED_AFTER: u64 = 20;
/// The longest line on a terminal.
const WIDTH: usize = 100;

/// A build whose output on stderr has a line for each step.
pub(crate) struct MeasuredBuild {
    /// The steps, such as `Go packages`.
    pub(crate) what: &'static str,
    /// The program.
    pub(crate) command: Command,
    /// The number of steps of a build from nothing.
    pub(crate) total: usize,
    /// The usual time of a step, in milliseconds of one core.
    pub(crate) step_ms: u64,
    /// Returns the name of the step that a line of output reports.
    pub(crate) step: fn(&str) -> Option<&str>,
    /// The advice for when the program can't be run.
    pub(crate) advice: String,
}

/// The state of one build that runs.
struct Running {
    build: MeasuredBuild,
    child: Child,
    done: usize,
    /// The output without its steps.
    output: String,
}

/// Runs the builds, and returns when all have ended. Each is taken when those before it run. The first one that fails is
/// the error, with its output.
pub(crate) fn run(builds: impl IntoIterator<Item = anyhow::Result<MeasuredBuild>>) -> anyhow::Result<()> {
    let (sender, lines) = channel();
    let mut running: Vec<Running> = Vec::new();
    for (number, build) in builds.into_iter().enumerate() {
        match build.and_then(|build| start(build, number, sender.clone())) {
            Ok(started) => running.push(started),
            Err(error) => {
                for Running { mut child, .. } in running {
                    let _ = child.kill().and_then(|()| child.wait());
                }
                return Err(error);
            }
        }
    }
    drop(sender);
    show(&mut running, &lines);
    for Running { build, mut child, output, .. } in running {
        let status = child.wait().context("wait for a build")?;
        if !status.success() {
            bail!("{:?} failed ({status}). Its output:\n{output}\nThe same command tries again.", build.command);
        }
    }
    Ok(())
}

fn start(mut build: MeasuredBuild, number: usize, sender: Sender<(usize, String)>) -> anyhow::Result<Running> {
    build.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = build.command.spawn().with_context(|| build.advice.clone())?;
    let output = child.stderr.take().context("read the output of a build")?;
    send_lines(number, output, sender);
    Ok(Running { build, child, done: 0, output: String::new() })
}

fn send_lines(number: usize, output: impl Read + Send + 'static, sender: Sender<(usize, String)>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send((number, line)).is_err() {
                break;
            }
        }
    });
}

/// Shows the progress until all builds have ended: on a terminal as one line that is redrawn, otherwise as a line every 15
/// seconds.
fn show(running: &mut [Running], lines: &Receiver<(usize, String)>) {
    let terminal = std::io::stderr().is_terminal();
    let every = if terminal { Duration::from_millis(250) } else { Duration::from_secs(15) };
    let (started, mut shown, mut latest) = (Instant::now(), Instant::now(), String::new());
    loop {
        match lines.recv_timeout(every) {
            Ok((number, line)) => {
                let of = &mut running[number];
                match (of.build.step)(&line) {
                    Some(step) => {
                        of.done += 1;
                        latest = step.to_owned();
                    }
                    None => of.output.push_str(&format!("{line}\n")),
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if shown.elapsed() >= every {
            shown = Instant::now();
            let line = format!("{}  {latest}", progress(running, started.elapsed()));
            if terminal {
                eprint!("\r\x1b[2K{}", line.chars().take(WIDTH).collect::<String>());
                let _ = std::io::stderr().flush();
            } else {
                eprintln!("{line}");
            }
        }
    }
    let end = if terminal { "\r\x1b[2K" } else { "" };
    eprintln!("{end}  {}  built", minutes(started.elapsed()));
}

/// Returns the counts of all builds, and the rest of the time.
fn progress(running: &[Running], elapsed: Duration) -> String {
    let counts = running.iter().map(|Running { build, done, .. }| format!("{done} of {} {}", build.total, build.what));
    let counts: Vec<_> = counts.collect();
    let steps: Vec<_> = running.iter().map(|of| (of.done, of.build.total, of.build.step_ms)).collect();
    let rest = rest(&steps, elapsed).map_or_else(String::new, |rest| format!(", about {} left", minutes(rest)));
    format!("  {}  {}{rest}", minutes(elapsed), counts.join(", "))
}

/// Returns the time that the rest takes if it goes on as it did: each build has done some of all its steps, which usually
/// take so long. It is less where something was built before, and more where the first steps are the short ones. `None` at
/// the beginning.
fn rest(builds: &[(usize, usize, u64)], elapsed: Duration) -> Option<Duration> {
    let work = |steps: usize, step_ms: u64| u64::try_from(steps).unwrap_or(u64::MAX).saturating_mul(step_ms);
    let done: u64 = builds.iter().map(|(done, _, step_ms)| work(*done, *step_ms)).sum();
    let rest: u64 = builds.iter().map(|(done, total, step_ms)| work(total.saturating_sub(*done), *step_ms)).sum();
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let rest_ms = elapsed_ms.saturating_mul(rest).checked_div(done)?;
    (done.saturating_mul(ESTIMATED_AFTER) >= done.saturating_add(rest)).then(|| Duration::from_millis(rest_ms))
}

fn minutes(time: Duration) -> String {
    format!("{}m {:02}s", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &str) -> Option<&str> {
        line.strip_prefix("step ")
    }

    fn shell(script: &str, total: usize) -> MeasuredBuild {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        MeasuredBuild { what: "steps", command, total, step_ms: 10, step: named, advice: "install sh".to_owned() }
    }

    #[test]
    fn the_output_of_a_build_that_fails_is_shown_without_its_steps() {
        let good = shell("echo step a >&2", 1);
        let error =
            run([Ok(good), Ok(shell("echo step b >&2; echo wrong line >&2; exit 3", 2))]).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("Its output:\nwrong line\n\n"), "{error}");
        run([Ok(shell("true", 1)), Ok(shell("echo step a >&2", 1))]).unwrap();
    }

    #[test]
    fn a_program_that_is_missing_is_an_error_with_advice() {
        let command = Command::new("no-such-program-here");
        // A build that runs already is ended.
        let endless = shell("exec sleep 3600", 1);
        let error = run([Ok(endless), Ok(MeasuredBuild { command, ..shell("true", 1) })]).unwrap_err();
        assert_eq!(error.to_string(), "install sh");
    }

    #[test]
    fn the_rest_is_estimated_from_the_work_that_is_done() {
        let minute = Duration::from_secs(60);
        // A tenth of the first and half of the second: 300 of 1400 in a minute.
        assert_eq!(rest(&[(100, 1000, 1), (1, 2, 200)], minute), Some(minute * 11 / 3));
        assert_eq!(rest(&[(0, 1000, 1)], minute), None);
        assert_eq!(rest(&[(49, 1000, 1)], minute), None);
        assert_eq!(rest(&[(50, 1000, 1)], minute), Some(19 * minute));
        // More steps than expected.
        assert_eq!(rest(&[(5, 4, 1)], minute), Some(Duration::ZERO));
    }
}
