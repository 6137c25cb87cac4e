//! Resolves variables and qualifiers of a compiled workspace for a context. Resolving is pure, never waits, and usually
//! does not allocate.
//!
//! An error names what the context lacks, and holds no value:
//!
//! ```
//! use rototo_engine::resolve::ResolveError;
//! use rototo_engine::{Context, Tree, compile, parse};
//!
//! # let files = [
//! #     ("rototo-workspace.toml", "schema_version = 1"),
//! #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10, large = 100 }\n[resolve]\ndefault = \"small\"\nrule = [{ qualifier = \"pro\", value = \"large\" }]"),
//! #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
//! # ];
//! # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
//! let compiled = compile(&parse(tree))?;
//! let error = compiled.resolve_variable("limit", &Context::default()).unwrap_err();
//! assert_eq!(error.to_string(), "the context has no `plan`, which qualifier `pro` reads");
//! assert!(matches!(error, ResolveError::MissingAttribute { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod cause;
pub mod context;
pub(crate) mod evaluation;
pub(crate) mod facts;
pub(crate) mod memory;
pub(crate) mod outcome;
pub(crate) mod prepared;
pub mod trace;

use crate::compile::compiled::{Choice, Compiled, CompiledRule, CompiledVariable};
use crate::parse::violation::Violation;
use crate::resolve::context::Context;
use crate::resolve::evaluation::Evaluation;
use crate::resolve::facts::Facts;
pub use crate::resolve::outcome::{Resolution, ResolveError, ResolveOptions};
use crate::resolve::trace::{QualifierTrace, RuleTrace, Traces, Untraced, VariableTrace};

impl Compiled {
    /// Resolves a variable from `facts`: a [`Context`], a [`Prepared`](crate::Prepared) one, or an application's own
    /// [`Attributes`](crate::Attributes).
    ///
    /// ```
    /// # use rototo_engine::{Tree, parse};
    /// # let files = [
    /// #     ("rototo-workspace.toml", "schema_version = 1"),
    /// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
    /// # ];
    /// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
    /// # let parsed = parse(tree);
    /// use rototo_engine::{Context, compile};
    ///
    /// let compiled = compile(&parsed)?;
    /// let resolution = compiled.resolve_variable("limit", &Context::default())?;
    /// assert_eq!((resolution.value_key, resolution.value.as_i64()), ("small", Some(10)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such variable, or the context lacks an attribute that the decision needs.
    pub fn resolve_variable<F: Facts + ?Sized>(&self, id: &str, facts: &F) -> Result<Resolution<'_>, ResolveError> {
        self.resolve_variable_with(id, facts, ResolveOptions::default())
    }

    /// Resolves a variable as `options` say.
    ///
    /// # Errors
    /// As [`Compiled::resolve_variable`].
    pub fn resolve_variable_with<F: Facts + ?Sized>(
        &self,
        id: &str,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<Resolution<'_>, ResolveError> {
        let (variable, matched) = self.choose(id, facts, options)?;
        Ok(variable.choice(matched.map_or(variable.default, |rule| rule.choice)).resolution(&variable.id))
    }

    /// Returns the variable, and its first rule that matches.
    #[inline(always)]
    fn choose<F: Facts + ?Sized>(
        &self,
        id: &str,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<(&CompiledVariable, Option<&CompiledRule>), ResolveError> {
        let variable = self.variable(id).ok_or_else(|| ResolveError::UnknownVariable(id.to_owned()))?;
        self.check(facts, options)?;
        let mut memory = F::memory();
        let mut evaluation = Evaluation::new(self, facts.reader(self, &mut memory), Untraced);
        for rule in &variable.rules {
            if evaluation.qualifier(rule.qualifier)? {
                return Ok((variable, Some(rule)));
            }
        }
        Ok((variable, None))
    }

    /// Decides a qualifier.
    ///
    /// ```
    /// # let files = [
    /// #     ("rototo-workspace.toml", "schema_version = 1"),
    /// #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
    /// # ];
    /// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
    /// use rototo_engine::{Context, Tree, compile, parse};
    ///
    /// let compiled = compile(&parse(tree))?;
    /// let context = Context::from_json(serde_json::json!({ "plan": "pro" }))?;
    /// assert!(compiled.resolve_qualifier("pro", &context)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such qualifier, or the context lacks an attribute that the decision needs.
    pub fn resolve_qualifier<F: Facts + ?Sized>(&self, id: &str, facts: &F) -> Result<bool, ResolveError> {
        self.resolve_qualifier_with(id, facts, ResolveOptions::default())
    }

    /// Decides a qualifier as `options` say.
    ///
    /// # Errors
    /// As [`Compiled::resolve_qualifier`].
    pub fn resolve_qualifier_with<F: Facts + ?Sized>(
        &self,
        id: &str,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<bool, ResolveError> {
        let number = self.qualifier_number(id).ok_or_else(|| ResolveError::UnknownQualifier(id.to_owned()))?;
        self.check(facts, options)?;
        let mut memory = F::memory();
        Evaluation::new(self, facts.reader(self, &mut memory), Untraced).qualifier(number)
    }

    /// Resolves a variable and records every step.
    ///
    /// ```
    /// # use rototo_engine::{Tree, parse};
    /// # let files = [
    /// #     ("rototo-workspace.toml", "schema_version = 1"),
    /// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
    /// # ];
    /// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
    /// # let parsed = parse(tree);
    /// use rototo_engine::{Context, ResolveOptions, compile};
    ///
    /// let compiled = compile(&parsed)?;
    /// let trace = compiled.trace_variable("limit", &Context::default(), ResolveOptions::default())?;
    /// assert_eq!(trace.default_value, "small");
    /// assert!(trace.rules.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Compiled::resolve_variable`].
    pub fn trace_variable<F: Facts + ?Sized>(
        &self,
        id: &str,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<VariableTrace, ResolveError> {
        let variable = self.variable(id).ok_or_else(|| ResolveError::UnknownVariable(id.to_owned()))?;
        self.check(facts, options)?;
        let (mut traces, mut rules) = (Traces::default(), Vec::new());
        let mut memory = F::memory();
        let mut evaluation = Evaluation::new(self, facts.reader(self, &mut memory), &mut traces);
        let default = variable.choice(variable.default);
        let mut choice = default;
        for (index, rule) in variable.rules.iter().enumerate() {
            let matched = evaluation.qualifier(rule.qualifier)?;
            let qualifier = self.qualifier(rule.qualifier).map_or("", |qualifier| &qualifier.id);
            let chosen = variable.choice(rule.choice);
            rules.push(RuleTrace::new(index, qualifier, &chosen.key, matched));
            if matched {
                choice = chosen;
                break;
            }
        }
        Ok(VariableTrace::new(choice.resolution(&variable.id), &default.key, rules, traces))
    }

    /// Decides a qualifier and records every step.
    ///
    /// # Errors
    /// As [`Compiled::resolve_qualifier`].
    pub fn trace_qualifier<F: Facts + ?Sized>(
        &self,
        id: &str,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<QualifierTrace, ResolveError> {
        let unknown = || ResolveError::UnknownQualifier(id.to_owned());
        let number = self.qualifier_number(id).ok_or_else(unknown)?;
        self.check(facts, options)?;
        let (mut traces, mut memory) = (Traces::default(), F::memory());
        Evaluation::new(self, facts.reader(self, &mut memory), &mut traces).qualifier(number)?;
        traces.take(id).ok_or_else(unknown)
    }

    /// Checks the context against the workspace's context schema. Without a schema, every context is valid. Resolving does
    /// this unless [`ResolveOptions`] turn it off; a context remembers that it was valid.
    ///
    /// ```
    /// # let files = [
    /// #     ("rototo-workspace.toml", "schema_version = 1"),
    /// #     ("schemas/context.schema.json", "{ \"type\": \"object\", \"required\": [\"plan\"] }"),
    /// # ];
    /// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
    /// use rototo_engine::{Context, Tree, compile, parse};
    ///
    /// let compiled = compile(&parse(tree))?;
    /// assert!(compiled.validate_context(&Context::default()).is_err());
    /// assert_eq!(compiled.validate_context(&Context::from_json(serde_json::json!({ "plan": "pro" }))?), Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the context does not match. The error names every violation, without the offending value.
    pub fn validate_context(&self, context: &Context) -> Result<(), ResolveError> {
        let Some(schema) = self.context_schema() else { return Ok(()) };
        if context.has_matched(schema.identity) {
            return Ok(());
        }
        let Some(content) = schema.document.content() else { return Ok(()) };
        let violations = Violation::all(content, context.value());
        if violations.is_empty() {
            context.remember_match(schema.identity);
            return Ok(());
        }
        Err(ResolveError::ContextMismatch(violations.iter().map(Violation::masked).collect()))
    }

    fn check<F: Facts + ?Sized>(&self, facts: &F, options: ResolveOptions) -> Result<(), ResolveError> {
        if options.validate_context { facts.check(self) } else { Ok(()) }
    }
}

impl Choice {
    fn resolution<'a>(&'a self, id: &'a str) -> Resolution<'a> {
        Resolution::new(id, &self.key, &self.value)
    }
}
