//! `rototo schema`: JSON Schemas of the TOML files of a workspace, for editors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use rototo_engine::schemas::SchemaKind;
use serde::Serialize;

use crate::global::{GlobalArguments, UsageError};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  rototo schema --kind variable
  rototo schema --out .schemas

An editor finds the schema of a file by its first line: #:schema ../.schemas/variable.schema.json
The objects of a resource have the schema that the resource names.";

/// Print the JSON Schema of a kind of file, or write the schemas of all kinds.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SchemaArguments {
    /// The kind of file
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<SchemaKind>,

    /// Write the schemas of all kinds into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    out: Option<PathBuf>,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct SchemaReport {
    command: &'static str,
    out: String,
    files: Vec<String>,
}

fn kinds() -> impl TypedValueParser<Value = SchemaKind> {
    let names = PossibleValuesParser::new(SchemaKind::ALL.map(SchemaKind::name));
    names.try_map(|name| SchemaKind::named(&name).ok_or("unknown"))
}

pub(crate) async fn run(arguments: SchemaArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    match (arguments.kind, arguments.out) {
        (Some(kind), _) => terminal::json(&kind.schema())?,
        (None, Some(out)) => report(&out, write(&out)?, global)?,
        (None, None) => {
            let missing = "name a --kind, or a directory with --out for the schemas of all kinds";
            return Err(UsageError(missing.to_owned()).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(out: &Path) -> anyhow::Result<Vec<String>> {
    fs::create_dir_all(out).with_context(|| format!("the directory {} can't be made", out.display()))?;
    let write = |kind: SchemaKind| {
        let file = format!("{}.schema.json", kind.name());
        let path = out.join(&file);
        fs::write(&path, format!("{:#}\n", kind.schema()))
            .with_context(|| format!("{} can't be written", path.display()))?;
        Ok(file)
    };
    SchemaKind::ALL.into_iter().map(write).collect()
}

fn report(out: &Path, files: Vec<String>, global: &GlobalArguments) -> anyhow::Result<()> {
    let out = out.display().to_string();
    if global.json {
        return terminal::json(&SchemaReport { command: "schema", out, files });
    }
    if global.quiet {
        return Ok(());
    }
    let lines = SchemaKind::ALL.into_iter().zip(&files).map(|(kind, file)| format!("  {file} for {}\n", kind.files()));
    terminal::text(&format!("schemas: {out}\n{}", lines.collect::<String>()))
}
