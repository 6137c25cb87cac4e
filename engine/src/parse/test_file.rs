//! `tests/<name>.toml`: expected results of the workspace beside it. They are no documents: no application reads them.
//!
//! Every mistake is kept with its place. A key that nothing reads is one, as it would be an expectation that is never
//! checked.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::document::text::Span;
use crate::parse::toml::{Node, TomlTable, ValueKind, integer, parse, recover, to_json};
use crate::parse::{ParseError, QUALIFIER_PREFIX, Spanned};

/// The most parts of an attribute's path. An object nests as deeply as its path has parts, and its readers recurse.
const MAX_PARTS: usize = 32;

/// A table of a test file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestTable {
    File,
    Case,
    Table,
    /// An expected result that is no value key alone.
    Expected,
}

impl TestTable {
    /// Returns the keys that are read there.
    pub(crate) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::File => &["schema_version", "description", "context", "case", "table"],
            Self::Case => &["name", "context", "expect", "qualifiers"],
            Self::Table => &["name", "attributes", "variables", "rows"],
            Self::Expected => &["key", "value"],
        }
    }
}

/// The cases of a file.
#[derive(Debug, Default)]
pub(crate) struct TestFile {
    /// The attributes of every case.
    pub(crate) context: Map<String, Value>,
    pub(crate) cases: Vec<TestCase>,
    /// The attributes of all contexts and tables.
    pub(crate) attributes: Vec<GivenAttribute>,
    /// The mistakes, beside which the other cases stay good.
    pub(crate) faults: Vec<ParseError>,
}

/// A context, and what is expected for it.
#[derive(Debug)]
pub(crate) struct TestCase {
    pub(crate) name: Arc<str>,
    pub(crate) attributes: TestAttributes,
    pub(crate) expected: Vec<Expected>,
}

/// The attributes of one case.
#[derive(Debug)]
pub(crate) enum TestAttributes {
    /// An object, as written.
    Object(Map<String, Value>),
    /// The values of a row, by the paths of its table.
    Row(Arc<[Arc<str>]>, Vec<Value>),
}

/// An attribute that a context or a table gives.
#[derive(Debug)]
pub(crate) struct GivenAttribute {
    /// The names on its path. A name in quotes may have a dot.
    pub(crate) parts: Vec<Arc<str>>,
    /// Its last name, or its path in the list of a table.
    pub(crate) span: Span,
}

/// One expected result, and its place.
#[derive(Debug)]
pub(crate) struct Expected {
    /// The variable or the qualifier. In a case it is a key, and the rows of a table share one text.
    pub(crate) id: Spanned<Arc<str>>,
    pub(crate) span: Span,
    pub(crate) result: ExpectedResult,
}

/// An expected result.
#[derive(Debug, PartialEq)]
pub(crate) enum ExpectedResult {
    /// A variable has the value of this key.
    Key(Spanned<Arc<str>>),
    /// A variable has this value.
    Value(Value),
    /// A qualifier is true or false.
    Qualifier(bool),
}

impl TestFile {
    /// Reads the text of a file.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let file = parse(bytes, |root| Ok(Self::of(root)));
        file.unwrap_or_else(|fault| Self { faults: vec![fault], ..Self::default() })
    }

    /// Reads the text of a file as far as it can be read: somebody may be typing in it.
    pub(crate) fn readable(bytes: &[u8]) -> Self {
        let file = parse(bytes, |root| Ok(Self::of(root))).ok();
        file.or_else(|| recover(bytes, |root| Ok(Self::of(root)))).unwrap_or_default()
    }

    /// Returns a mistake that may hide an expected result. A directory `tests` may belong to other software, so a file that
    /// declares no version has one only if it can't be read at all.
    pub(crate) fn fault_in(bytes: &[u8]) -> Option<ParseError> {
        match parse(bytes, |root| Ok((root.get("schema_version").is_some(), Self::of(root)))) {
            Ok((is_test, file)) => file.faults.into_iter().next().filter(|_| is_test),
            Err(fault) => Some(fault),
        }
    }

    fn of(root: TomlTable<'_, '_>) -> Self {
        let mut file = Self::default();
        file.refuse_other_keys(root, TestTable::File);
        let version = root.get("schema_version").and_then(|node| integer(&node.kind));
        if version != Some(1) {
            let span = root.get("schema_version").map(|node| node.span);
            file.faults.push(ParseError { span, message: "the file must declare `schema_version = 1`".to_owned() });
        }
        if let Some(node) = root.get("context") {
            file.context = file.object(node);
        }
        for (place, node) in file.tables(root, "case").into_iter().enumerate() {
            file.add_case(place, node);
        }
        for (place, node) in file.tables(root, "table").into_iter().enumerate() {
            file.add_table(place, node);
        }
        file
    }

    fn add_case(&mut self, place: usize, table: TomlTable<'_, '_>) {
        self.refuse_other_keys(table, TestTable::Case);
        let name = self.name(table, || format!("case {}", place + 1));
        let attributes = table.get("context").map(|node| self.object(node)).unwrap_or_default();
        let mut expected = Vec::new();
        for (id, span, node) in self.entries(table, "expect") {
            let id = Spanned { value: id.into(), span };
            expected.extend(self.wanted(&id, Span { start: span.start, end: node.span.end }, node));
        }
        for (id, span, node) in self.entries(table, "qualifiers") {
            match node.kind {
                ValueKind::Boolean(holds) => expected.push(Expected {
                    id: Spanned { value: id.into(), span },
                    span: Span { start: span.start, end: node.span.end },
                    result: ExpectedResult::Qualifier(holds),
                }),
                _ => self.fault(node.span, "a qualifier is expected to be `true` or `false`"),
            }
        }
        if expected.is_empty() {
            self.faults.push(ParseError {
                span: table.span(),
                message: format!("`{name}` expects nothing: add `expect = {{ VARIABLE = \"VALUE KEY\" }}`"),
            });
        }
        self.cases.push(TestCase { name, attributes: TestAttributes::Object(attributes), expected });
    }

    fn add_table(&mut self, place: usize, table: TomlTable<'_, '_>) {
        self.refuse_other_keys(table, TestTable::Table);
        let name = self.name(table, || format!("table {}", place + 1));
        let columns = self.texts(table, "attributes");
        let attributes: Arc<[Arc<str>]> = columns.iter().map(|path| Arc::clone(&path.value)).collect();
        let variables = self.texts(table, "variables");
        if let Some(node) = table.get("attributes")
            && attributes.iter().any(|path| path.split('.').any(str::is_empty) || path.split('.').count() > MAX_PARTS)
        {
            self.fault(node.span, "an attribute is a path such as `account.plan`, of at most 32 parts");
            return;
        }
        if let (Some(node), Some(slip)) = (table.get("attributes"), slip_in(&attributes)) {
            self.fault(node.span, &slip);
            return;
        }
        let given = |path: &Spanned<Arc<str>>| path.value.split('.').map(Arc::from).collect();
        self.attributes.extend(columns.iter().map(|path| GivenAttribute { parts: given(path), span: path.span }));
        let Some(rows) = table.get("rows").and_then(|node| node.kind.as_array()).filter(|rows| !rows.is_empty()) else {
            let message =
                format!("`{name}` has no `rows`: a list of lists, each with the attributes and the value keys");
            self.faults.push(ParseError { span: table.span(), message });
            return;
        };
        for (row, node) in rows.iter().enumerate() {
            let name = Arc::from(format!("{name}, row {}", row + 1));
            self.add_row(name, &attributes, &variables, node);
        }
    }

    fn add_row(
        &mut self,
        name: Arc<str>,
        attributes: &Arc<[Arc<str>]>,
        variables: &[Spanned<Arc<str>>],
        row: &Node<'_>,
    ) {
        let cells = row.kind.as_array().unwrap_or_default();
        if variables.is_empty() || cells.len() != attributes.len() + variables.len() {
            let (own, found) = (attributes.len(), variables.len());
            let message = format!(
                "a row has a value for each of the {own} `attributes`, and a value key for each of the {found} `variables`"
            );
            return self.fault(row.span, &message);
        }
        let (values, wanted) = cells.split_at(attributes.len());
        let values: Result<Vec<Value>, ParseError> = values.iter().map(|cell| to_json(cell, 1)).collect();
        let expected = variables.iter().zip(wanted);
        let expected = expected.filter_map(|(id, cell)| self.wanted(id, cell.span, cell)).collect();
        match values {
            Ok(values) => {
                let attributes = TestAttributes::Row(Arc::clone(attributes), values);
                self.cases.push(TestCase { name, attributes, expected });
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    /// Reads the expected result of a variable: a value key, or a table with a `key` or a `value`.
    fn wanted(&mut self, id: &Spanned<Arc<str>>, span: Span, node: &Node<'_>) -> Option<Expected> {
        let key = |text: &str, span| ExpectedResult::Key(Spanned { value: text.into(), span });
        let table = TomlTable::of(node);
        if let Some(table) = table {
            self.refuse_other_keys(table, TestTable::Expected);
        }
        let given = table.map(|table| (table.get("key"), table.get("value")));
        let result = match (&node.kind, given) {
            (ValueKind::String(text), _) => key(text, node.span),
            (_, Some((Some(Node { kind: ValueKind::String(text), span }), None))) => key(text, *span),
            (_, Some((None, Some(value)))) => match to_json(value, 1) {
                Ok(value) => ExpectedResult::Value(value),
                Err(fault) => {
                    self.faults.push(fault);
                    return None;
                }
            },
            _ => {
                self.fault(node.span, "an expected result is a value key, such as \"large\", or `{ value = 50 }`");
                return None;
            }
        };
        Some(Expected { id: id.clone(), span, result })
    }

    fn name(&mut self, table: TomlTable<'_, '_>, default: impl FnOnce() -> String) -> Arc<str> {
        match table.get("name") {
            Some(Node { kind: ValueKind::String(name), .. }) => Arc::from(&**name),
            Some(node) => {
                self.fault(node.span, "a name is a text");
                default().into()
            }
            None => default().into(),
        }
    }

    /// Reads a context.
    fn object(&mut self, node: &Node<'_>) -> Map<String, Value> {
        match to_json(node, 1) {
            Ok(Value::Object(object)) => {
                self.attributes.extend(given_in(node));
                return object;
            }
            Ok(_) => self.fault(node.span, "a context is a table, such as `{ account = { plan = \"pro\" } }`"),
            Err(fault) => self.faults.push(fault),
        }
        Map::new()
    }

    fn texts(&mut self, table: TomlTable<'_, '_>, key: &str) -> Vec<Spanned<Arc<str>>> {
        let Some(node) = table.get(key) else { return Vec::new() };
        let text = |item: &Node<'_>| Some(Spanned { value: Arc::from(item.kind.as_str()?), span: item.span });
        let texts: Option<Vec<_>> = node.kind.as_array().and_then(|items| items.iter().map(text).collect());
        texts.unwrap_or_else(|| {
            self.fault(node.span, &format!("`{key}` is a list of names"));
            Vec::new()
        })
    }

    /// Returns the tables of a list.
    fn tables<'a, 'i>(&mut self, root: TomlTable<'a, 'i>, key: &str) -> Vec<TomlTable<'a, 'i>> {
        let Some(node) = root.get(key) else { return Vec::new() };
        let tables = node.kind.as_array().map(|items| items.iter().map(TomlTable::of));
        let tables: Option<Vec<TomlTable<'a, 'i>>> = tables.and_then(Iterator::collect);
        tables.unwrap_or_else(|| {
            self.fault(node.span, &format!("write `[[{key}]]` above each {key}"));
            Vec::new()
        })
    }

    /// Returns the entries of a table inside `table`.
    fn entries<'a>(&mut self, table: TomlTable<'a, '_>, key: &str) -> Vec<(&'a str, Span, &'a Node<'a>)> {
        let Some(node) = table.get(key) else { return Vec::new() };
        match TomlTable::of(node) {
            Some(inner) => inner.entries().collect(),
            None => {
                self.fault(node.span, &format!("`{key}` is a table of ids and expected results"));
                Vec::new()
            }
        }
    }

    fn refuse_other_keys(&mut self, table: TomlTable<'_, '_>, kind: TestTable) {
        let known = kind.keys();
        for (key, span, _) in table.entries().filter(|(key, _, _)| !known.contains(key)) {
            self.fault(span, &format!("nothing reads `{key}` here: the keys are {}", known.join(", ")));
        }
    }

    fn fault(&mut self, span: Span, message: &str) {
        self.faults.push(ParseError::at(span, message));
    }
}

/// Returns the attributes of a context: the values at the ends of its paths.
fn given_in(context: &Node<'_>) -> Vec<GivenAttribute> {
    let (mut given, mut open) = (Vec::new(), vec![(Vec::new(), context)]);
    while let Some((path, node)) = open.pop() {
        for (name, span, node) in TomlTable::of(node).into_iter().flat_map(|table| table.entries()) {
            let parts: Vec<Arc<str>> = path.iter().cloned().chain([Arc::from(name)]).collect();
            if TomlTable::of(node).is_some_and(|table| table.entries().next().is_some()) {
                open.push((parts, node))
            } else {
                given.push(GivenAttribute { parts, span })
            }
        }
    }
    given
}

/// Returns the reason for which a column of a table would never be read.
fn slip_in(attributes: &[Arc<str>]) -> Option<String> {
    if let Some(path) = attributes.iter().find(|path| path.starts_with(QUALIFIER_PREFIX)) {
        return Some(format!("`{path}` is no attribute: a `[[case]]` has `qualifiers` for what is expected of them"));
    }
    let is_inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    let mut pairs =
        attributes.iter().enumerate().flat_map(|(at, one)| attributes.iter().take(at).map(move |other| (other, one)));
    let (one, other) = pairs.find(|(one, other)| one == other || is_inside(one, other) || is_inside(other, one))?;
    Some(format!("the `attributes` `{one}` and `{other}` contradict each other: each has a column of its own"))
}
