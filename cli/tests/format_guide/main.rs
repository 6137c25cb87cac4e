//! Checks docs/format.md: each example lints and resolves as the page says, and the page names everything that the
//! engine knows. `page.rs` describes the form of the page.
#![allow(clippy::unwrap_used)]

mod page;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use page::{Claim, Section, Table};
use rototo_engine::parse::{Op, Primitive, Type};
use rototo_engine::schemas::SchemaKind;
use rototo_engine::{DocumentKind, Tree, bucket, lint, parse};
use serde_json::Value;
use support::{json, rototo};

/// The directory of the examples, as the page names it.
const DIRECTORY: &str = "my-config";

fn guide() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md")).unwrap()
}

/// The result of a check of a page.
#[derive(Default)]
struct Tried {
    /// The deviations from the page, each with its line.
    wrong: Vec<String>,
    /// The operators that were evaluated, with each result.
    outcomes: BTreeSet<(String, bool)>,
    /// The number of contexts that were resolved.
    contexts: usize,
    sections: Vec<Section>,
}

fn tried(page: &str) -> Tried {
    let (sections, wrong) = page::read(page);
    let mut tried = Tried { wrong, sections, ..Tried::default() };
    for section in tried.sections.clone() {
        let directory = directory(&section.files);
        if !section.files.is_empty() {
            for workspace in section.workspaces() {
                let found = findings(directory.path(), workspace);
                tried.compare(section.line, "lint finds", "", &found);
            }
        }
        section.claims.iter().for_each(|claim| tried.claim(&section, claim, directory.path()));
        section.tables.iter().for_each(|table| tried.table(table, directory.path()));
    }
    tried
}

/// Makes a directory with a workspace of these files.
fn directory(files: &BTreeMap<String, String>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(DIRECTORY).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    if !files.keys().any(|path| path.ends_with("rototo-workspace.toml")) {
        write("rototo-workspace.toml", "schema_version = 1\n");
    }
    files.iter().for_each(|(path, text)| write(path, text));
    directory
}

fn source(workspace: &str) -> String {
    Path::new(DIRECTORY).join(workspace).display().to_string()
}

/// Returns the findings of lint in a workspace, as the page writes them.
fn findings(directory: &Path, workspace: &str) -> String {
    let report = json(directory, &["lint", &source(workspace)]);
    let found =
        report["diagnostics"].as_array().unwrap_or_else(|| panic!("lint says nothing of `{workspace}`: {report}"));
    let words = |found: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let place = text(&found["location"]["path"]);
        let number = |value: &Value| value.as_u64().map(|number| format!(":{}", number + 1)).unwrap_or_default();
        let start = &found["location"]["range"]["start"];
        let place = place + &number(&start["line"]) + &number(&start["character"]);
        format!("{}[{}]: {}\n  at {place}\n", text(&found["severity"]), text(&found["rule"]), text(&found["message"]))
    };
    found.iter().map(words).collect()
}

impl Tried {
    fn compare(&mut self, line: usize, what: &str, said: &str, real: &str) {
        if said != real {
            self.wrong.push(format!("line {line}: {what}\n{real}\nand the page says\n{said}"));
        }
    }

    fn claim(&mut self, section: &Section, claim: &Claim, on: &Path) {
        match claim {
            Claim::Bad { line, path, text, said } => {
                let mut files = section.files.clone();
                if files.insert(path.clone(), text.clone()).is_none() {
                    self.wrong.push(format!("line {line}: the good workspace has no {path}"));
                }
                let workspaces = section.workspaces();
                let workspace = workspaces.iter().find(|workspace| path.starts_with(**workspace)).unwrap();
                let found = findings(directory(&files).path(), workspace);
                self.compare(*line, "lint finds", said, &found);
            }
            Claim::Files { line, list } => {
                let files: String = section.files.keys().map(|path| format!("{path}\n")).collect();
                self.compare(*line, "the files are", list, &sorted(&files));
            }
            Claim::Console { line, transcript } => {
                let mut real = String::new();
                for command in transcript.lines().filter_map(|line| line.strip_prefix("$ rototo ")) {
                    let output = rototo(on, &command.split(' ').collect::<Vec<_>>());
                    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
                    real += &format!("$ rototo {command}\n{printed}");
                }
                self.compare(*line, "the commands print", transcript, &real);
            }
        }
    }

    fn table(&mut self, table: &Table, on: &Path) {
        if table.says() == "Salt" {
            for (line, row) in &table.rows {
                let [salt, value] = [0, 1].map(|cell| row[cell].code[0].as_str());
                let real = bucket(salt, &serde_json::from_str(value).unwrap());
                self.compare(*line, "the bucket is", &row[2].text, &real.to_string());
            }
        }
        if !table.says().starts_with("Context") {
            return;
        }
        let workspace = table.header[0].code.first().map_or("", String::as_str);
        for (line, row) in &table.rows {
            for (header, cell) in table.header.iter().zip(row).skip(1) {
                let kind = if header.text.starts_with("qualifier ") { "--qualifier" } else { "--variable" };
                let arguments =
                    ["resolve", &source(workspace), kind, &header.code[0], "--context", &row[0].code[0], "--json"];
                let real = self.resolved(on, &arguments);
                self.compare(*line, &format!("{} is", header.text), &cell.text, &real);
                self.contexts += 1;
            }
        }
    }

    /// Returns the resolution of a context, as a cell of a table shows it.
    fn resolved(&mut self, on: &Path, arguments: &[&str]) -> String {
        let output = rototo(on, arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        if let Some(error) = error.lines().find_map(|line| line.strip_prefix("error: ")) {
            return format!("error: `{error}`");
        }
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        self.note(&answer);
        let resolution = &answer["variables"][0]["resolution"];
        match resolution["value_key"].as_str() {
            Some(key) => format!("`{key}`: `{}`", spaced(&resolution["value"])),
            None => format!("`{}`", answer["qualifiers"][0]["value"]),
        }
    }

    /// Collects the predicates of an answer.
    fn note(&mut self, answer: &Value) {
        if let (Some(kind), Some(result)) = (answer["kind"].as_str(), answer["result"].as_bool()) {
            self.outcomes.insert((answer["op"].as_str().unwrap_or(kind).to_owned(), result));
        }
        match answer {
            Value::Object(fields) => fields.values().for_each(|value| self.note(value)),
            Value::Array(items) => items.iter().for_each(|value| self.note(value)),
            _ => {}
        }
    }
}

fn sorted(lines: &str) -> String {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_by_key(|path| (path.contains('/'), *path));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Returns JSON on one line, with a blank after each colon and comma.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), spaced(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// Returns the good files of a page, by their paths in their workspace.
fn documents(sections: &[Section]) -> Vec<(String, String)> {
    let all = sections.iter().flat_map(|section| section.files.iter().map(move |(path, text)| (section, path, text)));
    let own = |(section, path, text): (&Section, &String, &String)| {
        let workspaces = section.workspaces().into_iter().map(|workspace| format!("{workspace}/"));
        let below = workspaces.filter_map(|workspace| path.strip_prefix(&workspace)).next();
        (below.unwrap_or(path).to_owned(), text.clone())
    };
    all.map(own).collect()
}

/// Returns the cells of the rows of all tables below a heading.
fn rows<'s>(sections: &'s [Section], title: &str) -> Vec<Vec<&'s str>> {
    let section =
        sections.iter().find(|section| section.title == title).unwrap_or_else(|| panic!("no heading {title}"));
    let rows = section.tables.iter().flat_map(|table| &table.rows);
    rows.map(|(_, row)| row.iter().map(|cell| cell.text.as_str()).collect()).collect()
}

#[test]
fn every_example_is_as_the_page_says() {
    let tried = tried(&guide());
    assert!(tried.wrong.is_empty(), "{}", tried.wrong.join("\n\n"));
    assert!(tried.contexts > 50, "only {} contexts were found in the page", tried.contexts);
    for op in Op::ALL.map(Op::name) {
        for result in [true, false] {
            let found = tried.outcomes.contains(&(op.to_owned(), result));
            assert!(found, "no example shows that `{op}` is {result}");
        }
    }
}

#[test]
fn every_operator_has_a_row_and_a_heading() {
    let (sections, _) = page::read(&guide());
    let listed: Vec<String> = rows(&sections, "Operators").iter().map(|row| row[0].to_owned()).collect();
    for op in Op::ALL.map(Op::name) {
        assert!(listed.contains(&format!("`{op}`")), "`{op}` is not in the table of operators");
        let title = format!("Operator `{op}`");
        assert!(sections.iter().any(|section| section.title == title), "there is no heading {title}");
    }
}

#[test]
fn every_type_has_a_row_and_an_example() {
    let (sections, _) = page::read(&guide());
    let listed = rows(&sections, "Variables");
    let parsed: Vec<_> = documents(&sections)
        .into_iter()
        .filter(|(path, _)| DocumentKind::at(path) == Some(DocumentKind::Variable))
        .map(|(path, text)| parse(Tree::from_iter([(path, text.into_bytes())])))
        .collect();
    let variables = parsed.iter().flat_map(|parsed| parsed.variables.values()).filter_map(|found| found.content());
    let examples: Vec<Type<'_>> = variables.filter_map(|variable| variable.value_type()).collect();
    for primitive in Primitive::ALL {
        let name = primitive.name();
        assert!(listed.iter().any(|row| row[0] == format!("`{name}`")), "`{name}` is not in the table of types");
        assert!(examples.contains(&Type::Primitive(primitive)), "no example is of type `{name}`");
    }
    assert!(listed.iter().any(|row| row[0] == "`resource:ID`"));
    assert!(examples.iter().any(|example| matches!(example, Type::Resource(_))));
}

/// Returns the path of a kind as the page writes it, and the next kind. A new kind does not compile before it is here.
fn path_of(kind: DocumentKind) -> (&'static str, Option<DocumentKind>) {
    match kind {
        DocumentKind::Manifest => ("rototo-workspace.toml", Some(DocumentKind::Variable)),
        DocumentKind::Variable => ("variables/ID.toml", Some(DocumentKind::Qualifier)),
        DocumentKind::Qualifier => ("qualifiers/ID.toml", Some(DocumentKind::Resource)),
        DocumentKind::Resource => ("resources/ID.toml", Some(DocumentKind::ResourceObject)),
        DocumentKind::ResourceObject => ("resources/ID-objects/KEY.toml", Some(DocumentKind::Schema)),
        DocumentKind::Schema => ("schemas/NAME.json", Some(DocumentKind::CustomLint)),
        DocumentKind::CustomLint => ("lint/NAME.lua", None),
    }
}

#[test]
fn every_kind_of_document_has_a_row_and_an_example() {
    let (sections, _) = page::read(&guide());
    let listed = rows(&sections, "Files");
    let examples: BTreeSet<_> = documents(&sections).iter().filter_map(|(path, _)| DocumentKind::at(path)).collect();
    let mut next = Some(DocumentKind::Manifest);
    while let Some(kind) = next {
        let (path, after) = path_of(kind);
        assert_eq!(DocumentKind::at(path), Some(kind));
        assert!(listed.iter().any(|row| row[0] == format!("`{path}`")), "`{path}` is not in the table of files");
        assert!(examples.contains(&kind), "no example has a {path}");
        next = after;
    }
}

#[test]
fn every_example_fits_the_schemas_for_editors() {
    let (sections, _) = page::read(&guide());
    let mut kinds = Vec::new();
    for (path, text) in documents(&sections) {
        let Some(kind) = SchemaKind::at(&path) else { continue };
        let document: toml::Table = toml::from_str(&text).unwrap();
        let document = serde_json::to_value(document).unwrap();
        let schema = kind.schema();
        let validator = jsonschema::draft7::new(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}\n{text}");
        kinds.push(kind);
    }
    let missing: Vec<_> = SchemaKind::ALL.into_iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty() && kinds.len() > 50, "{missing:?}, {}", kinds.len());
}

/// Returns the part of the page below a heading of level 2.
fn chapter(page: &str, title: &str) -> String {
    let start = page.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no chapter {title}"));
    let rest = &page[start + 1..];
    rest[..rest[1..].find("\n## ").map_or(rest.len(), |end| end + 1)].to_owned()
}

#[test]
fn a_page_that_is_wrong_is_found_wrong() {
    let page = guide();
    let check = |title: &str, from: &str, to: &str, complaint: &str| {
        let chapter = chapter(&page, title);
        assert!(chapter.contains(from), "{title} does not contain {from}");
        let wrong = tried(&chapter.replacen(from, to, 1)).wrong;
        assert!(wrong.iter().any(|wrong| wrong.contains(complaint)), "{from} -> {to}: {wrong:?}");
    };
    let small = "A complete workspace";
    check(small, "`large`: `50`", "`large`: `51`", "`max-projects` is\n`large`: `50`");
    check(small, "large = 50", "large = 49", "`max-projects` is\n`large`: `49`");
    check(small, "default = \"standard\"", "default = \"standart\"", "rototo/variable-unknown-value");
    check(
        small,
        "`{\"account\": {\"plan\": \"pro\"}}`",
        "`{\"account\": {}}`",
        "is\nerror: `the context does not match",
    );
    check(small, "variables/max-projects.toml\n```", "```", "the files are");
    check(small, "ok: my-config", "fine: my-config", "the commands print");
    check(small, "```toml file=qualifiers/pro-plan.toml", "```toml", "nothing checks a block of `toml`");
    check(small, "The qualifier `qualifiers/pro-plan.toml`", "The qualifier", "nothing right before the block names");
    check(small, "| Context |", "| Input |", "says of no context what it resolves to");
    let objects = "Resources";
    check(objects, "0 is less than the minimum of 1", "0 is too little", "0 is less than the minimum of 1");
    check(objects, "max_projects = 0", "max_projects = 1", "lint finds\n\nand the page says\nerror");
    check(objects, "```text lint", "```text", "nothing checks a block of `text`");
    check("Operators", "| 1011 |", "| 1012 |", "the bucket is\n1011");
    check("Layers", "\"../base\", \"../europe\"", "\"../europe\", \"../base\"", "`region` is\n`own`: `\"none\"`");
    check("Custom rules", "error[billing/too-many-projects]", "warning[billing/too-many-projects]", "error[billing/");
    check("Missing attributes", "which qualifier", "that qualifier", "error: `the context has no");
}

/// Returns the number in the table of limits.
fn limit(sections: &[Section], what: &str) -> usize {
    let rows = rows(sections, "Limits");
    let row = rows.iter().find(|row| row[0] == what).unwrap_or_else(|| panic!("there is no limit of {what}"));
    row[1].chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Returns whether lint has errors in a workspace of these files and a manifest.
fn is_refused(files: impl IntoIterator<Item = (String, String)>) -> bool {
    let manifest = ("rototo-workspace.toml".to_owned(), "schema_version = 1".to_owned());
    let files = files.into_iter().chain([manifest]).map(|(path, text)| (path, text.into_bytes()));
    lint(&parse(files.collect())).has_errors()
}

fn variable(kind: &str, value: &str) -> (String, String) {
    let text = format!("schema_version = 1\ntype = \"{kind}\"\nresolve.default = \"a\"\n[values]\n{value}\n");
    ("variables/v.toml".to_owned(), text)
}

#[test]
fn the_limits_are_those_of_the_engine() {
    let (sections, _) = page::read(&guide());
    let check = |what: &str, is_refused: &dyn Fn(usize) -> bool| {
        let limit = limit(&sections, what);
        assert!(!is_refused(limit), "{limit} {what} are refused");
        assert!(is_refused(limit + 1), "{} {what} are not refused", limit + 1);
    };
    check("levels of nested values in a TOML file", &|levels| {
        is_refused([variable("list", &format!("a = {}{}", "[".repeat(levels), "]".repeat(levels)))])
    });
    check("parts of a dotted key in a TOML file", &|parts| {
        is_refused([variable("object", &format!("a = {{ {} = 1 }}", vec!["b"; parts].join(".")))])
    });
    check("levels of nested values in a JSON file", &|levels| {
        let schema = format!("{{\"default\": {}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        is_refused([("schemas/a.json".to_owned(), schema)])
    });
    check("qualifiers that read each other in a chain", &|qualifiers| {
        let predicate = |attribute: &str| {
            format!("schema_version = 1\n[[predicate]]\nattribute = \"{attribute}\"\nop = \"eq\"\nvalue = true\n")
        };
        is_refused((0..qualifiers).map(|number| {
            let below = if number == 0 { "a".to_owned() } else { format!("qualifier.q{}", number - 1) };
            (format!("qualifiers/q{number}.toml"), predicate(&below))
        }))
    });
    check("layers of one workspace", &|layers| {
        let manifest = |layer: usize| match layer {
            0 => "schema_version = 1\n".to_owned(),
            layer => format!("schema_version = 1\nextends = [\"../l{}\"]\n", layer - 1),
        };
        let files = (0..layers).map(|layer| (format!("l{layer}/rototo-workspace.toml"), manifest(layer)));
        let directory = directory(&files.collect());
        !rototo(directory.path(), &["lint", &source(&format!("l{}", layers - 1))]).status.success()
    });
}
