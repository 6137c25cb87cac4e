//! The kind of rule that decided a variable, for programs that answer evaluations of others, such as OpenFeature's.

use serde::Serialize;

use crate::compile::compiled::{Compiled, CompiledRule, PredicateSubject};
use crate::compile::constraint::Constraint;
use crate::resolve::facts::Facts;
use crate::resolve::memory::Memory;
use crate::resolve::outcome::{Resolution, ResolveError, ResolveOptions};

/// The kind of rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The variable has no rules: it has one value for every context.
    NoRules,
    /// The variable has rules, and none matched.
    Default,
    /// A rule matched whose qualifier reads no bucket.
    Rule,
    /// A rule matched whose qualifier reads a bucket, itself or through another qualifier.
    Bucket,
}

impl Compiled {
    /// Resolves a variable as [`resolve_variable_with`](Compiled::resolve_variable_with) does, and returns the kind of rule
    /// that decided, too.
    ///
    /// ```
    /// # let files = [
    /// #     ("rototo-workspace.toml", "schema_version = 1"),
    /// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10, large = 100 }\n[resolve]\ndefault = \"small\"\nrule = [{ qualifier = \"half\", value = \"large\" }]"),
    /// #     ("qualifiers/half.toml", "schema_version = 1\npredicate = [{ attribute = \"account\", op = \"bucket\", salt = \"s\", range = [0, 10000] }]"),
    /// # ];
    /// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
    /// # let compiled = compile(&parse(tree))?;
    /// use rototo_engine::{Cause, Context, ResolveOptions, Tree, compile, parse};
    ///
    /// let context = Context::from_json(serde_json::json!({ "account": "acct-001" }))?;
    /// let (resolution, cause) = compiled.resolve_with_cause("limit", &context, ResolveOptions::default())?;
    /// assert_eq!((resolution.value_key, cause), ("large", Cause::Bucket));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Compiled::resolve_variable`].
    pub fn resolve_with_cause<F: Facts + ?Sized>(
        &self,
        id: &str,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<(Resolution<'_>, Cause), ResolveError> {
        let (variable, matched) = self.choose(id, facts, options)?;
        let cause = match matched {
            None if variable.rules.is_empty() => Cause::NoRules,
            None => Cause::Default,
            Some(CompiledRule { qualifier, .. }) if self.reads_bucket(*qualifier, &mut None) => Cause::Bucket,
            Some(_) => Cause::Rule,
        };
        let choice = variable.choice(matched.map_or(variable.default, |rule| rule.choice));
        Ok((choice.resolution(&variable.id), cause))
    }

    /// Returns whether a qualifier reads a bucket. Compiling has ensured that references form no long chain.
    fn reads_bucket(&self, qualifier: u32, seen: &mut Option<Memory<()>>) -> bool {
        let Some(qualifier) = self.qualifier(qualifier) else { return false };
        qualifier.predicates.iter().any(|predicate| match predicate.subject {
            PredicateSubject::Path(_) => matches!(predicate.constraint, Constraint::Bucket { .. }),
            PredicateSubject::Qualifier(other) => {
                let seen_before = seen.as_ref().and_then(|seen| seen.get(other)).is_some();
                if !seen_before {
                    seen.get_or_insert_with(Memory::new).insert(other, ());
                }
                !seen_before && self.reads_bucket(other, seen)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Context, Tree, compile, parse};

    fn workspace() -> Compiled {
        let equal = "predicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]";
        let bucket = "predicate = [{ attribute = \"account\", op = \"bucket\", salt = \"s\", range = [0, 10000] }]";
        let through = "predicate = [{ attribute = \"qualifier.pro\", op = \"eq\", value = true }, { attribute = \"qualifier.bucket\", op = \"eq\", value = true }]";
        let plain = "predicate = [{ attribute = \"qualifier.pro\", op = \"eq\", value = true }]";
        let rules = |qualifier: &str| format!("rule = [{{ qualifier = \"{qualifier}\", value = \"large\" }}]");
        let variable = |rules: &str| {
            format!(
                "schema_version = 1\ntype = \"int\"\nvalues = {{ small = 1, large = 2 }}\n[resolve]\ndefault = \"small\"\n{rules}"
            )
        };
        let mut tree = Tree::default();
        tree.insert("rototo-workspace.toml", *b"schema_version = 1");
        for (name, text) in [("pro", equal), ("bucket", bucket), ("through", through), ("plain", plain)] {
            tree.insert(format!("qualifiers/{name}.toml"), format!("schema_version = 1\n{text}").into_bytes());
            tree.insert(format!("variables/by-{name}.toml"), variable(&rules(name)).into_bytes());
        }
        tree.insert("variables/fixed.toml", variable("").into_bytes());
        compile(&parse(tree)).unwrap()
    }

    #[test]
    fn the_cause_names_the_kind_of_rule() {
        let workspace = workspace();
        let cause = |id: &str, plan: &str| {
            let context = Context::from_json(json!({ "plan": plan, "account": "a" })).unwrap();
            let (resolution, cause) = workspace.resolve_with_cause(id, &context, ResolveOptions::default()).unwrap();
            let plain = workspace.resolve_variable(id, &context).unwrap();
            assert_eq!(resolution, plain, "{id}");
            cause
        };
        assert_eq!(cause("fixed", "pro"), Cause::NoRules);
        assert_eq!(cause("by-pro", "free"), Cause::Default);
        assert_eq!(cause("by-pro", "pro"), Cause::Rule);
        assert_eq!(cause("by-plain", "pro"), Cause::Rule);
        assert_eq!(cause("by-bucket", "free"), Cause::Bucket);
        assert_eq!(cause("by-through", "pro"), Cause::Bucket);
        assert_eq!(cause("by-through", "free"), Cause::Default);
    }
}
