//! `cargo xtask sdks`: the official OpenFeature SDKs and their OFREP providers, against a real agent.
//!
//! Each SDK runs in a driver of its own ([`drivers`]), a program that evaluates what it reads, one evaluation a line. All
//! drivers get the same [`table`], and the output is a matrix. While a driver runs, the workspace changes and the agent
//! restarts under it. SDKs are installed into the cache of the project, in the versions that the drivers' files pin.

mod agent;
mod drivers;
mod scene;
mod table;

use anyhow::bail;
use clap::Args;

use crate::cargo::{self, cargo};
use drivers::{LANGUAGES, Language, Prepared};
use scene::{SdkOutcome, SdkScene};

/// The arguments of `cargo xtask sdks`.
#[derive(Args)]
pub struct SdksArguments {
    /// The SDKs; all by default: javascript-server, javascript-web, python, go, java.
    names: Vec<String>,
}

/// Installs the SDKs, evaluates the table with each, and prints the matrix.
pub fn run(arguments: &SdksArguments) -> anyhow::Result<()> {
    let chosen = chosen(&arguments.names)?;
    cargo::run(cargo(["build", "--package", "rototo-agent", "--bins"]))?;
    let mut columns = Vec::new();
    for language in chosen {
        eprintln!("{}: {}", language.name, language.packages);
        let outcomes = match language.prepare()? {
            Prepared::Missing(tool) => {
                eprintln!("  not run: there is no {tool} on this machine");
                None
            }
            Prepared::Command(command) => Some(SdkScene::play(language, command)?),
        };
        columns.push((language, outcomes));
    }
    print(&columns);
    let failed = columns.iter().filter_map(|(_, outcomes)| outcomes.as_ref());
    let failed = failed.flatten().filter(|(_, outcome)| matches!(outcome, SdkOutcome::Failed(_))).count();
    if failed > 0 {
        bail!("{failed} evaluations differ from the table");
    }
    Ok(())
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Language>> {
    if names.is_empty() {
        return Ok(LANGUAGES.iter().collect());
    }
    let find = |name: &String| LANGUAGES.iter().find(|language| language.name == *name);
    match names.iter().find(|name| find(name).is_none()) {
        Some(unknown) => bail!("there is no SDK `{unknown}`; there are {}", LANGUAGES.map(|one| one.name).join(", ")),
        None => Ok(names.iter().filter_map(find).collect()),
    }
}

type Column = (&'static Language, Option<Vec<(&'static str, SdkOutcome)>>);

fn print(columns: &[Column]) {
    let notes = print_matrix(columns);
    for (number, note) in (1..).zip(&notes) {
        println!("({number}) {note}");
    }
    for (language, outcomes) in columns {
        for (row, outcome) in outcomes.iter().flatten() {
            if let SdkOutcome::Failed(reason) = outcome {
                println!("FAILED {}, {row}: {reason}", language.name);
            }
        }
    }
    let count = |wanted: fn(&SdkOutcome) -> bool| {
        columns.iter().flat_map(|(_, outcomes)| outcomes.iter().flatten()).filter(|(_, one)| wanted(one)).count()
    };
    println!(
        "{} evaluations as the table says, {} as the SDK is known to differ, {} failed.",
        count(|one| matches!(one, SdkOutcome::Passed)),
        count(|one| matches!(one, SdkOutcome::Differs(_))),
        count(|one| matches!(one, SdkOutcome::Failed(_)))
    );
}

/// Prints a row for each evaluation, and returns the notes that its cells number.
fn print_matrix(columns: &[Column]) -> Vec<String> {
    let rows: Vec<&str> = columns
        .iter()
        .find_map(|(_, outcomes)| Some(outcomes.as_ref()?.iter().map(|(row, _)| *row).collect()))
        .unwrap_or_default();
    let width = rows.iter().map(|row| row.chars().count()).max().unwrap_or_default();
    let headings: String = columns.iter().map(|(language, _)| format!("  {:<17}", language.name)).collect();
    println!("{:width$}{headings}", "");
    let mut notes: Vec<String> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        print!("{row:width$}");
        for (language, outcomes) in columns {
            let outcome = outcomes.as_ref().and_then(|outcomes| outcomes.get(number)).map(|(_, outcome)| outcome);
            let cell = match outcome {
                None => "not run".to_owned(),
                Some(SdkOutcome::Passed) => "ok".to_owned(),
                Some(SdkOutcome::Differs(note)) => {
                    format!("ok ({})", number_of(format!("{}: {note}", language.name), &mut notes))
                }
                Some(SdkOutcome::Failed(_)) => "FAILED".to_owned(),
            };
            print!("  {cell:<17}");
        }
        println!();
    }
    notes
}

/// Returns the number of a note, from 1. Equal notes have one number.
fn number_of(note: String, notes: &mut Vec<String>) -> usize {
    if let Some(known) = notes.iter().position(|known| *known == note) {
        return known + 1;
    }
    notes.push(note);
    notes.len()
}
