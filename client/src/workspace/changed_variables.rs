//! Finds the variables that may resolve differently in one version of a workspace than in another.
//!
//! The comparison covers everything that takes part in a resolution, and nothing else: a comment, a description, or a
//! value that no rule selects is no change.

use std::collections::BTreeSet;
use std::sync::Arc;

use rototo_engine::Parsed;
use rototo_engine::parse::{Field, Predicate, Qualifier, Type, Variable};
use serde_json::Value;

/// Returns the ids of the variables that may resolve differently `after` than `before`, in order.
pub(crate) fn changed_variables(before: &Parsed, after: &Parsed) -> Vec<String> {
    let versions = Versions { before, after, qualifiers: changed_qualifiers(before, after) };
    let ids: BTreeSet<&str> = before.variables.keys().chain(after.variables.keys()).map(|id| &**id).collect();
    ids.into_iter().filter(|id| versions.differ_at(id)).map(str::to_owned).collect()
}

/// Returns the qualifiers that may decide differently, by themselves or by a qualifier that they read.
fn changed_qualifiers<'a>(before: &'a Parsed, after: &'a Parsed) -> BTreeSet<&'a str> {
    let same = |id: &str| {
        let (one, other) = (before.qualifiers.get(id), after.qualifiers.get(id));
        one.zip(other).is_some_and(|(one, other)| {
            one.is_same(other)
                || one.content().zip(other.content()).is_some_and(|(one, other)| decides_alike(one, other))
        })
    };
    let ids = before.qualifiers.keys().chain(after.qualifiers.keys()).map(|id| &**id);
    let mut changed: BTreeSet<&str> = ids.filter(|id| !same(id)).collect();
    loop {
        let readers = after.qualifiers.iter().filter(|(id, qualifier)| {
            let reads = |predicate: &Predicate| predicate.qualifier_reference().is_some_and(|id| changed.contains(id));
            !changed.contains(&***id)
                && qualifier.content().is_some_and(|content| content.predicates().iter().any(reads))
        });
        let readers: Vec<&str> = readers.map(|(id, _)| &**id).collect();
        if readers.is_empty() {
            return changed;
        }
        changed.extend(readers);
    }
}

fn decides_alike(one: &Qualifier, other: &Qualifier) -> bool {
    let same = |(one, other): (&Predicate, &Predicate)| {
        one.attribute.value() == other.attribute.value()
            && one.op.value() == other.op.value()
            && one.salt.value() == other.salt.value()
            && one.value.as_ref().map(|spanned| &spanned.value) == other.value.as_ref().map(|spanned| &spanned.value)
            && one.range.as_ref().map(|spanned| spanned.value) == other.range.as_ref().map(|spanned| spanned.value)
    };
    let (one, other) = (one.predicates(), other.predicates());
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// Two versions, and the qualifiers in which they differ.
struct Versions<'a> {
    before: &'a Parsed,
    after: &'a Parsed,
    qualifiers: BTreeSet<&'a str>,
}

impl Versions<'_> {
    fn differ_at(&self, id: &str) -> bool {
        let Some((before, after)) = content(self.before, id).zip(content(self.after, id)) else { return true };
        let choices = choices(after);
        let chosen_otherwise = |(qualifier, key): &(Option<&str>, &str)| {
            qualifier.is_some_and(|id| self.qualifiers.contains(id))
                || value(self.before, before, key) != value(self.after, after, key)
        };
        before.type_name.value() != after.type_name.value()
            || crate::workspace::changed_variables::choices(before) != choices
            || choices.iter().any(chosen_otherwise)
    }
}

fn content<'a>(parsed: &'a Parsed, id: &str) -> Option<&'a Variable> {
    parsed.variables.get(id)?.content()
}

/// Returns the keys that a variable may choose, each with its qualifier, in order. The default is last and has none.
fn choices(variable: &Variable) -> Vec<(Option<&str>, &str)> {
    let rules = variable.rules().iter().map(|rule| (Some(text(&rule.qualifier)), text(&rule.value)));
    rules.chain(variable.default().map(|default| (None, text(default)))).collect()
}

fn text(field: &Field<Arc<str>>) -> &str {
    field.value().map_or("", |text| text)
}

fn value<'a>(parsed: &'a Parsed, variable: &'a Variable, key: &str) -> Option<&'a Value> {
    match variable.value_type() {
        Some(Type::Resource(resource)) => Some(&*parsed.objects.get(resource)?.get(key)?.content()?.value),
        _ => variable.inline_values().find(|(name, _)| &***name == key).map(|(_, named)| &*named.value),
    }
}

#[cfg(test)]
mod tests {
    use rototo_engine::{Tree, parse};

    use super::*;

    const VARIABLE: &str = "schema_version = 1\ntype = \"int\"\n[values]\nfew = 1\nmany = 9\nspare = 5\n\
                            [resolve]\ndefault = \"few\"\n[[resolve.rule]]\nqualifier = \"busy\"\nvalue = \"many\"\n";
    const RESOURCE: &str = "schema_version = 1\ntype = \"resource:policy\"\n[resolve]\ndefault = \"calm\"\n";
    const BUSY: &str = "schema_version = 1\n[[predicate]]\nattribute = \"qualifier.loud\"\nop = \"eq\"\nvalue = true\n";
    const LOUD: &str = "schema_version = 1\n[[predicate]]\nattribute = \"noise\"\nop = \"gt\"\nvalue = 3\n";

    fn documents() -> Vec<(&'static str, String)> {
        vec![
            ("rototo-workspace.toml", "schema_version = 1\n".to_owned()),
            ("variables/limit.toml", VARIABLE.to_owned()),
            ("variables/policy.toml", RESOURCE.to_owned()),
            ("resources/policy.toml", "schema_version = 1\nschema = \"../schemas/policy.schema.json\"\n".to_owned()),
            ("resources/policy-objects/calm.toml", "mode = 1\n".to_owned()),
            ("resources/policy-objects/wild.toml", "mode = 2\n".to_owned()),
            ("qualifiers/busy.toml", BUSY.to_owned()),
            ("qualifiers/loud.toml", LOUD.to_owned()),
        ]
    }

    fn parsed(documents: Vec<(&str, String)>) -> Parsed {
        let tree: Tree = documents.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect();
        parse(tree)
    }

    #[track_caller]
    fn check(path: &'static str, from: &str, to: &str, expected: &[&str]) {
        let mut changed = documents();
        for (name, text) in &mut changed {
            if *name == path {
                assert!(text.contains(from), "{from}");
                *text = text.replacen(from, to, 1);
            }
        }
        assert_eq!(changed_variables(&parsed(documents()), &parsed(changed)), expected, "{path}: {from} → {to}");
    }

    #[test]
    fn a_variable_changes_with_its_rules_its_qualifiers_and_its_values() {
        check("variables/limit.toml", "default = \"few\"", "default = \"many\"", &["limit"]);
        check("variables/limit.toml", "many = 9", "many = 8", &["limit"]);
        check("qualifiers/busy.toml", "value = true", "value = false", &["limit"]);
        check("qualifiers/loud.toml", "value = 3", "value = 4", &["limit"]);
        check("resources/policy-objects/calm.toml", "mode = 1", "mode = 3", &["policy"]);
    }

    #[test]
    fn text_that_takes_no_part_in_a_resolution_is_no_change() {
        check("variables/limit.toml", "schema_version", "# why\nschema_version", &[]);
        check("variables/limit.toml", "type =", "description = \"The limit\"\ntype =", &[]);
        check("variables/limit.toml", "spare = 5", "spare = 6", &[]);
        check("resources/policy-objects/wild.toml", "mode = 2", "mode = 3", &[]);
        check("qualifiers/loud.toml", "attribute", "# why\nattribute", &[]);
    }

    #[test]
    fn a_new_variable_and_a_removed_one_are_changes() {
        let less = || documents().into_iter().filter(|(path, _)| *path != "variables/limit.toml").collect();
        assert_eq!(changed_variables(&parsed(documents()), &parsed(less())), ["limit"]);
        assert_eq!(changed_variables(&parsed(less()), &parsed(documents())), ["limit"]);
    }
}
