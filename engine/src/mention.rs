//! The places where documents and tests mention things by name: for editors, which follow names and change them.
//!
//! ```
//! use rototo_engine::mention::{Name, everywhere};
//! use rototo_engine::{Tree, parse};
//!
//! let mut tree = Tree::default();
//! tree.insert("qualifiers/pro.toml", *b"schema_version = 1");
//! tree.insert("variables/limit.toml", *b"[resolve]\nrule = [{ qualifier = \"pro\", value = \"large\" }]");
//! let parsed = parse(tree);
//! let name = Name::of_document("qualifiers/pro.toml").unwrap();
//! let found = everywhere(&parsed, &name);
//! assert_eq!(found.len(), 1);
//! assert_eq!((&*found[0].path, found[0].span.start), ("variables/limit.toml", 32));
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::Entity;
use crate::document::text::Span;
use crate::document::tree::DocumentKind;
use crate::parse::{
    Expected, ExpectedResult, Field, ObjectReference, Op, PathStep, Places, Predicate, QUALIFIER_PREFIX, Qualifier,
    RESOURCE_PREFIX, Resource, Schema, Spanned, TestAttributes, TestFile, Type, Variable, object_references,
    refers_to_objects, target,
};
use crate::parse::{Parse, Parsed, resource_of, stem};

/// A thing with a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each variant is a part of a workspace, and its fields are the names of that part")]
pub enum Name {
    Variable { id: Arc<str> },
    Qualifier { id: Arc<str> },
    Resource { id: Arc<str> },
    Object { resource: Arc<str>, key: Arc<str> },
    Value { variable: Arc<str>, key: Arc<str> },
    Schema { path: Arc<str> },
    Attribute { path: Arc<str> },
}

/// A place that mentions a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The thing.
    pub name: Name,
    /// The document, or the test.
    pub path: Arc<str>,
    /// The bytes of the key or of the text, with its quotes.
    pub span: Span,
    /// The part of the workspace that has the mention. A test is none, so that of its mentions is the workspace.
    pub by: Entity,
    /// The way in which the name is written.
    pub form: Form,
}

/// The way in which a mention is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A key, which declares the thing.
    Key,
    /// A key of a test, which has the expected result as its value.
    ExpectationKey,
    /// A text of this prefix and the name.
    Text(&'static str),
    /// A text that is a path relative to the document.
    RelativePath,
}

impl Name {
    /// Returns the thing that a document is: its path gives the name.
    #[must_use]
    pub fn of_document(path: &str) -> Option<Self> {
        let id = || Arc::from(stem(path));
        Some(match DocumentKind::at(path)? {
            DocumentKind::Variable => Self::Variable { id: id() },
            DocumentKind::Qualifier => Self::Qualifier { id: id() },
            DocumentKind::Resource => Self::Resource { id: id() },
            DocumentKind::ResourceObject => Self::Object { resource: resource_of(path).into(), key: id() },
            DocumentKind::Schema => Self::Schema { path: path.into() },
            DocumentKind::Manifest | DocumentKind::CustomLint => return None,
        })
    }

    /// Returns the path of the document that the thing is. A value is part of one, and an attribute is none.
    #[must_use]
    pub fn document(&self) -> Option<String> {
        match self {
            Self::Variable { id } => Some(format!("variables/{id}.toml")),
            Self::Qualifier { id } => Some(format!("qualifiers/{id}.toml")),
            Self::Resource { id } => Some(format!("resources/{id}.toml")),
            Self::Object { resource, key } => Some(format!("resources/{resource}-objects/{key}.toml")),
            Self::Schema { path } => Some(path.to_string()),
            Self::Value { .. } | Self::Attribute { .. } => None,
        }
    }

    /// Returns the name alone.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        match self {
            Self::Variable { id } | Self::Qualifier { id } | Self::Resource { id } => id,
            Self::Object { key, .. } | Self::Value { key, .. } => key,
            Self::Schema { path } | Self::Attribute { path } => path,
        }
    }
}

/// Returns the mentions in the document or the test at `path`, as far as it can be read. Those in a test are in the order
/// of their places; several rows have one mention of a variable together.
#[must_use]
pub fn in_document(parsed: &Parsed, path: &str) -> Vec<Mention> {
    let Some((path, id)) = parsed.tree().path(path).map(|path| (path, stem(path))) else { return Vec::new() };
    let mut found = Mentions { path, found: Vec::new() };
    match DocumentKind::at(path) {
        Some(DocumentKind::Variable) => {
            if let Some(variable) = parsed.readable_variable(id) {
                found.of_variable(parsed, id, &variable);
            }
        }
        Some(DocumentKind::Qualifier) => {
            if let Some(qualifier) = parsed.readable_qualifier(id) {
                found.of_qualifier(id, &qualifier);
            }
        }
        Some(DocumentKind::Resource) => {
            if let Some(resource) = parsed.readable_resource(id) {
                found.schema(Entity::resource(id), &resource.schema);
            }
        }
        Some(DocumentKind::ResourceObject) => found.of_object(parsed, resource_of(path), id),
        Some(DocumentKind::Manifest | DocumentKind::Schema | DocumentKind::CustomLint) => {}
        None => {
            if let Some(bytes) = parsed.tree().test(path) {
                found.of_test(parsed, bytes);
            }
        }
    }
    found.found
}

/// Returns the mentions of a thing in the whole workspace, in the order of documents, and then of
/// [tests](crate::Tree::tests).
#[must_use]
pub fn everywhere(parsed: &Parsed, name: &Name) -> Vec<Mention> {
    let tests = parsed.tree().tests().map(|(path, _)| path);
    let mut found = in_documents(parsed, name);
    found.extend(in_files(parsed, tests, name));
    found
}

/// Returns the mentions of a thing in documents alone: a test selects and reads nothing.
#[must_use]
pub fn in_documents(parsed: &Parsed, name: &Name) -> Vec<Mention> {
    in_files(parsed, parsed.tree().iter().map(|(path, _)| path), name).collect()
}

fn in_files<'p>(
    parsed: &'p Parsed,
    paths: impl Iterator<Item = &'p Arc<str>> + 'p,
    name: &'p Name,
) -> impl Iterator<Item = Mention> + 'p {
    paths.flat_map(|path| in_document(parsed, path)).filter(|mention| mention.name == *name)
}

struct Mentions<'p> {
    path: &'p Arc<str>,
    found: Vec<Mention>,
}

impl Mentions<'_> {
    fn add(&mut self, name: Name, by: Entity, span: Span, form: Form) {
        self.found.push(Mention { name, path: Arc::clone(self.path), span, by, form });
    }

    fn of_variable(&mut self, parsed: &Parsed, id: &str, variable: &Variable) {
        if let (Some(Type::Resource(resource)), Some(span)) = (variable.value_type(), variable.type_name.span()) {
            let name = Name::Resource { id: resource.into() };
            self.add(name, Entity::variable(id), span, Form::Text(RESOURCE_PREFIX));
        }
        self.schema(Entity::variable(id), &variable.schema);
        for (key, value) in variable.inline_values() {
            let name = value_name(id, Some(variable), key);
            self.add(name, Entity::value(id, key), value.key_span, Form::Key);
        }
        let default = variable.default().map(|default| (Entity::variable(id), default));
        let rules = variable.rules().iter().enumerate();
        let rules = rules.map(|(index, rule)| (Entity::rule(id, index), &rule.value));
        for (by, field) in default.into_iter().chain(rules) {
            self.text(by, field, |key| value_name(id, Some(variable), key));
        }
        for (index, rule) in variable.rules().iter().enumerate() {
            self.text(Entity::rule(id, index), &rule.qualifier, |id| Name::Qualifier { id: Arc::clone(id) });
        }
        let schema = variable.schema.value().and_then(|reference| parsed.schema_at(self.path, reference).ok());
        for (key, value) in variable.inline_values() {
            let steps = vec![PathStep::Key("values".to_owned()), PathStep::Key(key.to_string())];
            self.objects(parsed, schema, &value.value, &steps, &Entity::value(id, key));
        }
    }

    fn of_qualifier(&mut self, id: &str, qualifier: &Qualifier) {
        for (index, predicate) in qualifier.predicates().iter().enumerate() {
            let Some(attribute) = predicate.attribute.present() else { continue };
            let (name, form) = subject(predicate, attribute);
            self.add(name, Entity::predicate(id, index), attribute.span, form);
        }
    }

    /// Adds the ids and the value keys of the expected results.
    fn of_test(&mut self, parsed: &Parsed, bytes: &[u8]) {
        let mut variables = BTreeMap::new();
        for case in TestFile::readable(bytes).cases {
            let form = match case.attributes {
                TestAttributes::Object(_) => Form::ExpectationKey,
                TestAttributes::Row(..) => Form::Text(""),
            };
            for Expected { id: Spanned { value: id, span }, result, .. } in case.expected {
                let name = match &result {
                    ExpectedResult::Qualifier(_) => Name::Qualifier { id: Arc::clone(&id) },
                    ExpectedResult::Key(_) | ExpectedResult::Value(_) => Name::Variable { id: Arc::clone(&id) },
                };
                self.add(name, Entity::Workspace, span, form);
                if let ExpectedResult::Key(key) = result {
                    let variable =
                        variables.entry(Arc::clone(&id)).or_insert_with(|| parsed.readable_variable(&id)).as_deref();
                    let name = value_name(&id, variable, &key.value);
                    self.add(name, Entity::Workspace, key.span, Form::Text(""));
                }
            }
        }
        self.found.sort_by_key(|mention| mention.span);
        self.found.dedup_by_key(|mention| mention.span);
    }

    fn of_object(&mut self, parsed: &Parsed, resource: &str, key: &str) {
        let object = parsed.objects.get(resource).and_then(|objects| objects.get(key)?.content());
        let document = parsed.resources.get(resource);
        let schema = document.and_then(|document| {
            let content: &Resource = document.content()?;
            parsed.schema_at(&document.path, content.schema.value()?).ok()
        });
        if let Some(object) = object {
            self.objects(parsed, schema, &object.value, &[], &Entity::object(resource, key));
        }
    }

    /// Adds the references to objects in a value, which the schema declares.
    fn objects(
        &mut self,
        parsed: &Parsed,
        schema: Option<&Parse<Schema>>,
        value: &serde_json::Value,
        from: &[PathStep],
        by: &Entity,
    ) {
        let Some(schema) = schema.and_then(Parse::content).filter(|schema| refers_to_objects(schema)) else { return };
        let references = object_references(schema, value);
        let Some(document) = parsed.tree().get(self.path).filter(|_| !references.is_empty()) else { return };
        let places = Places::of(&document.bytes);
        for reference in references {
            if let Some(span) = places.find(&reference.steps(from)).value {
                let ObjectReference { resource, key, .. } = reference;
                let name = Name::Object { resource: resource.into(), key: key.into() };
                self.add(name, by.clone(), span, Form::Text(""));
            }
        }
    }

    fn schema(&mut self, by: Entity, field: &Field<Arc<str>>) {
        let Some(reference) = field.present() else { return };
        if let Some(path) = target(self.path, &reference.value) {
            self.add(Name::Schema { path: path.into() }, by, reference.span, Form::RelativePath);
        }
    }

    fn text(&mut self, by: Entity, field: &Field<Arc<str>>, name: impl FnOnce(&Arc<str>) -> Name) {
        if let Some(text) = field.present() {
            self.add(name(&text.value), by, text.span, Form::Text(""));
        }
    }
}

/// Returns the thing that a key of a value names: the values of a resource variable are the objects of the resource.
fn value_name(id: &str, variable: Option<&Variable>, key: &Arc<str>) -> Name {
    match variable.and_then(Variable::value_type) {
        Some(Type::Resource(resource)) => Name::Object { resource: resource.into(), key: Arc::clone(key) },
        _ => Name::Value { variable: id.into(), key: Arc::clone(key) },
    }
}

/// Returns the thing that a predicate reads. A bucket hashes an attribute, even where its name is like that of a
/// qualifier.
fn subject(predicate: &Predicate, attribute: &Spanned<Arc<str>>) -> (Name, Form) {
    match predicate.qualifier_reference() {
        Some(id) if predicate.operator() != Some(Op::Bucket) => {
            (Name::Qualifier { id: id.into() }, Form::Text(QUALIFIER_PREFIX))
        }
        _ => (Name::Attribute { path: Arc::clone(&attribute.value) }, Form::Text("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tree, parse};

    fn texts(files: &[(&str, &str)], name: &Name) -> Vec<String> {
        let tree: Tree = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let parsed = parse(tree);
        let text = |mention: &Mention| {
            let document = parsed.tree().get(&mention.path).map(|document| &document.bytes);
            let bytes = document.or_else(|| parsed.tree().test(&mention.path)).unwrap();
            let text = std::str::from_utf8(&bytes[mention.span.start..mention.span.end]).unwrap();
            format!("{}: {text}", mention.path)
        };
        everywhere(&parsed, name).iter().map(text).collect()
    }

    const VARIABLE: &str = "type = \"int\"\n[values]\nsmall = 1\n[resolve]\ndefault = \"small\"\n\
        rule = [{ qualifier = \"pro\", value = 'small' }]\n";

    #[test]
    fn a_value_is_mentioned_by_its_key_the_default_and_rules() {
        let name = Name::Value { variable: "limit".into(), key: "small".into() };
        let found = texts(&[("variables/limit.toml", VARIABLE)], &name);
        assert_eq!(found, ["small", "\"small\"", "'small'"].map(|text| format!("variables/limit.toml: {text}")));
    }

    #[test]
    fn a_qualifier_is_mentioned_by_rules_and_predicates_but_not_by_buckets() {
        let predicates = "predicate = [{ attribute = \"qualifier.pro\", op = \"eq\", value = true }, \
            { attribute = \"qualifier.pro\", op = \"bucket\", salt = \"s\", range = [0, 1] }]";
        let files = [("qualifiers/all.toml", predicates), ("variables/limit.toml", VARIABLE)];
        let found = texts(&files, &Name::Qualifier { id: "pro".into() });
        assert_eq!(found, ["qualifiers/all.toml: \"qualifier.pro\"", "variables/limit.toml: \"pro\""]);
        assert_eq!(texts(&files, &Name::Attribute { path: "qualifier.pro".into() }).len(), 1);
    }

    #[test]
    fn an_object_is_mentioned_by_variables_and_by_values_whose_schema_refers_to_it() {
        let schema = r#"{ "properties": { "next": { "items": { "x-rototo-resource": "plan" } } } }"#;
        let files = [
            ("resources/plan-objects/a.toml", "next = [\"b\", \"a\"]"),
            ("resources/plan-objects/b.toml", ""),
            ("resources/plan.toml", "schema = \"../schemas/plan.json\""),
            ("schemas/plan.json", schema),
            ("variables/current.toml", "type = \"resource:plan\"\nresolve = { default = \"b\" }"),
        ];
        let found = texts(&files, &Name::Object { resource: "plan".into(), key: "b".into() });
        assert_eq!(found, ["resources/plan-objects/a.toml: \"b\"", "variables/current.toml: \"b\""]);
        let of = |path: &str| texts(&files, &Name::of_document(path).unwrap());
        assert_eq!(of("resources/plan.toml"), ["variables/current.toml: \"resource:plan\""]);
        assert_eq!(of("schemas/plan.json"), ["resources/plan.toml: \"../schemas/plan.json\""]);
    }

    const TEST: &str = "schema_version = 1\n[[case]]\nexpect = { limit = \"small\", current = { key = 'b' } }\n\
        qualifiers.pro = false\n[[table]]\nattributes = [\"small\"]\nvariables = [\"limit\", \"current\"]\n\
        rows = [[1, \"small\", \"b\"], [2, { key = \"large\" }, { value = \"b\" }]]\n";

    const CURRENT: (&str, &str) = ("variables/current.toml", "type = \"resource:plan\"");

    #[test]
    fn a_test_mentions_each_id_and_value_key_once_at_each_place() {
        let files = [CURRENT, ("variables/limit.toml", VARIABLE), ("tests/limits.toml", TEST)];
        let check = |name: &Name, expected: &[&str]| {
            let found = texts(&files, name).into_iter().filter(|found| found.starts_with("tests/"));
            let expected: Vec<String> = expected.iter().map(|text| format!("tests/limits.toml: {text}")).collect();
            assert_eq!(found.collect::<Vec<_>>(), expected, "{name:?}");
        };
        check(&Name::Variable { id: "limit".into() }, &["limit", "\"limit\""]);
        check(&Name::Variable { id: "current".into() }, &["current", "\"current\""]);
        check(&Name::Qualifier { id: "pro".into() }, &["pro"]);
        check(&Name::Value { variable: "limit".into(), key: "small".into() }, &["\"small\"", "\"small\""]);
        check(&Name::Value { variable: "limit".into(), key: "large".into() }, &["\"large\""]);
        // The value is compared with the value of an object, and names none.
        check(&Name::Object { resource: "plan".into(), key: "b".into() }, &["'b'", "\"b\""]);
        check(&Name::Value { variable: "current".into(), key: "b".into() }, &[]);
    }

    #[test]
    fn the_header_of_an_expectation_is_a_mention() {
        let text = "[[case]]\n[case.expect.limit]\nkey = \"small\"\n[case.qualifiers]\n\"pro\" = true\n";
        let files = [("variables/limit.toml", VARIABLE.replace("small", "x")), ("tests/a.toml", text.to_owned())];
        let files = files.each_ref().map(|(path, text)| (*path, &**text));
        assert_eq!(texts(&files, &Name::Variable { id: "limit".into() }), ["tests/a.toml: limit"]);
        let small = Name::Value { variable: "limit".into(), key: "small".into() };
        assert_eq!(texts(&files, &small), ["tests/a.toml: \"small\""]);
        let pro = texts(&files, &Name::Qualifier { id: "pro".into() });
        assert_eq!(pro, ["variables/limit.toml: \"pro\"", "tests/a.toml: \"pro\""]);
    }

    #[test]
    fn the_key_of_an_expectation_declares_nothing() {
        let parsed = parse([("tests/limits.toml".to_owned(), TEST.into())].into_iter().collect());
        let found = in_document(&parsed, "tests/limits.toml");
        let forms: Vec<Form> = found.iter().map(|mention| mention.form).collect();
        let [key, text] = [Form::ExpectationKey, Form::Text("")];
        assert_eq!(forms, [key, text, key, text, key, text, text, text, text, text]);
        assert!(found.iter().all(|mention| mention.by == Entity::Workspace));
        assert!(found.is_sorted_by_key(|mention| mention.span));
    }

    #[test]
    fn tests_are_left_out_where_documents_alone_are_asked_for() {
        let files = [("variables/limit.toml", VARIABLE), ("tests/limits.toml", TEST)];
        let tree: Tree = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let (parsed, name) = (parse(tree), Name::Qualifier { id: "pro".into() });
        let paths = |found: Vec<Mention>| found.into_iter().map(|mention| mention.path.to_string()).collect::<Vec<_>>();
        assert_eq!(paths(in_documents(&parsed, &name)), ["variables/limit.toml"]);
        assert_eq!(paths(everywhere(&parsed, &name)), ["variables/limit.toml", "tests/limits.toml"]);
    }

    #[test]
    fn mentions_are_found_in_a_test_with_a_fault() {
        let id = || Name::Variable { id: "limit".into() };
        let broken = TEST.replace("[[table]]\n", "[[table]]\nname =\n");
        assert_eq!(
            texts(&[("tests/limits.toml", &broken)], &id()),
            ["tests/limits.toml: limit", "tests/limits.toml: \"limit\""]
        );
        let fault = |text: &str| {
            parse(Tree::from_iter([("tests/a.toml".to_owned(), text.into())])).fault_of_test("tests/a.toml")
        };
        assert!(fault(TEST).is_none() && fault(&broken).is_some());
        assert!(fault(&TEST.replace("expect =", "expects =")).is_some());
    }

    #[test]
    fn mentions_are_found_in_a_document_with_a_fault() {
        let text = VARIABLE.replace("[resolve]\n", "[resolve]\ndefault =\n");
        let found = texts(&[("variables/limit.toml", &text)], &Name::Qualifier { id: "pro".into() });
        assert_eq!(found, ["variables/limit.toml: \"pro\""]);
    }
}
