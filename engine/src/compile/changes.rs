//! Finds the variables that may resolve differently in one version of a workspace than in another.
//!
//! The comparison covers everything that takes part in a resolution, and nothing else: a comment, a description, or a
//! value that no rule selects is no change.

use std::sync::Arc;

use crate::compile::compiled::{Compiled, CompiledPredicate, CompiledQualifier, CompiledVariable, PredicateSubject};

impl Compiled {
    /// Returns the ids of the variables that may resolve to something else here than in `before`, in order: variables
    /// whose rules, qualifiers, or values differ, new variables, and removed ones.
    ///
    /// ```
    /// # let files = [
    /// #     ("rototo-workspace.toml", "schema_version = 1"),
    /// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
    /// #     ("variables/other.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
    /// # ];
    /// # let mut tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
    /// use rototo_engine::{Tree, compile, parse};
    ///
    /// let before = compile(&parse(tree.clone()))?;
    /// tree.remove("variables/other.toml");
    /// let after = compile(&parse(tree))?;
    /// assert_eq!(after.changed_since(&before), ["other"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        let versions = Versions { before, after: self, qualifiers: changed_qualifiers(before, self) };
        let changed = |variable: &&Arc<CompiledVariable>| versions.differ_at(variable);
        let is_gone = |variable: &&Arc<CompiledVariable>| self.variable(&variable.id).is_none();
        let gone = before.variables.apart_from(&self.variables).filter(is_gone);
        let mut ids: Vec<String> = gone.map(|variable| variable.id.to_string()).collect();
        if versions.qualifiers.contains(&true) {
            ids.extend(self.variables.iter().filter(changed).map(|variable| variable.id.to_string()));
        } else {
            let apart = self.variables.apart_from(&before.variables);
            ids.extend(apart.filter(changed).map(|variable| variable.id.to_string()));
        }
        ids.sort_unstable();
        ids
    }
}

/// Returns for each qualifier of `after` whether it may decide differently, by itself or by a qualifier that it reads.
fn changed_qualifiers(before: &Compiled, after: &Compiled) -> Vec<bool> {
    let qualifiers = after.compiled_qualifiers();
    if Arc::ptr_eq(&before.qualifiers, &after.qualifiers) {
        return vec![false; qualifiers.len()];
    }
    let differs = |qualifier: &Arc<CompiledQualifier>| {
        let old = before.qualifier_number(&qualifier.id).and_then(|number| before.qualifier(number));
        old.is_none_or(|old| !std::ptr::eq(old, &**qualifier) && !decide_alike((before, old), (after, qualifier)))
    };
    let mut changed: Vec<bool> = qualifiers.iter().map(differs).collect();
    loop {
        let reads_changed = |qualifier: &CompiledQualifier| {
            qualifier.predicates.iter().any(|predicate| match predicate.subject {
                PredicateSubject::Qualifier(number) => is_set(&changed, number),
                PredicateSubject::Path(_) => false,
            })
        };
        let next: Vec<bool> =
            qualifiers.iter().zip(&changed).map(|(qualifier, changed)| *changed || reads_changed(qualifier)).collect();
        if next == changed {
            return changed;
        }
        changed = next;
    }
}

/// Returns whether two qualifiers decide alike, as far as the qualifiers that they read do.
fn decide_alike(one: (&Compiled, &CompiledQualifier), other: (&Compiled, &CompiledQualifier)) -> bool {
    let ((one_in, one), (other_in, other)) = (one, other);
    let alike = |(one, other): (&CompiledPredicate, &CompiledPredicate)| {
        one.negated == other.negated
            && one.constraint == other.constraint
            && one_in.subject_name(one.subject) == other_in.subject_name(other.subject)
    };
    one.predicates.len() == other.predicates.len() && one.predicates.iter().zip(&other.predicates).all(alike)
}

fn is_set(flags: &[bool], number: u32) -> bool {
    usize::try_from(number).is_ok_and(|number| flags.get(number) == Some(&true))
}

/// Two versions, and for each qualifier of the second whether it changed.
struct Versions<'a> {
    before: &'a Compiled,
    after: &'a Compiled,
    qualifiers: Vec<bool>,
}

impl Versions<'_> {
    fn differ_at(&self, variable: &CompiledVariable) -> bool {
        let Some(before) = self.before.variable(&variable.id) else { return true };
        variable.rules.iter().any(|rule| is_set(&self.qualifiers, rule.qualifier))
            || !std::ptr::eq(before, variable) && !self.choose_alike(before, variable)
    }

    /// Returns whether two variables have the same rules and the same values for them.
    fn choose_alike(&self, before: &CompiledVariable, after: &CompiledVariable) -> bool {
        let names_of = |compiled: &Compiled, number| compiled.qualifier(number).map(|qualifier| qualifier.id.clone());
        before.value_type == after.value_type
            && before.choice(before.default) == after.choice(after.default)
            && before.rules.len() == after.rules.len()
            && before.rules.iter().zip(&after.rules).all(|(one, other)| {
                before.choice(one.choice) == after.choice(other.choice)
                    && names_of(self.before, one.qualifier) == names_of(self.after, other.qualifier)
            })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tree, compile, compile_tree_after, parse};

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

    fn tree(documents: &[(&str, String)]) -> Tree {
        documents.iter().map(|(path, text)| ((*path).to_owned(), text.clone().into_bytes())).collect()
    }

    /// Compares the versions as they are read at once, and as one follows the other.
    #[track_caller]
    fn check_versions(before: &[(&str, String)], after: &[(&str, String)], expected: &[&str], what: &str) {
        let [first, apart] = [before, after].map(|documents| compile(&parse(tree(documents))).unwrap());
        let following = compile_tree_after(&first, tree(after).after(first.tree())).unwrap();
        assert_eq!(apart.changed_since(&first), expected, "{what}");
        assert_eq!(following.changed_since(&first), expected, "{what}");
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
        check_versions(&documents(), &changed, expected, &format!("{path}: {from} → {to}"));
    }

    #[test]
    fn a_variable_changes_with_its_rules_its_qualifiers_and_its_values() {
        check("variables/limit.toml", "default = \"few\"", "default = \"many\"", &["limit"]);
        check("variables/limit.toml", "many = 9", "many = 8", &["limit"]);
        check("variables/limit.toml", "type = \"int\"", "type = \"number\"", &["limit"]);
        check("qualifiers/busy.toml", "value = true", "value = false", &["limit"]);
        check("qualifiers/loud.toml", "value = 3", "value = 4", &["limit"]);
        check("qualifiers/loud.toml", "noise", "noises", &["limit"]);
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
        let all = documents();
        let less: Vec<_> = all.iter().filter(|(path, _)| *path != "variables/limit.toml").cloned().collect();
        check_versions(&all, &less, &["limit"], "removed");
        check_versions(&less, &all, &["limit"], "added");
    }

    #[test]
    fn a_removed_qualifier_changes_no_variable_that_does_not_read_it() {
        let mut more = documents();
        more.push(("qualifiers/aside.toml", LOUD.to_owned()));
        check_versions(&more, &documents(), &[], "removed");
        check_versions(&documents(), &more, &[], "added");
    }
}
