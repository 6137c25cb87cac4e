//! Builds one Go module into the cache: once, even if several processes ask, and either completely or not at all.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::go_module::GoModule;

/// Builds `module`, or waits if another process is building it.
pub(crate) fn build(module: &GoModule, cache: &Path) -> anyhow::Result<()> {
    let finished = module.directory(cache);
    fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
    let _lock = lock(&cache.join("lock"))?;
    if finished.is_dir() {
        return Ok(());
    }
    eprintln!("Building {} from Go modules: {}.", module.versions().join(" and "), module.programs.join(", "));
    eprintln!(
        "This happens only once: it takes about {} on 2 cores, and the result stays in {}.",
        module.duration,
        cache.display()
    );

    let staging = cache.join("building");
    discard(&staging)?;
    compile(module, &staging)?;
    for (from, to) in module.renamed {
        fs::rename(staging.join(from), staging.join(to)).with_context(|| format!("rename {from} to {to}"))?;
    }
    fs::rename(&staging, &finished).with_context(|| format!("move the programs to {}", finished.display()))
}

/// Returns a lock that is held until it is dropped. The kernel releases it when this process ends for any reason.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("Another process is building into the same cache; waiting for it.");
        file.lock().with_context(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}

fn discard(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("remove {}", directory.display()))?;
    }
    Ok(())
}

fn compile(module: &GoModule, destination: &Path) -> anyhow::Result<()> {
    let mut go = Command::new("go");
    go.args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", &module.linker_flags(), "-o"]);
    // Go treats a path that ends in a slash as a directory, and creates it.
    go.arg(destination.join("")).arg("tool").current_dir(module.folder());
    go.env("CGO_ENABLED", "0").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = go.spawn().with_context(|| {
        format!(
            "run `go`, which builds {}: install Go 1.26 or newer, and run the command again. (For a control plane, \
             KUBEBUILDER_ASSETS may instead name a directory that has the programs.)",
            module.programs.join(", ")
        )
    })?;
    let output = child.stderr.take().context("read the output of `go`")?;
    let said = show_progress(&lines_of(output));
    let status = child.wait().context("wait for `go`")?;
    if !status.success() {
        bail!("`go build` in {} failed ({status}). Its output:\n{said}\nThe same command tries again.", module.folder);
    }
    Ok(())
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Shows the progress of `go build -v` until it ends: on a terminal as one line that is redrawn, otherwise as a line
/// every 15 seconds. Returns its output without the names of packages.
fn show_progress(lines: &Receiver<String>) -> String {
    let terminal = std::io::stderr().is_terminal();
    let every = if terminal { Duration::from_millis(250) } else { Duration::from_secs(15) };
    let started = Instant::now();
    let (mut shown, mut packages, mut latest, mut said) = (started, 0, String::new(), String::new());
    loop {
        match lines.recv_timeout(every) {
            Ok(line) if line.starts_with("go: downloading ") => latest = line["go: ".len()..].to_owned(),
            Ok(line) if line.contains(' ') || line.starts_with('#') => said.push_str(&format!("{line}\n")),
            Ok(package) => (packages, latest) = (packages + 1, package),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if shown.elapsed() >= every {
            shown = Instant::now();
            let line = format!("  {}  {packages} packages compiled  {latest}", elapsed(started.elapsed()));
            if terminal {
                eprint!("\r\x1b[2K{}", line.chars().take(100).collect::<String>());
                let _ = std::io::stderr().flush();
            } else {
                eprintln!("{line}");
            }
        }
    }
    let end = if terminal { "\r\x1b[2K" } else { "" };
    eprintln!("{end}  {}  {packages} packages compiled", elapsed(started.elapsed()));
    said
}

fn elapsed(time: Duration) -> String {
    format!("{}m {:02}s", time.as_secs() / 60, time.as_secs() % 60)
}
