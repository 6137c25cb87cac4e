//! The decisions of a workspace that its tests have reached: rules and defaults that were selected, and results of
//! qualifiers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::document::text::Lines;
use crate::parse::Parsed;
use crate::resolve::trace::{QualifierTrace, VariableTrace};

/// The decisions of a workspace, each with the number of cases that reached it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The variables by id.
    pub variables: BTreeMap<String, VariableCoverage>,
    /// The qualifiers by id.
    pub qualifiers: BTreeMap<String, QualifierCoverage>,
}

/// The decisions about a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariableCoverage {
    /// The path of the document.
    pub path: String,
    /// The number of cases in which no rule matched.
    pub by_default: usize,
    /// The rules, in order.
    pub rules: Vec<RuleCoverage>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCoverage {
    /// The line of the rule, from 1.
    pub line: usize,
    /// Its qualifier.
    pub qualifier: String,
    /// The number of cases in which it decided.
    pub decided: usize,
}

/// The results of a qualifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QualifierCoverage {
    /// The path of the document.
    pub path: String,
    /// The number of cases in which it was true.
    pub holds: usize,
    /// The number of cases in which it was false.
    pub fails: usize,
}

impl Coverage {
    /// Returns the decisions of a workspace, none of them reached.
    pub(super) fn of(parsed: &Parsed) -> Self {
        let mut coverage = Self::default();
        for (id, document) in parsed.variables.iter() {
            let bytes = parsed.tree().get(&document.path).map_or(&[][..], |document| &document.bytes);
            let lines = Lines::of(bytes);
            let rules = document.content().map(|variable| variable.rules()).unwrap_or_default();
            let rules = rules.iter().map(|rule| RuleCoverage {
                line: lines.range(rule.span).start.line,
                qualifier: rule.qualifier.value().map(ToString::to_string).unwrap_or_default(),
                decided: 0,
            });
            let (path, rules) = (document.path.to_string(), rules.collect());
            coverage.variables.insert(id.to_string(), VariableCoverage { path, by_default: 0, rules });
        }
        for (id, document) in parsed.qualifiers.iter() {
            let qualifier = QualifierCoverage { path: document.path.to_string(), holds: 0, fails: 0 };
            coverage.qualifiers.insert(id.to_string(), qualifier);
        }
        coverage
    }

    pub(super) fn note_variable(&mut self, trace: &VariableTrace) {
        self.note_qualifiers(&trace.qualifier_traces);
        let Some(variable) = self.variables.get_mut(&trace.resolution.id) else { return };
        match trace.rules.iter().find(|rule| rule.matched) {
            Some(rule) => variable.rules.iter_mut().skip(rule.index).take(1).for_each(|rule| rule.decided += 1),
            None => variable.by_default += 1,
        }
    }

    pub(super) fn note_qualifiers(&mut self, traces: &[QualifierTrace]) {
        for trace in traces {
            let Some(qualifier) = self.qualifiers.get_mut(&trace.id) else { continue };
            match trace.value {
                true => qualifier.holds += 1,
                false => qualifier.fails += 1,
            }
        }
    }

    /// Returns the number of rules and defaults that decided a case, and the number of all.
    #[must_use]
    pub fn decisions(&self) -> (usize, usize) {
        let counts = self.variables.values().flat_map(|variable| {
            std::iter::once(variable.by_default).chain(variable.rules.iter().map(|rule| rule.decided))
        });
        reached(counts)
    }

    /// Returns the number of results of qualifiers that a case had, and the number of all: each can be true and false.
    #[must_use]
    pub fn results(&self) -> (usize, usize) {
        reached(self.qualifiers.values().flat_map(|qualifier| [qualifier.holds, qualifier.fails]))
    }
}

fn reached(counts: impl Iterator<Item = usize>) -> (usize, usize) {
    counts.fold((0, 0), |(reached, all), count| (reached + usize::from(count > 0), all + 1))
}
