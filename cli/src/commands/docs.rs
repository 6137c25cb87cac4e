//! `rototo docs`: the documentation of this version, which is part of the binary.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use regex::{Regex, RegexBuilder};
use serde::Serialize;

use crate::global::GlobalArguments;
use crate::terminal;
use crate::terminal::site;
use crate::terminal::site::Page;
use crate::terminal::style::{BOLD, DIM};

const EXAMPLES: &str = "\
Examples:
  rototo docs                  which pages there are
  rototo docs -p run           the page whose name begins so
  rototo docs -s 'exit code'   where a pattern occurs
  rototo docs --export manual  all pages as a site";

/// Read the documentation that belongs to this version.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DocsArguments {
    /// Print the page whose name begins with this
    #[arg(short, long, value_name = "PAGE", conflicts_with_all = ["search", "export"])]
    page: Option<String>,

    /// Find a regular expression in all pages; upper and lower case are the same
    #[arg(short, long, value_name = "REGEX", conflicts_with = "export")]
    search: Option<String>,

    /// Write all pages as HTML into a directory, `site` by default
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "site")]
    export: Option<PathBuf>,
}

/// A section's title, and its pages.
type DocSection = (&'static str, &'static [Page<'static>]);

/// Makes a page from its name and its place in the repository.
macro_rules! page {
    ($name:literal, $path:literal) => {
        Page { name: $name, path: $path, markdown: include_str!(concat!("../../../", $path)) }
    };
}

/// The pages in the order of a first reading: a new page is a line.
const SECTIONS: &[DocSection] = &[
    (
        "Install",
        &[
            page!("quickstart", "docs/quickstart.md"),
            page!("production", "docs/production.md"),
            page!("security", "docs/security.md"),
            page!("image", "docs/image.md"),
        ],
    ),
    (
        "Use",
        &[
            page!("cli", "docs/cli.md"),
            page!("editors", "docs/editors.md"),
            page!("custom-rules", "docs/custom-rules.md"),
            page!("ci", "docs/ci.md"),
            page!("library", "docs/library.md"),
            page!("other-languages", "docs/other-languages.md"),
        ],
    ),
    (
        "Operate",
        &[
            page!("operating", "docs/operating.md"),
            page!("runbook", "docs/runbook.md"),
            page!("convergence", "docs/convergence.md"),
            page!("page", "docs/page.md"),
            page!("progressive-delivery", "docs/progressive-delivery.md"),
            page!("commit-status", "docs/commit-status.md"),
        ],
    ),
    (
        "Reference",
        &[
            page!("format", "docs/format.md"),
            page!("lint-rules", "docs/lint-rules.md"),
            page!("lint-messages", "docs/lint-messages.md"),
            page!("schemas", "docs/schemas/README.md"),
            page!("fields", "docs/reference/fields.md"),
            page!("conditions", "docs/reference/conditions.md"),
            page!("kubectl", "docs/reference/kubectl.md"),
            page!("chart", "charts/rototo-operator/README.md"),
            page!("vocabulary", "docs/vocabulary.md"),
        ],
    ),
];

#[derive(Serialize)]
struct Index {
    sections: Vec<IndexSection>,
}

#[derive(Serialize)]
struct IndexSection {
    title: &'static str,
    pages: Vec<PageSummary>,
}

#[derive(Serialize)]
struct PageSummary {
    id: &'static str,
    title: &'static str,
}

#[derive(Serialize)]
struct WholePage {
    id: &'static str,
    title: &'static str,
    markdown: &'static str,
}

#[derive(Serialize)]
struct FoundLines<'a> {
    query: &'a str,
    matches: Vec<Match>,
}

#[derive(Serialize)]
struct Match {
    page: &'static str,
    title: &'static str,
    /// The number of the line, from 1.
    line: usize,
    text: &'static str,
    spans: Vec<LineSpan>,
}

/// A range of bytes in the line.
#[derive(Serialize)]
struct LineSpan {
    start: usize,
    end: usize,
}

#[derive(Serialize)]
struct Exported {
    out: String,
}

pub(crate) async fn run(arguments: DocsArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    match (&arguments.page, &arguments.search, &arguments.export) {
        (Some(page), ..) => print_page(page, global)?,
        (_, Some(query), _) => print_matches(query, global)?,
        (.., Some(directory)) => export(directory, global)?,
        _ => print_index(global)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn pages() -> impl Iterator<Item = &'static Page<'static>> {
    SECTIONS.iter().flat_map(|(_, pages)| *pages)
}

fn title(markdown: &'static str) -> &'static str {
    markdown.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
}

fn print_index(global: &GlobalArguments) -> anyhow::Result<()> {
    if global.json {
        let summary = |page: &Page<'static>| PageSummary { id: page.name, title: title(page.markdown) };
        let section = |(title, pages): &DocSection| IndexSection { title, pages: pages.iter().map(summary).collect() };
        return terminal::json(&Index { sections: SECTIONS.iter().map(section).collect() });
    }
    let page = |page: &Page<'static>| format!("  {BOLD}{:<20}{BOLD:#} {}\n", page.name, title(page.markdown));
    let section =
        |(title, pages): &DocSection| format!("{DIM}{title}{DIM:#}\n{}", pages.iter().map(page).collect::<String>());
    terminal::text(&SECTIONS.iter().map(section).collect::<String>())
}

fn print_page(prefix: &str, global: &GlobalArguments) -> anyhow::Result<()> {
    let exact = pages().find(|page| page.name == prefix);
    let candidates: Vec<_> = pages().filter(|page| page.name.starts_with(prefix)).collect();
    let Page { name, markdown, .. } = match (exact, candidates.as_slice()) {
        (Some(page), _) => page,
        (None, [page]) => *page,
        (None, []) => bail!("there is no page `{prefix}`: `rototo docs` lists those there are"),
        (None, several) => {
            let names: Vec<_> = several.iter().map(|page| page.name).collect();
            bail!("`{prefix}` could be {}: write more of it", names.join(" or "))
        }
    };
    if global.json {
        terminal::json(&WholePage { id: name, title: title(markdown), markdown })
    } else {
        terminal::text(markdown)
    }
}

fn print_matches(query: &str, global: &GlobalArguments) -> anyhow::Result<()> {
    let pattern = RegexBuilder::new(query).case_insensitive(true).build();
    let pattern = pattern.with_context(|| format!("`{query}` is no regular expression"))?;
    let matches: Vec<_> = pages().flat_map(|page| matches(page, &pattern)).collect();
    if global.json {
        return terminal::json(&FoundLines { query, matches });
    }
    let line = |found: &Match| format!("{BOLD}{}{BOLD:#}:{}: {}\n", found.page, found.line, found.text);
    terminal::text(&matches.iter().map(line).collect::<String>())
}

fn matches(page: &'static Page<'static>, pattern: &Regex) -> Vec<Match> {
    let Page { name, markdown, .. } = page;
    let lines = markdown.lines().enumerate().map(|(index, line)| {
        let spans = pattern.find_iter(line).map(|found| LineSpan { start: found.start(), end: found.end() }).collect();
        Match { page: name, title: title(markdown), line: index + 1, text: line, spans }
    });
    lines.filter(|found| !found.spans.is_empty()).collect()
}

/// Returns the first page of the site, in Markdown as all others.
fn index() -> String {
    let page = |page: &Page<'static>| format!("- [{}]({})\n", title(page.markdown), page.path);
    let section =
        |(title, pages): &DocSection| format!("## {title}\n\n{}\n", pages.iter().map(page).collect::<String>());
    format!("# rototo\n\n{}", SECTIONS.iter().map(section).collect::<String>())
}

fn export(directory: &PathBuf, global: &GlobalArguments) -> anyhow::Result<()> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("the directory {shown} can't be made"))?;
    let all: Vec<_> = pages().copied().collect();
    let write = |title: &str, page: &Page<'_>| {
        let path = directory.join(format!("{}.html", page.name));
        fs::write(&path, site::page(title, page, &all)).with_context(|| format!("{} can't be written", path.display()))
    };
    write("rototo", &Page { name: "index", path: "index.md", markdown: &index() })?;
    for page in &all {
        write(title(page.markdown), page)?;
    }
    match (global.json, global.quiet) {
        (true, _) => terminal::json(&Exported { out: shown.to_string() }),
        (false, true) => Ok(()),
        (false, false) => terminal::text(&format!("{} pages in {shown}\n", pages().count())),
    }
}
