//! The catalog of lint rules: the built-in ones, and the custom ones of a workspace.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rototo_engine::Severity;
use rototo_engine::lint::{Custom, CustomRule, LintRule};
use serde::Serialize;

use crate::workspace::selection::authority;

/// A rule as the catalog lists it.
#[derive(Clone, Serialize)]
pub(crate) struct CatalogRule {
    pub(crate) rule: Cow<'static, str>,
    pub(crate) severity: Severity,
    /// The subject of the rule; custom rules have the subject that they register for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entity: Option<&'static str>,
    pub(crate) title: Cow<'static, str>,
    pub(crate) help: Cow<'static, str>,
}

/// Returns the built-in and the custom rules, in order of their names, as reports on a workspace spell them: only there
/// is a kind of two words written as one.
pub(crate) fn catalog_in_reports(own: &Custom) -> Vec<CatalogRule> {
    let in_one_word = |entity| if entity == "resource_object" { "resourceobject" } else { entity };
    let built_in = catalog().into_iter();
    let built_in = built_in.map(|rule| CatalogRule { entity: rule.entity.map(in_one_word), ..rule });
    let mut rules: Vec<_> = built_in.chain(own.rules.values().map(CatalogRule::own)).collect();
    rules.sort_by(|one, other| one.rule.cmp(&other.rule));
    rules
}

/// Groups rules by the authorities that `selected` names.
pub(crate) fn by_authority(
    rules: Vec<CatalogRule>,
    selected: impl Fn(&str) -> bool,
) -> BTreeMap<String, Vec<CatalogRule>> {
    let mut authorities: BTreeMap<String, Vec<CatalogRule>> = BTreeMap::new();
    for rule in rules.into_iter().filter(|rule| selected(authority(&rule.rule))) {
        authorities.entry(authority(&rule.rule).to_owned()).or_default().push(rule);
    }
    authorities
}

/// Returns the built-in rules, in order of their names.
pub(crate) fn catalog() -> Vec<CatalogRule> {
    let mut rules: Vec<_> = rototo_engine::lint::rules().iter().map(|rule| CatalogRule::of(rule)).collect();
    rules.sort_by(|one, other| one.rule.cmp(&other.rule));
    rules
}

impl CatalogRule {
    fn of(rule: &LintRule) -> Self {
        let LintRule { id, severity, entity, title, help, .. } = rule;
        let (rule, title, help) = (Cow::Borrowed(*id), Cow::Borrowed(*title), Cow::Borrowed(*help));
        Self { rule, severity: *severity, entity: Some(entity), title, help }
    }

    fn own(rule: &CustomRule) -> Self {
        let CustomRule { id, severity, title, help } = rule.clone();
        Self { rule: id.into(), severity, entity: None, title: title.into(), help: help.into() }
    }
}
