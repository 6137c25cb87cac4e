//! `rototo show`: the files of a workspace, and the lint rules.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use rototo_engine::lint::Custom;
use rototo_engine::parse::Parse;
use rototo_engine::{Parsed, Severity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::global::GlobalArguments;
use crate::inspection::{CatalogRule, by_authority, catalog, catalog_in_reports};
use crate::reports::rules::with_custom;
use crate::terminal;
use crate::terminal::style::{BAD, BOLD, DIM};
use crate::terminal::wording::{ownership, plain};
use crate::workspace;
use crate::workspace::Workspace;
use crate::workspace::selection::{BUILT_IN, Selection, Selectors, id_in};

const EXAMPLES: &str = "\
Examples:
  rototo show                                        what there is
  rototo show --variable service-degradation-policy  one file, as it stands
  rototo show --lint-rules                           all rules, without a workspace
  rototo show --lint-rule rototo/qualifier-cycle";

/// Show the variables, qualifiers, resources, schemas, and custom rules of a workspace, or the rules of lint.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowArguments {
    /// A directory or an address; without it, the nearest parent directory with a rototo-workspace.toml
    #[arg(value_name = "SOURCE")]
    source: Option<String>,

    #[command(flatten)]
    selectors: Selectors,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct ShowReport {
    command: &'static str,
    workspace: String,
    schemas: Vec<Stem>,
    resources: Vec<ShownFile>,
    variables: Vec<ShownFile>,
    qualifiers: Vec<ShownFile>,
    lint_rules: Vec<CatalogRule>,
    lint_authorities: Vec<Authority>,
    linters: Vec<Stem>,
}

#[derive(Serialize)]
struct Stem {
    id: String,
    path: String,
}

#[derive(Serialize)]
struct ShownFile {
    id: String,
    uri: String,
    path: String,
    /// The file as JSON, if it was selected by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

#[derive(Serialize)]
struct Authority {
    authority: String,
    rules: Vec<CatalogRule>,
}

pub(crate) async fn run(arguments: ShowArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let ShowArguments { source, selectors } = arguments;
    if source.is_none() && selectors.is_catalog_alone() {
        selectors.check_catalog(&with_custom(Custom::default()))?;
        return show_catalog(&selectors, global);
    }
    let workspace = Workspace::read(source.as_deref(), global).await?;
    let parsed = workspace.parse();
    let own = with_custom(workspace::lint(&parsed).custom);
    selectors.check(&parsed, &own)?;
    let report = report(workspace.full_name(), &parsed, &own, &selectors)?;
    if global.json {
        terminal::json(&report)?;
    } else {
        terminal::text(&text(&report, &parsed))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the rules alone, for which no workspace is needed.
fn show_catalog(selectors: &Selectors, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let of_commands = with_custom(Custom::default());
    let in_reports = catalog_in_reports(&of_commands);
    let others = in_reports.iter().filter(|rule| of_commands.rules.contains_key(&*rule.rule)).cloned();
    let mut all: Vec<CatalogRule> = catalog().into_iter().chain(others).collect();
    all.sort_by(|one, other| one.rule.cmp(&other.rule));
    let (rules, authorities) = (rules(all, selectors), authorities(in_reports, selectors));
    if !global.json {
        let by_name = matches!(selectors.lint_rules(), Selection::Some(_));
        let shown = rules.iter().chain(authorities.iter().flat_map(|authority| &authority.rules));
        terminal::text(&shown.map(|rule| rule_text(rule, by_name)).collect::<String>())?;
        return Ok(ExitCode::SUCCESS);
    }
    match selectors.lint_rules() {
        Selection::None => {}
        Selection::All => terminal::json(&json!({ "scope": "global", "subject": "global", "diagnostics": rules }))?,
        Selection::Some(_) => rules.iter().try_for_each(terminal::json)?,
    }
    if !authorities.is_empty() {
        terminal::json(&authorities)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report(workspace: String, parsed: &Parsed, own: &Custom, selectors: &Selectors) -> anyhow::Result<ShowReport> {
    let all = selectors.is_everything();
    let files = |folder: &str, scheme: &str, selection: Selection<'_>| {
        let documents = parsed.tree().iter();
        let named = documents.filter_map(|(path, _)| Some((id_in(path, folder, ".toml")?, path)));
        let selected = named.filter(|(id, _)| all || selection.has(id));
        selected
            .map(|(id, path)| ShownFile::of(id, path, scheme, selection, parsed))
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let stems = |folder: &str, ending: &str, selection: Option<Selection<'_>>| {
        let documents = parsed.tree().iter();
        let named = documents.filter_map(|(path, _)| Some((id_in(path, folder, ending)?, path)));
        let selected = named.filter(|(id, _)| all || selection.is_some_and(|selection| selection.has(id)));
        selected.map(|(id, path)| Stem { id: id.to_owned(), path: path.to_string() }).collect()
    };
    Ok(ShowReport {
        command: "show",
        workspace,
        schemas: stems("schemas/", ".json", None),
        resources: files("resources/", "resource", selectors.resources())?,
        variables: files("variables/", "variable", selectors.variables())?,
        qualifiers: files("qualifiers/", "qualifier", selectors.qualifiers())?,
        lint_rules: rules(catalog_in_reports(own), selectors),
        lint_authorities: authorities(catalog_in_reports(own), selectors),
        linters: stems("lint/", ".lua", Some(selectors.linters())),
    })
}

impl ShownFile {
    fn of(id: &str, path: &str, scheme: &str, selection: Selection<'_>, parsed: &Parsed) -> anyhow::Result<Self> {
        let value = match selection {
            Selection::Some(_) => {
                let mut value = as_json(path, parsed)?;
                if scheme == "resource" {
                    value["objects"] = objects(id, parsed)?;
                }
                Some(value)
            }
            Selection::None | Selection::All => None,
        };
        Ok(Self { id: id.to_owned(), uri: format!("{scheme}://{id}"), path: path.to_owned(), value })
    }
}

/// Returns the objects of a resource by key.
fn objects(id: &str, parsed: &Parsed) -> anyhow::Result<Value> {
    let folder = format!("resources/{id}-objects/");
    let documents = parsed.tree().iter();
    let named = documents.filter_map(|(path, _)| Some((id_in(path, &folder, ".toml")?, path)));
    named.map(|(key, path)| Ok((key.to_owned(), as_json(path, parsed)?))).collect()
}

/// Returns a file as JSON, whatever its content is.
fn as_json(path: &str, parsed: &Parsed) -> anyhow::Result<Value> {
    let bytes = parsed.tree().get(path).map(|document| &*document.bytes).unwrap_or_default();
    toml::from_slice(bytes).map_err(|_| anyhow::anyhow!("{path} is not readable TOML: `rototo lint` shows where"))
}

fn rules(catalog: Vec<CatalogRule>, selectors: &Selectors) -> Vec<CatalogRule> {
    let selection = selectors.lint_rules();
    catalog.into_iter().filter(|rule| selection.has(&rule.rule)).collect()
}

/// Returns the selected rules, or the workspace's own if nothing is selected.
fn authorities(rules: Vec<CatalogRule>, selectors: &Selectors) -> Vec<Authority> {
    let selection = selectors.lint_authorities();
    let own = |authority: &str| selectors.is_everything() && authority != BUILT_IN;
    let authorities = by_authority(rules, |authority| own(authority) || selection.has(authority));
    authorities.into_iter().map(|(authority, rules)| Authority { authority, rules }).collect()
}

fn text(report: &ShowReport, parsed: &Parsed) -> String {
    let mut text = String::new();
    for (kind, files) in
        [("variable", &report.variables), ("qualifier", &report.qualifiers), ("resource", &report.resources)]
    {
        for file in files {
            let variable = parsed.variables.get(&file.id).filter(|_| kind == "variable").and_then(Parse::content);
            let owned = variable.and_then(|variable| ownership(&variable.ownership));
            let owned = owned.map(|owned| format!("  {owned}")).unwrap_or_default();
            let (id, path) = (plain(&file.id), plain(&file.path));
            let _ = writeln!(text, "{kind:<9}  {BOLD}{id}{BOLD:#}  {DIM}{path}{DIM:#}{owned}");
            if file.value.is_some() {
                let _ = writeln!(text, "\n{}", source(&file.path, parsed));
            }
        }
    }
    for (kind, stems) in [("schema", &report.schemas), ("linter", &report.linters)] {
        for stem in stems {
            let _ = writeln!(text, "{kind:<9}  {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", plain(&stem.id), plain(&stem.path));
        }
    }
    let of_authorities = report.lint_authorities.iter().flat_map(|authority| &authority.rules);
    for rule in report.lint_rules.iter().chain(of_authorities) {
        text.push_str(&rule_text(rule, false));
    }
    text
}

/// Returns the text of a file without control characters for a terminal.
fn source(path: &str, parsed: &Parsed) -> String {
    let bytes = parsed.tree().get(path).map(|document| &*document.bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(|line| format!("{}\n", plain(&line.replace('\t', "    ")))).collect()
}

fn rule_text(rule: &CatalogRule, in_full: bool) -> String {
    let CatalogRule { severity, entity, .. } = rule;
    let (id, title, help) = (plain(&rule.rule), plain(&rule.title), plain(&rule.help));
    let severity = match severity {
        Severity::Error => format!("{BAD}error  {BAD:#}"),
        Severity::Warning => "warning".to_owned(),
    };
    if in_full {
        let why = rototo_engine::lint::rule(&id).map(|rule| format!("  why:  {}\n", rule.why)).unwrap_or_default();
        let entity = entity.unwrap_or_default();
        return format!("{BOLD}{id}{BOLD:#}  {severity}  {DIM}{entity}{DIM:#}\n  {title}\n{why}  help: {help}\n");
    }
    format!("{BOLD}{id:<48}{BOLD:#} {severity}  {title}\n")
}
