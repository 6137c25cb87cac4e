//! Reads docs/format.md: the files below each heading, and the claims about them.
//!
//! - ```` ```toml file=PATH ```` is a file of the workspace. A heading of level 2 begins a new workspace. A heading of
//!   level 3 adds to the files right below the last heading of level 2.
//! - ```` ```toml bad=PATH ```` is the same workspace with this file instead. The ```` ```text lint ```` block after it
//!   holds all findings of lint.
//! - A table whose first header begins with "Context" holds the resolutions of contexts, one with "Salt" the bucket of each
//!   value.
//! - ```` ```text files ```` lists the files, and ```` ```console ```` shows commands and their output.

use std::collections::BTreeMap;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// The content below one heading.
#[derive(Clone, Debug, Default)]
pub struct Section {
    pub title: String,
    pub line: usize,
    /// The files of the workspace, those of the section above included.
    pub files: BTreeMap<String, String>,
    /// Set if the section has files of its own.
    pub has_own_files: bool,
    pub claims: Vec<Claim>,
    pub tables: Vec<Table>,
}

/// A claim about a section's workspace.
#[derive(Clone, Debug)]
pub enum Claim {
    /// With `text` at `path`, lint finds `said`.
    Bad {
        line: usize,
        path: String,
        text: String,
        said: String,
    },
    Files {
        line: usize,
        list: String,
    },
    Console {
        line: usize,
        transcript: String,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    pub header: Vec<Cell>,
    pub rows: Vec<(usize, Vec<Cell>)>,
}

/// The text of a cell, and the part of it that is code.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub text: String,
    pub code: Vec<String>,
}

/// Returns the sections of a page, and the mistakes in its form.
pub fn read(page: &str) -> (Vec<Section>, Vec<String>) {
    let mut reader = Reader { page, ..Reader::default() };
    for (event, place) in Parser::new_ext(page, Options::ENABLE_TABLES).into_offset_iter() {
        reader.event(event, &place);
    }
    reader.end_section();
    (reader.sections, reader.faults)
}

#[derive(Default)]
struct Reader<'p> {
    page: &'p str,
    sections: Vec<Section>,
    faults: Vec<String>,
    section: Section,
    /// Set if the section is one of level 3 or below.
    is_below: bool,
    /// The files right below the last heading of level 2.
    above: BTreeMap<String, String>,
    in_heading: bool,
    /// The text since the last block.
    before: String,
    /// The line of a block, the text after its fence, and its content.
    block: Option<(usize, String, String)>,
    /// A bad file whose lint block has not come yet.
    bad: Option<(usize, String, String)>,
    table: Table,
    row: (usize, Vec<Cell>),
    cell: Option<Cell>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, place: &Range<usize>) {
        let line = 1 + self.page[..place.start].matches('\n').count();
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                self.end_section();
                (self.in_heading, self.is_below) = (true, level >= HeadingLevel::H3);
                let files = if self.is_below { self.above.clone() } else { BTreeMap::new() };
                self.section = Section { line, files, ..Section::default() };
            }
            Event::End(TagEnd::Heading(_)) => self.in_heading = false,
            Event::Start(Tag::CodeBlock(kind)) => {
                let info = if let CodeBlockKind::Fenced(info) = kind { info.to_string() } else { String::new() };
                self.block = Some((line, info, String::new()));
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((line, info, text)) = self.block.take() {
                    self.block(line, &info, text);
                }
                self.before.clear();
            }
            Event::Start(Tag::Table(_)) => self.table = Table::default(),
            Event::End(TagEnd::Table) => self.section.tables.push(std::mem::take(&mut self.table)),
            Event::Start(Tag::TableHead | Tag::TableRow) => self.row = (line, Vec::new()),
            Event::End(TagEnd::TableHead) => self.table.header = std::mem::take(&mut self.row.1),
            Event::End(TagEnd::TableRow) => self.table.rows.push(std::mem::take(&mut self.row)),
            Event::Start(Tag::TableCell) => self.cell = Some(Cell::default()),
            Event::End(TagEnd::TableCell) => self.row.1.extend(self.cell.take()),
            Event::Text(text) => self.text(&text),
            Event::SoftBreak | Event::HardBreak => self.text(" "),
            Event::Code(code) => {
                let code = code.trim().to_owned();
                self.text(&format!("`{code}`"));
                self.cell.iter_mut().for_each(|cell| cell.code.push(code.clone()));
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let place = match (&mut self.block, &mut self.cell) {
            (Some((_, _, block)), _) => block,
            (None, Some(cell)) => &mut cell.text,
            (None, None) if self.in_heading => &mut self.section.title,
            (None, None) => &mut self.before,
        };
        place.push_str(text);
    }

    fn block(&mut self, line: usize, info: &str, text: String) {
        let (language, what) = info.split_once(' ').unwrap_or((info, ""));
        let path = what.strip_prefix("file=").or(what.strip_prefix("bad="));
        if path.is_some_and(|path| path.rsplit_once('.').is_none_or(|(_, extension)| extension != language)) {
            self.fault(line, &format!("`{info}` is not in the language of its file"));
        }
        match (info, path) {
            (_, Some(path)) if what.starts_with("file=") => {
                if !self.before.contains(&format!("`{path}`")) {
                    self.fault(line, &format!("nothing right before the block names `{path}`"));
                }
                self.section.files.insert(path.to_owned(), text);
                self.section.has_own_files = true;
            }
            (_, Some(path)) => {
                self.forget_bad();
                self.bad = Some((line, path.to_owned(), text));
            }
            ("text lint", _) => match self.bad.take() {
                Some((line, path, bad)) => self.section.claims.push(Claim::Bad { line, path, text: bad, said: text }),
                None => self.fault(line, "no bad file stands before what lint says"),
            },
            ("text files", _) => self.section.claims.push(Claim::Files { line, list: text }),
            ("console", _) => self.section.claims.push(Claim::Console { line, transcript: text }),
            _ => self.fault(line, &format!("nothing checks a block of `{info}`")),
        }
    }

    fn end_section(&mut self) {
        self.forget_bad();
        let section = std::mem::take(&mut self.section);
        if !self.is_below {
            self.above.clone_from(&section.files);
        }
        let resolves = section.tables.iter().any(|table| table.says().starts_with("Context"));
        if section.has_own_files && !resolves {
            self.faults
                .push(format!("line {}: `{}` says of no context what it resolves to", section.line, section.title));
        }
        self.sections.push(section);
    }

    fn forget_bad(&mut self) {
        if let Some((line, path, _)) = self.bad.take() {
            self.fault(line, &format!("nobody says what lint finds in `{path}`"));
        }
    }

    fn fault(&mut self, line: usize, what: &str) {
        self.faults.push(format!("line {line}: {what}"));
    }
}

impl Section {
    /// Returns the directories of the workspaces in its files; one without a name where no file has one.
    pub fn workspaces(&self) -> Vec<&str> {
        let manifests = self.files.keys().filter_map(|path| path.strip_suffix("rototo-workspace.toml"));
        let found: Vec<&str> = manifests.map(|directory| directory.trim_end_matches('/')).collect();
        if found.is_empty() { vec![""] } else { found }
    }
}

impl Table {
    /// Returns the first header, which is the subject of the table.
    pub fn says(&self) -> &str {
        self.header.first().map_or("", |cell| &cell.text)
    }
}
