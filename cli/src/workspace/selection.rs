//! The selection of parts of a workspace by `--variable`, `--lint-rule`, and their like.

use std::collections::BTreeSet;

use anyhow::anyhow;
use clap::Args;
use rototo_engine::lint::Custom;
use rototo_engine::{Diagnostic, Entity, Parsed};

/// The authority of the built-in rules.
pub(crate) const BUILT_IN: &str = "rototo";

/// None, some, or all of one kind.
#[derive(Clone, Copy)]
pub(crate) enum Selection<'a> {
    None,
    Some(&'a [String]),
    All,
}

impl<'a> Selection<'a> {
    pub(crate) fn of(ids: &'a [String], all: bool) -> Self {
        match (all, ids.is_empty()) {
            (true, _) => Self::All,
            (false, true) => Self::None,
            (false, false) => Self::Some(ids),
        }
    }

    /// Returns whether it selects `id`.
    pub(crate) fn has(self, id: &str) -> bool {
        match self {
            Self::None => false,
            Self::Some(ids) => ids.iter().any(|selected| selected == id),
            Self::All => true,
        }
    }

    pub(crate) fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns the selected ones of `known`, in its order. An unknown id is the error.
    pub(crate) fn among<'known>(self, known: &[&'known str]) -> Result<Vec<&'known str>, &'a str> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::All => Ok(known.to_vec()),
            Self::Some(ids) => match ids.iter().find(|id| !known.contains(&id.as_str())) {
                Some(unknown) => Err(unknown),
                None => Ok(known.iter().copied().filter(|id| ids.iter().any(|given| given == id)).collect()),
            },
        }
    }
}

/// Returns the error of an unknown id, with the most similar known one.
pub(crate) fn unknown(kind: &str, id: &str, known: &[&str]) -> anyhow::Error {
    let similar = known.iter().map(|known| (strsim::jaro_winkler(id, known), known));
    let nearest =
        similar.max_by(|(one, _), (other, _)| one.total_cmp(other)).filter(|(similarity, _)| *similarity > 0.8);
    match (nearest, known) {
        (Some((_, nearest)), _) => anyhow!("there is no {kind} `{id}`: did you mean `{nearest}`?"),
        (None, []) => anyhow!("there is no {kind} `{id}`: there are none at all"),
        (None, known) if known.len() <= 10 => anyhow!("there is no {kind} `{id}`: there is {}", known.join(", ")),
        (None, known) => anyhow!("there is no {kind} `{id}` among the {}", known.len()),
    }
}

/// The selected parts of `lint`, `show`, and `inspect`; everything, if nothing is selected. The kinds add up.
#[derive(Debug, Args)]
pub(crate) struct Selectors {
    /// Only what concerns this variable; may be given several times
    #[arg(long, value_name = "ID")]
    variable: Vec<String>,
    /// Only what concerns variables
    #[arg(long)]
    variables: bool,
    /// Only what concerns this resource and its objects; may be given several times
    #[arg(long, value_name = "ID")]
    resource: Vec<String>,
    /// Only what concerns resources and their objects
    #[arg(long)]
    resources: bool,
    /// Only what concerns this qualifier; may be given several times
    #[arg(long, value_name = "ID")]
    qualifier: Vec<String>,
    /// Only what concerns qualifiers
    #[arg(long)]
    qualifiers: bool,
    /// Only what this rule finds; may be given several times
    #[arg(long, value_name = "AUTHORITY/RULE")]
    lint_rule: Vec<String>,
    /// Everything that rules find
    #[arg(long)]
    lint_rules: bool,
    /// Only what the rules of this authority find, such as `rototo`; may be given several times
    #[arg(long, value_name = "AUTHORITY")]
    lint_authority: Vec<String>,
    /// Everything that the rules of authorities find
    #[arg(long)]
    lint_authorities: bool,
    /// Only what concerns lint/ID.lua; may be given several times
    #[arg(long, value_name = "ID")]
    linter: Vec<String>,
    /// Only what concerns the workspace's own lint/*.lua
    #[arg(long)]
    linters: bool,
}

impl Selectors {
    /// Checks that everything selected by name exists; `own` are the custom rules.
    pub(crate) fn check(&self, parsed: &Parsed, own: &Custom) -> anyhow::Result<()> {
        let paths: Vec<&str> = parsed.tree().iter().map(|(path, _)| &**path).collect();
        for (kind, folder, ending, ids) in [
            ("variable", "variables/", ".toml", &self.variable),
            ("resource", "resources/", ".toml", &self.resource),
            ("qualifier", "qualifiers/", ".toml", &self.qualifier),
            ("linter", "lint/", ".lua", &self.linter),
        ] {
            let known: Vec<&str> = paths.iter().filter_map(|path| id_in(path, folder, ending)).collect();
            if let Some(id) = ids.iter().find(|id| !known.contains(&id.as_str())) {
                return Err(unknown(kind, id, &known));
            }
        }
        self.check_catalog(own)
    }

    /// Checks that each rule and authority selected by name is built in, or a custom one.
    pub(crate) fn check_catalog(&self, own: &Custom) -> anyhow::Result<()> {
        let built_in = rototo_engine::lint::rules().iter().map(|rule| rule.id);
        let rules: Vec<&str> = built_in.chain(own.rules.keys().map(String::as_str)).collect();
        if let Some(rule) = self.lint_rule.iter().find(|rule| !rules.contains(&rule.as_str())) {
            return Err(unknown("lint rule", rule, &rules));
        }
        let authorities: BTreeSet<&str> = rules.iter().map(|rule| authority(rule)).collect();
        match self.lint_authority.iter().find(|name| !authorities.contains(name.as_str())) {
            Some(name) => Err(unknown("lint authority", name, &authorities.into_iter().collect::<Vec<_>>())),
            None => Ok(()),
        }
    }

    pub(crate) fn variables(&self) -> Selection<'_> {
        Selection::of(&self.variable, self.variables)
    }

    pub(crate) fn qualifiers(&self) -> Selection<'_> {
        Selection::of(&self.qualifier, self.qualifiers)
    }

    pub(crate) fn resources(&self) -> Selection<'_> {
        Selection::of(&self.resource, self.resources)
    }

    pub(crate) fn lint_rules(&self) -> Selection<'_> {
        Selection::of(&self.lint_rule, self.lint_rules)
    }

    pub(crate) fn lint_authorities(&self) -> Selection<'_> {
        Selection::of(&self.lint_authority, self.lint_authorities)
    }

    pub(crate) fn linters(&self) -> Selection<'_> {
        Selection::of(&self.linter, self.linters)
    }

    /// Returns the selections of the parts of a workspace. The others are of rules.
    fn of_workspace(&self) -> [Selection<'_>; 4] {
        [self.variables(), self.qualifiers(), self.resources(), self.linters()]
    }

    /// Returns whether only rules are selected, which are the same for any workspace.
    pub(crate) fn is_catalog_alone(&self) -> bool {
        !self.is_everything() && self.of_workspace().into_iter().all(Selection::is_none)
    }

    /// Returns whether this diagnostic is selected.
    pub(crate) fn includes(&self, diagnostic: &Diagnostic) -> bool {
        let rule = &*diagnostic.rule;
        let is_about = match subject(diagnostic) {
            DiagnosticSubject::Variable(id) => self.variables().has(id),
            DiagnosticSubject::Qualifier(id) => self.qualifiers().has(id),
            DiagnosticSubject::Resource(id) => self.resources().has(id),
            DiagnosticSubject::Linter(id) => self.linters().has(id),
            DiagnosticSubject::Other => false,
        };
        self.is_everything()
            || is_about
            || failed_linter(diagnostic).is_some_and(|id| self.linters().has(id))
            || self.linters && authority(rule) != BUILT_IN
            || self.lint_rules().has(rule)
            || self.lint_authorities().has(authority(rule))
    }

    pub(crate) fn concerns_variable(diagnostic: &Diagnostic, id: &str) -> bool {
        matches!(subject(diagnostic), DiagnosticSubject::Variable(found) if found == id)
    }

    pub(crate) fn concerns_qualifier(diagnostic: &Diagnostic, id: &str) -> bool {
        matches!(subject(diagnostic), DiagnosticSubject::Qualifier(found) if found == id)
    }

    pub(crate) fn concerns_resource(diagnostic: &Diagnostic, id: &str) -> bool {
        matches!(subject(diagnostic), DiagnosticSubject::Resource(found) if found == id)
    }

    /// Returns whether nothing is selected, which means everything.
    pub(crate) fn is_everything(&self) -> bool {
        let of_rules = [self.lint_rules(), self.lint_authorities()];
        self.of_workspace().into_iter().chain(of_rules).all(Selection::is_none)
    }
}

/// Returns the id in a path: `limit` of `variables/limit.toml`.
pub(crate) fn id_in<'a>(path: &'a str, folder: &str, ending: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_suffix(ending).filter(|id| !id.contains('/'))
}

enum DiagnosticSubject<'a> {
    Variable(&'a str),
    Qualifier(&'a str),
    Resource(&'a str),
    Linter(&'a str),
    Other,
}

/// Returns the subject of a diagnostic: its entity, or else the document of its location.
fn subject(diagnostic: &Diagnostic) -> DiagnosticSubject<'_> {
    match &diagnostic.entity {
        Entity::Variable { id } | Entity::Value { variable: id, .. } | Entity::Rule { variable: id, .. } => {
            DiagnosticSubject::Variable(id)
        }
        Entity::Qualifier { id } | Entity::Predicate { qualifier: id, .. } => DiagnosticSubject::Qualifier(id),
        Entity::Resource { id } | Entity::ResourceObject { resource: id, .. } => DiagnosticSubject::Resource(id),
        Entity::CustomLint { .. } | Entity::Workspace | Entity::Manifest | Entity::Schema { .. } => {
            of_path(&diagnostic.location.path)
        }
    }
}

/// Returns the linter whose rule failed, which is shown at the entity that the rule was asked about.
fn failed_linter(diagnostic: &Diagnostic) -> Option<&str> {
    let related = diagnostic.related.iter().filter(|_| diagnostic.rule == "rototo/custom-lint-failed");
    related.filter_map(|related| id_in(&related.location.path, "lint/", ".lua")).next()
}

fn of_path(path: &str) -> DiagnosticSubject<'_> {
    let Some((folder, file)) = path.rsplit_once('/') else { return DiagnosticSubject::Other };
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    match (folder, folder.strip_prefix("resources/").and_then(|folder| folder.strip_suffix("-objects"))) {
        (_, Some(resource)) => DiagnosticSubject::Resource(resource),
        ("variables", _) => DiagnosticSubject::Variable(stem),
        ("qualifiers", _) => DiagnosticSubject::Qualifier(stem),
        ("resources", _) => DiagnosticSubject::Resource(stem),
        ("lint", _) => DiagnosticSubject::Linter(stem),
        _ => DiagnosticSubject::Other,
    }
}

/// Returns the authority of a rule: `team` of `team/limit-too-high`.
pub(crate) fn authority(rule: &str) -> &str {
    rule.split_once('/').map_or(rule, |(authority, _)| authority)
}
