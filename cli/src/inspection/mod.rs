//! Explains a workspace: its parts, their dependencies in both directions, and the findings of lint. Pure, and in the
//! JSON that existing automation reads.

mod catalog;
mod references;
mod text;

use std::sync::Arc;

use rototo_engine::lint::Registration;
use rototo_engine::mention::Name;
use rototo_engine::parse::{self, Parse};
use rototo_engine::{CompileError, Compiled, Context, Diagnostic, Lint, Parsed, QualifierTrace, ResolveError};
use rototo_engine::{ResolveOptions, VariableTrace};
use serde::Serialize;
use serde_json::Value;

pub(crate) use crate::inspection::catalog::{CatalogRule, by_authority, catalog, catalog_in_reports};
use crate::inspection::references::{Consumer, Dependencies, References};
pub(crate) use crate::inspection::text::text;
use crate::workspace::documents::ReportedDocument;
use crate::workspace::selection::{BUILT_IN, Selection, Selectors, id_in};

/// The workspace to explain, with a context, if any.
pub(crate) struct InspectionInput<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) lint: &'a Lint,
    pub(crate) compiled: &'a Result<Compiled, CompileError>,
    pub(crate) selectors: &'a Selectors,
    pub(crate) context: Option<&'a Context>,
}

/// The explanation.
#[derive(Serialize)]
pub(crate) struct Inspection<'a> {
    pub(crate) workspace: String,
    pub(crate) documents: Vec<ReportedDocument<'a>>,
    runtime: Runtime,
    diagnostics: Vec<&'a Diagnostic>,
    schemas: Vec<Schema<'a>>,
    resources: Vec<Resource<'a>>,
    variables: Vec<Variable<'a>>,
    qualifiers: Vec<Qualifier<'a>>,
    lint_rules: Vec<CheckedRule<'a>>,
    lint_authorities: Vec<Authority<'a>>,
    linters: Vec<Linter<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Runtime {
    Available,
    Unavailable { reason: String },
}

#[derive(Serialize)]
struct Schema<'a> {
    id: &'a str,
    path: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    consumers: Vec<Consumer>,
    diagnostics: Vec<&'a Diagnostic>,
}

#[derive(Serialize)]
struct Resource<'a> {
    id: &'a str,
    uri: String,
    path: &'a str,
    schema: Option<String>,
    objects: Vec<Object<'a>>,
    dependencies: Dependencies,
    consumers: Vec<Consumer>,
    diagnostics: Vec<&'a Diagnostic>,
}

#[derive(Serialize)]
struct Object<'a> {
    key: &'a str,
    value: &'a Value,
}

#[derive(Serialize)]
struct Variable<'a> {
    id: &'a str,
    uri: String,
    path: &'a str,
    type_source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    values: Vec<NamedValue<'a>>,
    resolve: Resolve<'a>,
    dependencies: Dependencies,
    diagnostics: Vec<&'a Diagnostic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<VariableTrace>,
}

#[derive(Serialize)]
struct NamedValue<'a> {
    key: &'a str,
    origin: &'static str,
    value: &'a Value,
}

#[derive(Serialize)]
struct Resolve<'a> {
    default_value: Option<&'a str>,
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
struct Rule<'a> {
    index: usize,
    qualifier: Option<&'a str>,
    value: Option<&'a str>,
}

#[derive(Serialize)]
struct Qualifier<'a> {
    id: &'a str,
    uri: String,
    path: &'a str,
    predicates: Vec<Predicate<'a>>,
    dependencies: Dependencies,
    consumers: Vec<Consumer>,
    diagnostics: Vec<&'a Diagnostic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<QualifierTrace>,
}

#[derive(Serialize)]
struct Predicate<'a> {
    index: usize,
    attribute: Option<&'a str>,
    op: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[i64; 2]>,
}

#[derive(Serialize)]
struct CheckedRule<'a> {
    #[serde(flatten)]
    rule: CatalogRule,
    diagnostics: Vec<&'a Diagnostic>,
}

#[derive(Serialize)]
struct Authority<'a> {
    authority: String,
    rules: Vec<CheckedRule<'a>>,
}

#[derive(Serialize)]
struct Linter<'a> {
    id: &'a str,
    path: &'a str,
    registrations: Vec<&'a Registration>,
    diagnostics: Vec<&'a Diagnostic>,
}

impl<'a> InspectionInput<'a> {
    /// Explains the selection; if nothing is selected, everything but the built-in rules.
    pub(crate) fn inspect(
        &self,
        workspace: String,
        documents: Vec<ReportedDocument<'a>>,
    ) -> Result<Inspection<'a>, ResolveError> {
        let (parsed, references) = (self.parsed, References::of(self.parsed));
        let selected = |selection: Selection<'_>, id: &str| self.selectors.is_everything() || selection.has(id);
        let variables = parsed.variables.iter().filter(|(id, _)| selected(self.selectors.variables(), id));
        let qualifiers = parsed.qualifiers.iter().filter(|(id, _)| selected(self.selectors.qualifiers(), id));
        let resources = parsed.resources.iter().filter(|(id, _)| selected(self.selectors.resources(), id));
        let linters = parsed.custom_lints.iter().filter_map(|path| Some((id_in(path, "lint/", ".lua")?, path)));
        let runtime = match self.compiled {
            Ok(_) => Runtime::Available,
            Err(error) => Runtime::Unavailable { reason: error.to_string() },
        };
        let rules = self.rules();
        Ok(Inspection {
            workspace,
            documents,
            runtime,
            diagnostics: self.diagnostics(|diagnostic| self.selectors.includes(diagnostic)),
            schemas: if self.selectors.is_everything() { self.schemas(&references) } else { Vec::new() },
            resources: resources.map(|(id, document)| self.resource(id, document, &references)).collect(),
            variables: variables
                .map(|(id, document)| self.variable(id, document, &references))
                .collect::<Result<_, _>>()?,
            qualifiers: qualifiers
                .map(|(id, document)| self.qualifier(id, document, &references))
                .collect::<Result<_, _>>()?,
            lint_rules: rules,
            lint_authorities: self.authorities(),
            linters: linters
                .filter(|(id, _)| selected(self.selectors.linters(), id))
                .map(|(id, path)| self.linter(id, path))
                .collect(),
        })
    }

    fn diagnostics(&self, concerns: impl Fn(&Diagnostic) -> bool) -> Vec<&'a Diagnostic> {
        self.lint.diagnostics.iter().filter(|diagnostic| concerns(diagnostic)).collect()
    }

    fn schemas(&self, references: &References) -> Vec<Schema<'a>> {
        let schema = |(path, document): (&'a Arc<str>, &'a Parse<parse::Schema>)| {
            let (status, error) = match document.content().map(|schema| schema.validator()) {
                Some(Ok(_)) => ("valid", None),
                Some(Err(invalid)) => ("invalid", Some(invalid.message.as_str())),
                None => ("unavailable", None),
            };
            let stem = path.strip_prefix("schemas/").and_then(|file| file.strip_suffix(".json")).unwrap_or(path);
            let diagnostics = self.diagnostics(|diagnostic| *diagnostic.location.path == **path);
            Schema {
                id: stem,
                path,
                status,
                error,
                consumers: references.consumers(&Name::Schema { path: path.clone() }),
                diagnostics,
            }
        };
        self.parsed.schemas.iter().map(schema).collect()
    }

    fn resource(&self, id: &'a str, document: &'a Parse<parse::Resource>, references: &References) -> Resource<'a> {
        let dependencies = references.of_resource(id);
        let objects = self.parsed.objects.get(id).into_iter().flat_map(|objects| objects.iter());
        Resource {
            id,
            uri: format!("resource://{id}"),
            path: &document.path,
            schema: dependencies.schemas.first().cloned(),
            objects: objects
                .filter_map(|(key, object)| Some(Object { key, value: &object.content()?.value }))
                .collect(),
            dependencies,
            consumers: references.consumers(&Name::Resource { id: id.into() }),
            diagnostics: self.diagnostics(|diagnostic| Selectors::concerns_resource(diagnostic, id)),
        }
    }

    fn variable(
        &self,
        id: &'a str,
        document: &'a Parse<parse::Variable>,
        references: &References,
    ) -> Result<Variable<'a>, ResolveError> {
        let variable = document.content();
        let dependencies = references.of_variable(id);
        let type_source = variable.map(|variable| match variable.type_name.value() {
            Some(name) => name.to_string(),
            None if variable.type_name.span().is_some() => "invalid".to_owned(),
            None => "missing".to_owned(),
        });
        let inline = variable.into_iter().flat_map(parse::Variable::inline_values);
        let rules = variable.map(|variable| variable.rules()).unwrap_or_default().iter().enumerate();
        Ok(Variable {
            id,
            uri: format!("variable://{id}"),
            path: &document.path,
            type_source: type_source.unwrap_or_else(|| "missing".to_owned()),
            schema: dependencies.schemas.first().cloned(),
            values: inline.map(|(key, named)| NamedValue { key, origin: "inline", value: &named.value }).collect(),
            resolve: Resolve {
                default_value: variable.and_then(|v| v.default()?.value()).map(|value| &**value),
                rules: rules.map(|(index, rule)| Rule::of(index, rule)).collect(),
            },
            dependencies,
            diagnostics: self.diagnostics(|diagnostic| Selectors::concerns_variable(diagnostic, id)),
            trace: self.trace(|compiled, context| compiled.trace_variable(id, context, ResolveOptions::default()))?,
        })
    }

    fn qualifier(
        &self,
        id: &'a str,
        document: &'a Parse<parse::Qualifier>,
        references: &References,
    ) -> Result<Qualifier<'a>, ResolveError> {
        let predicates = document.content().map(|qualifier| qualifier.predicates()).unwrap_or_default();
        Ok(Qualifier {
            id,
            uri: format!("qualifier://{id}"),
            path: &document.path,
            predicates: predicates.iter().enumerate().map(|(index, one)| Predicate::of(index, one)).collect(),
            dependencies: references.of_qualifier(id),
            consumers: references.consumers(&Name::Qualifier { id: id.into() }),
            diagnostics: self.diagnostics(|diagnostic| Selectors::concerns_qualifier(diagnostic, id)),
            trace: self.trace(|compiled, context| compiled.trace_qualifier(id, context, ResolveOptions::default()))?,
        })
    }

    fn trace<T>(
        &self,
        trace: impl Fn(&Compiled, &Context) -> Result<T, ResolveError>,
    ) -> Result<Option<T>, ResolveError> {
        match (self.compiled, self.context) {
            (Ok(compiled), Some(context)) => trace(compiled, context).map(Some),
            _ => Ok(None),
        }
    }

    fn rules(&self) -> Vec<CheckedRule<'a>> {
        let selection = self.selectors.lint_rules();
        catalog_in_reports(&self.lint.custom)
            .into_iter()
            .filter(|rule| selection.has(&rule.rule))
            .map(|rule| self.checked(rule))
            .collect()
    }

    fn authorities(&self) -> Vec<Authority<'a>> {
        let selection = self.selectors.lint_authorities();
        let own = |authority: &str| self.selectors.is_everything() && authority != BUILT_IN;
        let rules = catalog_in_reports(&self.lint.custom);
        let authorities = by_authority(rules, |authority| own(authority) || selection.has(authority)).into_iter();
        let checked = |rules: Vec<CatalogRule>| rules.into_iter().map(|rule| self.checked(rule)).collect();
        authorities.map(|(authority, rules)| Authority { authority, rules: checked(rules) }).collect()
    }

    fn checked(&self, rule: CatalogRule) -> CheckedRule<'a> {
        let diagnostics = self.diagnostics(|diagnostic| diagnostic.rule == rule.rule);
        CheckedRule { rule, diagnostics }
    }

    fn linter(&self, id: &'a str, path: &'a str) -> Linter<'a> {
        let diagnostics = self.diagnostics(|diagnostic| diagnostic.location.path == path);
        let registrations = self.lint.custom.registrations.iter().filter(|one| *one.path == *path).collect();
        Linter { id, path, registrations, diagnostics }
    }
}

impl<'a> Rule<'a> {
    fn of(index: usize, rule: &'a parse::Rule) -> Self {
        let content = |field: &'a parse::Field<Arc<str>>| field.value().map(|text| &**text);
        Self { index, qualifier: content(&rule.qualifier), value: content(&rule.value) }
    }
}

impl<'a> Predicate<'a> {
    fn of(index: usize, predicate: &'a parse::Predicate) -> Self {
        let range = predicate.range.as_ref().and_then(|range| match range.value {
            parse::BucketRange::Bounds(start, end) => Some([start, end]),
            parse::BucketRange::NotTwoIntegers | parse::BucketRange::NotAList => None,
        });
        Self {
            index,
            attribute: predicate.attribute.value().map(|attribute| &**attribute),
            op: predicate.op.value().map(|op| &**op),
            value: predicate.value.as_ref().map(|value| &*value.value),
            salt: predicate.salt.value().map(|salt| &**salt),
            range,
        }
    }
}
