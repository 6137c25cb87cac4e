//! Variables and rules that have expired. Lint itself knows no day, so that it finds the same in the same documents.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Entity, FindingRule, Location, Severity, Stage};
use crate::document::text::{Lines, Span, shortened};
use crate::lint::findings::cut;
use crate::parse::{Ownership, Parsed, Variable};
use crate::value::date::Date;

/// The rule of what has [`expired`].
pub const EXPIRED: FindingRule = FindingRule {
    id: "rototo/expired",
    severity: Severity::Warning,
    stage: Stage::Policy,
    title: "a variable or a rule has expired",
    help: "remove it, or give it a later date",
};

/// A variable or a rule with a date: its entity, its date with the place, and its owner.
type DatedPart<'a> = (Entity, Date, Span, Option<&'a Arc<str>>);

/// The variables and rules that have expired on that day, in the order of documents and places: those whose `expires` is
/// that day or an earlier one. A rule without an `owner` has that of its variable. There are at most as many as lint has
/// warnings.
///
/// ```
/// use rototo_engine::{Tree, lint, parse};
///
/// let text = "schema_version = 1\nowner = \"team-web\"\nexpires = \"2026-12-31\"\ntype = \"int\"\nvalues = { a = 1 }\nresolve = { default = \"a\" }";
/// let mut tree = Tree::default();
/// tree.insert("variables/limit.toml", text.as_bytes());
/// let parsed = parse(tree);
/// assert!(lint::expired(&parsed, "2026-12-30".parse()?).is_empty());
/// let expired = lint::expired(&parsed, "2026-12-31".parse()?);
/// assert_eq!(expired[0].to_string(), "variables/limit.toml:3:11: variable `limit` expired on 2026-12-31; its owner is `team-web` [rototo/expired]");
/// # Ok::<(), rototo_engine::InvalidDate>(())
/// ```
#[must_use]
pub fn expired(parsed: &Parsed, on: Date) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (path, id, variable) in variables(parsed) {
        let expired: Vec<_> = dated(id, variable).filter(|(_, date, ..)| *date <= on).collect();
        // Counting the lines costs more than everything else.
        let Some(document) = parsed.tree().get(path).filter(|_| !expired.is_empty()) else { continue };
        let lines = Lines::of(&document.bytes);
        found.extend(expired.into_iter().map(|part| diagnostic(path, &lines, part)));
    }
    cut(&mut found);
    found
}

/// The dates of all variables and rules that expire, the earliest first.
#[must_use]
pub fn expiry_dates(parsed: &Parsed) -> Vec<Date> {
    let parts = variables(parsed).flat_map(|(_, id, variable)| dated(id, variable));
    let mut dates: Vec<Date> = parts.map(|(_, date, ..)| date).collect();
    dates.sort_unstable();
    dates
}

/// The readable variables.
fn variables(parsed: &Parsed) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &Variable)> {
    parsed.variables.iter().filter_map(|(id, document)| Some((&document.path, id, document.content()?)))
}

fn dated<'a>(id: &'a str, variable: &'a Variable) -> impl Iterator<Item = DatedPart<'a>> {
    let owner = variable.ownership.owner.value();
    let part = move |entity: Entity, ownership: &'a Ownership| {
        let expires = ownership.expires.present()?;
        Some((entity, expires.value, expires.span, ownership.owner.value().or(owner)))
    };
    let rules = variable.rules().iter().enumerate();
    let of_rules = rules.filter_map(move |(index, rule)| part(Entity::rule(id, index), &rule.ownership));
    part(Entity::variable(id), &variable.ownership).into_iter().chain(of_rules)
}

fn diagnostic(path: &str, lines: &Lines<'_>, (entity, date, span, owner): DatedPart<'_>) -> Diagnostic {
    let subject = match &entity {
        Entity::Rule { variable, index } => format!("rule {index} of variable `{variable}`"),
        Entity::Variable { id } => format!("variable `{id}`"),
        _ => String::new(),
    };
    let owner = owner.map_or_else(|| "it has no owner".to_owned(), |owner| format!("its owner is `{owner}`"));
    let message = shortened(&format!("{subject} expired on {date}; {owner}")).into_owned();
    let location = Location { path: path.to_owned(), range: Some(lines.range(span)) };
    Diagnostic { key: Some("expires".to_owned()), ..EXPIRED.finding(entity, message, location) }
}
