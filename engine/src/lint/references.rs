//! What qualifiers and schemas are used for, in the workspace as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Entity, Severity, Stage};
use crate::document::shared::SharedMap;
use crate::graph;
use crate::lint::Findings;
use crate::lint::entry::DocumentEntry;
use crate::lint::uses::Uses;
use crate::parse::{Parsed, Predicate, Qualifier, Schema};

/// A parsed workspace, the references between its qualifiers, and what was found in its documents.
pub(super) struct References<'a> {
    pub(super) parsed: &'a Parsed,
    pub(super) uses: &'a Uses,
    /// For each qualifier, in order of their ids, the numbers of those it refers to.
    pub(super) edges: Vec<Vec<usize>>,
    /// The cycles and single qualifiers, each after what it refers to.
    pub(super) components: Vec<Vec<usize>>,
    /// Whether there are errors in reading the documents or following what they name.
    pub(super) has_early_errors: bool,
    in_documents: &'a SharedMap<Arc<[Diagnostic]>>,
    /// What came of asking the workspace's own rules.
    in_scripts: &'a [Diagnostic],
}

impl<'a> References<'a> {
    pub(super) fn new(
        parsed: &'a Parsed,
        uses: &'a Uses,
        in_documents: &'a SharedMap<Arc<[Diagnostic]>>,
        in_scripts: &'a [Diagnostic],
        has_early_errors: bool,
    ) -> Self {
        let numbers: BTreeMap<&str, usize> = parsed.qualifiers.keys().zip(0..).map(|(id, n)| (&**id, n)).collect();
        let edges: Vec<Vec<usize>> = parsed
            .qualifiers
            .values()
            .map(|document| {
                let predicates = document.content().map(Qualifier::predicates).unwrap_or_default();
                let named = predicates.iter().filter_map(Predicate::qualifier_reference);
                named.filter_map(|id| numbers.get(id).copied()).collect()
            })
            .collect();
        let components = graph::components(&edges);
        Self { parsed, uses, edges, components, has_early_errors, in_documents, in_scripts }
    }

    pub(super) fn schemas(&self) -> impl Iterator<Item = DocumentEntry<'a, Schema>> {
        self.parsed.schemas.iter().filter_map(|(id, document)| Some((id, &document.path, document.content()?)))
    }

    /// The qualifiers that a rule or another qualifier names.
    pub(super) fn referenced(&self) -> BTreeSet<usize> {
        let pairs = self.edges.iter().enumerate();
        let by_qualifiers = pairs.flat_map(|(from, all)| all.iter().copied().filter(move |to| *to != from));
        by_qualifiers.chain(self.selecting()).collect()
    }

    /// The qualifiers that can take part in resolving a variable.
    pub(super) fn reachable(&self) -> BTreeSet<usize> {
        let mut reachable: BTreeSet<usize> = self.selecting().collect();
        let mut open: Vec<usize> = reachable.iter().copied().collect();
        while let Some(from) = open.pop() {
            for to in self.edges.get(from).into_iter().flatten() {
                if reachable.insert(*to) {
                    open.push(*to);
                }
            }
        }
        reachable
    }

    /// The qualifiers that have something wrong with them or one of their predicates.
    pub(super) fn qualifiers_with_errors(&self, findings: &Findings<'_>) -> BTreeSet<String> {
        let in_documents = self.in_documents.with_prefix("qualifiers/").flat_map(|(_, found)| found.iter());
        let in_scripts = self.in_scripts.iter().filter(|found| found.stage < Stage::Graph);
        let errors = in_documents
            .chain(in_scripts)
            .chain(findings.diagnostics())
            .filter(|found| found.severity == Severity::Error);
        let ids = errors.filter_map(|found| match &found.entity {
            Entity::Qualifier { id } | Entity::Predicate { qualifier: id, .. } => Some(id.clone()),
            _ => None,
        });
        ids.collect()
    }

    /// The numbers of the qualifiers that rules of variables name.
    fn selecting(&self) -> impl Iterator<Item = usize> {
        let ids = self.parsed.qualifiers.keys().enumerate();
        ids.filter(|(_, id)| self.uses.selects(id)).map(|(number, _)| number)
    }
}
