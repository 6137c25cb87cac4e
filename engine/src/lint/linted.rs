//! Lints a workspace at the cost of its differences from an earlier one, with the same result as linting all of it.

use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity, Stage};
use crate::document::shared::SharedMap;
use crate::document::tree::DocumentKind;
use crate::lint::affected::affected;
use crate::lint::check::Check;
use crate::lint::checking_work::{CheckingWork, affected_by_patterns};
use crate::lint::custom;
use crate::lint::custom::{HandlerResult, ScriptsRun};
use crate::lint::entry::CheckedDocument;
use crate::lint::findings::cut;
use crate::lint::references::References;
use crate::lint::report::Lint;
use crate::lint::uses::Uses;
use crate::lint::{Finding, Findings, Refuse, Scripts, WorkspaceIndex, rules};
use crate::parse::Parsed;

/// A linted workspace: its findings, and the data for linting the next one. [`lint_after`] makes it, and takes the last one.
/// The default is the empty workspace.
#[derive(Clone, Default)]
pub struct Linted {
    parsed: Parsed,
    lint: Lint,
    uses: Uses,
    work: CheckingWork,
    /// The findings in single documents, by path; documents without findings have no entry.
    in_documents: SharedMap<Arc<[Diagnostic]>>,
    /// The findings of the checks of references.
    in_references: Arc<[Diagnostic]>,
    has_early_errors: bool,
    /// True if custom rules found something.
    has_own_findings: bool,
}

/// The text holds no value of the workspace.
impl fmt::Debug for Linted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linted").field("documents", &self.parsed.summary().documents).finish_non_exhaustive()
    }
}

impl Linted {
    /// The findings.
    #[must_use]
    pub fn lint(&self) -> &Lint {
        &self.lint
    }

    /// Takes the findings out. The next lint does not need them.
    pub fn take_lint(&mut self) -> Lint {
        std::mem::take(&mut self.lint)
    }

    /// The findings alone.
    #[must_use]
    pub fn into_lint(self) -> Lint {
        self.lint
    }

    /// The parsed workspace.
    #[must_use]
    pub fn parsed(&self) -> &Parsed {
        &self.parsed
    }
}

/// Lints like [`super::lint`], with the same result, but checks only the documents that changed since `previous`, and
/// those that name them.
///
/// ```
/// use rototo_engine::{Tree, lint, lint_after, parse, parse_after};
///
/// let mut tree = Tree::default();
/// tree.insert("rototo-workspace.toml", *b"schema_version = 1");
/// let first = lint_after(&Default::default(), &parse(tree.clone()));
/// tree.insert("qualifiers/pro.toml", *b"schema_version = 1");
/// let next = lint_after(&first, &parse_after(first.parsed(), tree.clone()));
/// assert_eq!(*next.lint(), lint(&parse(tree)));
/// ```
#[must_use]
pub fn lint_after(previous: &Linted, parsed: &Parsed) -> Linted {
    lint_after_with(previous, parsed, &mut Refuse("rules in Lua are not run here"))
}

/// Lints like [`super::lint_with`], with the same result, but the built-in rules check only the documents that changed
/// since `previous`, and those that name them. Custom rules run on the whole workspace, because they may read
/// everything.
#[must_use]
pub fn lint_after_with(previous: &Linted, parsed: &Parsed, scripts: &mut dyn Scripts) -> Linted {
    let changed = parsed.tree().changed_since(previous.parsed.tree());
    let uses = previous.uses.after(&previous.parsed, parsed, &changed);
    let again = affected(&previous.parsed, parsed, &changed, &previous.in_documents);
    let again = affected_by_patterns(&previous.parsed, parsed, again);
    let work = previous.work.after(parsed, &again);
    let again = work.affected(&previous.work, parsed, again);
    let workspace = WorkspaceIndex::new(parsed).with_work(&work);
    let in_documents = documents_after(previous, &workspace, &again);
    let ScriptsRun { custom, faults, asked } = custom::run(parsed, scripts);
    let in_workspace = findings_of(parsed, |check, findings| match check {
        Check::Workspace(check) => check(&workspace, findings),
        Check::Scripts(kind) => {
            faults.iter().filter(|fault| fault.kind == *kind).for_each(|fault| findings.of_script(fault))
        }
        _ => {}
    });
    let in_scripts = findings_of_scripts(parsed, &asked);

    let in_documents_and_scripts = in_documents.values().flat_map(|found| found.iter()).chain(&in_scripts);
    let has_early_errors = has_early_errors(in_documents_and_scripts.chain(&in_workspace));
    let has_own_findings = !in_scripts.is_empty();
    let in_references = if has_early_errors != previous.has_early_errors
        || has_own_findings
        || previous.has_own_findings
        || !uses.are_of_the_same(&previous.uses)
        || again.iter().any(|path| matters_for_references(path))
    {
        let references = References::new(parsed, &uses, &in_documents, &in_scripts, has_early_errors);
        let check_all = |check: &Check, findings: &mut Findings<'_>| {
            if let Check::References(check) = check {
                check(&references, findings);
            }
        };
        findings_of(parsed, check_all).into()
    } else {
        Arc::clone(&previous.in_references)
    };

    let mut diagnostics: Vec<Diagnostic> = in_documents.values().flat_map(|found| found.iter()).cloned().collect();
    diagnostics.extend(in_workspace);
    diagnostics.extend(in_scripts);
    diagnostics.extend(in_references.iter().cloned());
    diagnostics.sort_by(|a, b| a.place().cmp(&b.place()));
    cut(&mut diagnostics);
    let lint = Lint { diagnostics, custom };
    Linted { parsed: parsed.clone(), lint, uses, work, in_documents, in_references, has_early_errors, has_own_findings }
}

fn documents_after(
    previous: &Linted,
    workspace: &WorkspaceIndex<'_>,
    again: &[Arc<str>],
) -> SharedMap<Arc<[Diagnostic]>> {
    let mut in_documents = previous.in_documents.clone();
    for path in again {
        let found = in_document(workspace, path);
        if found.is_empty() {
            in_documents.remove(path);
        } else {
            in_documents.insert(Arc::clone(path), found.into());
        }
    }
    in_documents
}

/// The findings of all rules in the document at `path`, of any kind.
fn in_document(workspace: &WorkspaceIndex<'_>, path: &str) -> Vec<Diagnostic> {
    let Some(document) = workspace.document(path) else { return Vec::new() };
    findings_of(workspace.parsed, |check, findings| match (check, &document) {
        (Check::Unreadable(kind), CheckedDocument::Unreadable(of, entity, fault)) if kind == of => {
            findings.add(Finding::new(entity.clone(), path, fault.span, fault.message.clone()));
        }
        (Check::Variable(check), CheckedDocument::Variable(variable)) => check(workspace, *variable, findings),
        (Check::Qualifier(check), CheckedDocument::Qualifier(qualifier)) => check(workspace, *qualifier, findings),
        (Check::Resource(check), CheckedDocument::Resource(resource)) => check(workspace, *resource, findings),
        (Check::Object(check), CheckedDocument::Object(object)) => check(workspace, *object, findings),
        (Check::Schema(check), CheckedDocument::Schema(schema)) => check(workspace, *schema, findings),
        _ => {}
    })
}

/// The findings of all checks, each run through `run`, in the order of the rules.
fn findings_of(parsed: &Parsed, mut run: impl FnMut(&Check, &mut Findings<'_>)) -> Vec<Diagnostic> {
    let mut findings = Findings::new(parsed.tree());
    for (rule, checks) in rules::TABLE {
        findings.of_rule(rule, |findings| checks.iter().for_each(|check| run(check, findings)));
    }
    findings.into_diagnostics()
}

/// The findings of custom rules.
fn findings_of_scripts(parsed: &Parsed, asked: &[HandlerResult]) -> Vec<Diagnostic> {
    let mut findings = Findings::new(parsed.tree());
    for asked in asked {
        match asked {
            HandlerResult::Objects(found) => findings.of_custom(found),
            HandlerResult::Failed(fault) => {
                findings.of_rule(&rules::CUSTOM_LINT_FAILED, |findings| findings.of_script(fault))
            }
        }
    }
    findings.into_diagnostics()
}

/// Returns whether any finding prevents reading all documents and following their references.
fn has_early_errors<'a>(mut found: impl Iterator<Item = &'a Diagnostic>) -> bool {
    found.any(|found| found.severity == Severity::Error && found.stage <= Stage::Reference)
}

fn matters_for_references(path: &str) -> bool {
    use DocumentKind::{Manifest, Qualifier, Schema};
    matches!(DocumentKind::at(path), Some(Manifest | Qualifier | Schema))
}
