//! `cargo xtask page`: the page in a real Chromium, on a real operator and a real fleet.
//!
//! This module prepares the programs: the control plane, ours, the driver of the browser from npm (once, in the cache), and
//! a Chromium that is installed. The walk through the page is the binary `page` of `rototo-tests`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use crate::cargo::{self, binaries, cargo};
use crate::control_plane::{Programs, cache_directory};

/// The names of Chromium and of its relatives.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// The files of the driver. The first one pins the version of its library.
const DRIVER: [(&str, &str); 2] =
    [("package.json", include_str!("driver/package.json")), ("driver.mjs", include_str!("driver/driver.mjs"))];

/// The arguments of `cargo xtask page`.
#[derive(Args)]
pub struct PageArguments {
    /// Arguments for the walk through the page.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    page: Vec<String>,
}

/// Prepares everything, and walks through the page.
pub fn run(arguments: &PageArguments) -> anyhow::Result<()> {
    Programs::ensure()?;
    let (browser, driver) = (browser()?, driver()?);
    let packages = ["rototo-operator", "rototo-cli", "degradation-service", "rototo-tests"];
    cargo::run(cargo(
        ["build", "--bins"].into_iter().chain(packages.iter().flat_map(|package| ["--package", package])),
    ))?;
    let directory = binaries()?;
    let mut program = Command::new(directory.join("page"));
    program.args(&arguments.page).env("ROTOTO_BIN_DIR", &directory);
    program.env("ROTOTO_PAGE_DRIVER", driver).env("CHROMIUM", browser);
    cargo::run(program)
}

/// Returns the path of an installed browser.
fn browser() -> anyhow::Result<PathBuf> {
    if let Some(given) = env::var_os("CHROMIUM").filter(|given| !given.is_empty()) {
        return Ok(given.into());
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).flat_map(|folder| BROWSERS.map(|name| folder.join(name)));
    match found.into_iter().find(|path| path.is_file()) {
        Some(browser) => Ok(browser),
        None => bail!("there is no Chromium: install one (`apt-get install chromium`), or name it by CHROMIUM"),
    }
}

/// Returns the driver, installed for this version of its files.
fn driver() -> anyhow::Result<PathBuf> {
    let folder = cache_directory()?.join("page");
    let complete = folder.join("complete");
    let files: String = DRIVER.iter().map(|(_, content)| *content).collect();
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == files) {
        return Ok(folder.join("driver.mjs"));
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for (name, content) in DRIVER {
        fs::write(folder.join(name), content).with_context(|| format!("write {name}"))?;
    }
    install(&folder)?;
    fs::write(&complete, files).with_context(|| format!("write {}", complete.display()))?;
    Ok(folder.join("driver.mjs"))
}

fn install(folder: &Path) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]).current_dir(folder);
    cargo::run(npm).context("npm installs the driver of the browser")
}
