//! The drivers: a small program for each SDK, with the versions that it pins.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::control_plane::cache_directory;
use crate::{cargo, folder};

/// An SDK.
pub(super) struct Language {
    pub(super) name: &'static str,
    /// The packages, for people.
    pub(super) packages: &'static str,
    /// The files of the driver. The first one pins the versions.
    files: &'static [&'static str],
    /// The tools that have to be installed.
    tools: &'static [&'static str],
    install: fn(&Path) -> Vec<Command>,
    run: fn(&Path) -> Command,
}

/// The SDKs, in the order of the columns.
pub(super) const LANGUAGES: [Language; 5] = [
    Language {
        name: "javascript-server",
        packages: "@openfeature/server-sdk 1.23.0, @openfeature/ofrep-provider 0.1.3",
        files: &["package.json", "driver.mjs"],
        tools: &["node", "npm"],
        install: npm,
        run: node,
    },
    Language {
        name: "javascript-web",
        packages: "@openfeature/web-sdk 1.10.0, @openfeature/ofrep-web-provider 0.4.3, in Node.js",
        files: &["package.json", "driver.mjs"],
        tools: &["node", "npm"],
        install: npm,
        run: node,
    },
    Language {
        name: "python",
        packages: "openfeature-sdk 0.10.0, openfeature-provider-ofrep 0.3.0",
        files: &["requirements.txt", "driver.py"],
        tools: &["python3"],
        install: |folder| {
            let pip = ["-m", "pip", "install", "--quiet", "--requirement", "requirements.txt", "--target", "packages"];
            vec![command("python3", folder, &pip)]
        },
        run: |folder| {
            let mut python = command("python3", folder, &["driver.py"]);
            python.env("PYTHONPATH", folder.join("packages"));
            python
        },
    },
    Language {
        name: "go",
        packages: "github.com/open-feature/go-sdk v1.20.0, …/go-sdk-contrib/providers/ofrep v0.1.7",
        files: &["go.mod", "go.sum", "main.go"],
        tools: &["go"],
        install: |folder| vec![command("go", folder, &["build", "-o", "driver", "."])],
        run: |folder| command(&folder.join("driver").display().to_string(), folder, &[]),
    },
    Language {
        name: "java",
        packages: "dev.openfeature:sdk 1.22.0, dev.openfeature.contrib.providers:ofrep 0.0.2",
        files: &["pom.xml", "Driver.java"],
        tools: &["java", "mvn"],
        install: |folder| {
            let copy = ["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=packages"];
            vec![command("mvn", folder, &copy)]
        },
        run: |folder| command("java", folder, &["-cp", "packages/*", "Driver.java"]),
    },
];

/// A driver that is ready to run, or the tool that this machine lacks.
pub(super) enum Prepared {
    Command(Command),
    Missing(&'static str),
}

fn npm(folder: &Path) -> Vec<Command> {
    vec![command("npm", folder, &["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])]
}

fn node(folder: &Path) -> Command {
    command("node", folder, &["driver.mjs"])
}

fn command(program: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

impl Language {
    /// Installs the SDK, unless this version is installed already, and returns the command of the driver.
    pub(super) fn prepare(&self) -> anyhow::Result<Prepared> {
        if let Some(missing) = self.tools.iter().find(|tool| !is_installed(tool)) {
            return Ok(Prepared::Missing(missing));
        }
        let source = cargo::root().join("xtask/src/sdks/drivers").join(self.name);
        let mut digest = Sha256::new();
        for file in self.files {
            let path = source.join(file);
            digest.update(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
        }
        let version: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let folder = cache_directory()?.join("sdks").join(format!("{}-{version}", self.name));
        let complete = folder.join("complete");
        if !complete.is_file() {
            eprintln!("  installing into {} (once)", folder.display());
            self.install(&source, &folder)?;
            fs::write(&complete, "").with_context(|| format!("write {}", complete.display()))?;
        }
        Ok(Prepared::Command((self.run)(&folder)))
    }

    fn install(&self, source: &Path, folder: &Path) -> anyhow::Result<()> {
        // What an interrupted run left.
        folder::remove(folder)?;
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        for file in self.files {
            fs::copy(source.join(file), folder.join(file)).with_context(|| format!("copy {file}"))?;
        }
        for mut step in (self.install)(folder) {
            let output = step.output().with_context(|| format!("run {step:?}"))?;
            if !output.status.success() {
                let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                bail!("installing the SDK of {} failed: {step:?}\n{}", self.name, said.concat());
            }
        }
        Ok(())
    }
}

fn is_installed(tool: &str) -> bool {
    // Each has another option for its version, and none waits for input with this one.
    let option = if tool == "go" { "version" } else { "--version" };
    let mut command = Command::new(tool);
    command.arg(option).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
