//! `rototo init`: a new workspace, or a new file in one, from a template. Existing files stay, unless `--force` is
//! given.

mod plan;
mod templates;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use crate::commands::init::plan::{EntryKind, InitTarget, PlannedEntry, WorkspacePresence};
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;
use crate::workspace;
use crate::workspace::MANIFEST;

const EXAMPLES: &str = "\
Examples:
  rototo init degradation-config                                        an empty workspace
  rototo init degradation-config --variable service-degradation-policy  a variable, and the workspace if there is none
  rototo init degradation-config --resource service-degradation-policy  a resource with its schema and an object
  rototo init degradation-config --context --force                      the context schema, inferred anew

If one of the files exists, the command writes nothing; --force overwrites the files that it writes.";

/// Make a workspace, or a file in it, to start from.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitArguments {
    /// The directory of the workspace
    #[arg(value_name = "WORKSPACE")]
    workspace: PathBuf,

    /// Make the qualifier qualifiers/ID.toml
    #[arg(long, value_name = "ID")]
    qualifier: Option<String>,

    /// Make the variable variables/ID.toml
    #[arg(long, value_name = "ID")]
    variable: Option<String>,

    /// Make the resource resources/ID.toml with a schema and a first object
    #[arg(long, value_name = "ID")]
    resource: Option<String>,

    /// Make schemas/context.schema.json from what the qualifiers read
    #[arg(long)]
    context: bool,

    /// Overwrite the files that this command writes
    #[arg(long)]
    force: bool,

    /// Only say what would be written
    #[arg(long)]
    dry_run: bool,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct InitReport {
    command: &'static str,
    workspace: String,
    dry_run: bool,
    files: Vec<CreatedEntry>,
}

#[derive(Serialize)]
struct CreatedEntry {
    kind: EntryKind,
    path: String,
    action: InitAction,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum InitAction {
    Exists,
    Created,
    Overwritten,
    WouldCreate,
    WouldOverwrite,
}

pub(crate) async fn run(arguments: InitArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let root = local(&arguments.workspace)?;
    let workspace =
        if is_there(&root.join(MANIFEST))? { WorkspacePresence::Present } else { WorkspacePresence::Missing };
    let target = target(&arguments, &root, workspace, global).await?;
    if workspace == WorkspacePresence::Missing {
        refuse_inside(&root)?;
    }
    let plan = plan::plan(target, workspace);
    let actions = plan.iter().map(|entry| action(entry, &root, &arguments)).collect::<anyhow::Result<Vec<_>>>()?;
    if !arguments.dry_run {
        plan.iter().try_for_each(|entry| write(entry, &root))?;
    }
    let files = plan.into_iter().zip(actions).map(|(entry, action)| CreatedEntry {
        kind: entry.kind,
        path: entry.path,
        action,
    });
    report(
        &InitReport {
            command: "init",
            workspace: root.display().to_string(),
            dry_run: arguments.dry_run,
            files: files.collect(),
        },
        global,
    )
}

fn local(path: &Path) -> anyhow::Result<PathBuf> {
    let text = path.to_string_lossy();
    if text.contains("://") || text.starts_with("git+") {
        let wrong = format!("{text} is an address: files can only be made in a directory, so clone it and name that");
        return Err(UsageError(wrong).into());
    }
    std::path::absolute(path).with_context(|| format!("{text} is no path"))
}

/// Refuses a directory inside a workspace, where a second one is hardly meant.
fn refuse_inside(root: &Path) -> anyhow::Result<()> {
    let real = root.ancestors().find_map(|directory| directory.canonicalize().ok());
    for around in real.iter().flat_map(|real| real.ancestors()) {
        if is_there(&around.join(MANIFEST))? {
            bail!("{} is inside the workspace {}: name that", root.display(), around.display());
        }
    }
    Ok(())
}

async fn target(
    arguments: &InitArguments,
    root: &Path,
    workspace: WorkspacePresence,
    global: &GlobalArguments,
) -> anyhow::Result<InitTarget> {
    match (&arguments.qualifier, &arguments.variable, &arguments.resource, arguments.context) {
        (None, None, None, false) => Ok(InitTarget::Workspace),
        (Some(id), None, None, false) => Ok(InitTarget::Qualifier(checked("qualifier", id)?)),
        (None, Some(id), None, false) => Ok(InitTarget::Variable(checked("variable", id)?)),
        (None, None, Some(id), false) => Ok(InitTarget::Resource(checked("resource", id)?)),
        (None, None, None, true) => Ok(InitTarget::ContextSchema(context_schema(root, workspace, global).await?)),
        _ => {
            Err(UsageError("one thing at a time: --qualifier, --variable, --resource, or --context".to_owned()).into())
        }
    }
}

/// Checks an id: it must be the same file name on every system.
fn checked(kind: &str, id: &str) -> Result<String, UsageError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.split('.').any(str::is_empty) || !id.chars().all(plain) {
        return Err(UsageError(format!(
            "`{id}` can't be the id of a {kind}: use letters, digits, `-`, and `_`, with dots between them"
        )));
    }
    Ok(id.to_owned())
}

async fn context_schema(root: &Path, workspace: WorkspacePresence, global: &GlobalArguments) -> anyhow::Result<String> {
    let inferred = match workspace {
        WorkspacePresence::Missing => None,
        WorkspacePresence::Present => {
            let workspace = workspace::Workspace::read(Some(&root.to_string_lossy()), global).await?;
            let schema = rototo_engine::infer_context_schema(&workspace.parse());
            schema["properties"].as_object().is_some_and(|properties| !properties.is_empty()).then_some(schema)
        }
    };
    Ok(templates::pretty(&inferred.unwrap_or_else(templates::context_schema)))
}

fn is_there(path: &Path) -> anyhow::Result<bool> {
    path.try_exists().with_context(|| format!("{} can't be read", path.display()))
}

/// Returns the path of an entry, without the `.` of the workspace itself: a directory that does not exist has no `.`.
fn place(entry: &PlannedEntry, root: &Path) -> PathBuf {
    root.join(&entry.path).components().collect()
}

/// Returns the action for one entry, or the reason why it is not possible.
fn action(entry: &PlannedEntry, root: &Path, arguments: &InitArguments) -> anyhow::Result<InitAction> {
    let path = place(entry, root);
    let found = match fs::metadata(&path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("{} can't be read", path.display())),
    };
    match (found, entry.kind, arguments.force, arguments.dry_run) {
        (None, _, _, false) => Ok(InitAction::Created),
        (None, _, _, true) => Ok(InitAction::WouldCreate),
        (Some(found), EntryKind::Directory, ..) if found.is_dir() => Ok(InitAction::Exists),
        (Some(_), EntryKind::Directory, ..) => bail!("{} is a file where a directory is needed", path.display()),
        (Some(found), ..) if found.is_dir() => bail!("{} is a directory where a file is needed", path.display()),
        (Some(_), _, false, _) => bail!("file already exists: {}: --force overwrites it", path.display()),
        (Some(_), _, true, false) => Ok(InitAction::Overwritten),
        (Some(_), _, true, true) => Ok(InitAction::WouldOverwrite),
    }
}

fn write(entry: &PlannedEntry, root: &Path) -> anyhow::Result<()> {
    let path = place(entry, root);
    match &entry.text {
        None => fs::create_dir_all(&path).with_context(|| format!("the directory {} can't be made", path.display())),
        Some(text) => fs::write(&path, text).with_context(|| format!("{} can't be written", path.display())),
    }
}

fn report(report: &InitReport, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    if global.json {
        terminal::json(report)?;
    } else if !global.quiet {
        let mut text = format!("workspace: {}\n", report.workspace);
        for CreatedEntry { path, action, .. } in &report.files {
            text.push_str(&format!("  {:<15} {path}\n", format!("{}:", action.label())));
        }
        terminal::text(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl InitAction {
    fn label(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Created => "created",
            Self::Overwritten => "overwritten",
            Self::WouldCreate => "would create",
            Self::WouldOverwrite => "would overwrite",
        }
    }
}
