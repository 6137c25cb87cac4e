//! One loaded version of a workspace.
//!
//! A [`Workspace`] never changes, so everything that is resolved from it fits together. This module loads nothing:
//! `reading` and `kubernetes` build workspaces from trees.

pub(crate) mod checks;
pub(crate) mod content;
pub(crate) mod custom_rules;
mod misfit;
pub(crate) mod origin;
pub(crate) mod typed_values;

use std::fmt;
use std::sync::Arc;

use rototo_api::UpdatedAt;
use rototo_engine::testing::TestReport;
use rototo_engine::{
    Cause, Compiled, Context as ResolveContext, Facts, Fingerprint, Lint, Prepared, QualifierTrace, Resolution,
    ResolveOptions, Summary, VariableTrace,
};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::workspace::content::Content;
use crate::workspace::origin::{Origin, SourceFingerprint};

/// One loaded version of a workspace.
///
/// A workspace never changes. Cloning it is cheap, and any number of threads may resolve from it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rototo::Result<()> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// use rototo::{ResolveContext, Workspace};
///
/// let workspace = Workspace::load(directory).await?;
/// let facts = serde_json::json!({"service": {"queue_pressure": "high"}, "account": {"id": "acct-001"}});
/// let context = ResolveContext::from_json(facts)?;
/// let policy = workspace.resolve("service-degradation-policy", &context)?;
/// assert_eq!(policy.value_key, "severe");
/// println!("{} from {}", policy.value_key, workspace.fingerprint());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Workspace {
    content: Arc<Content>,
    origin: Origin,
    updated_at: Option<UpdatedAt>,
}

/// The owned value of a variable for one context.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// # let workspace = rototo::Workspace::load(directory).await?;
/// # let facts = serde_json::json!({"service": {"queue_pressure": "high"}, "account": {"id": "acct-001"}});
/// # let context = rototo::ResolveContext::from_json(facts)?;
/// use serde::Deserialize;
/// # #[derive(Deserialize)]
/// # struct DegradationPolicy { max_concurrency: u64 }
///
/// let resolution = workspace.resolve_variable("service-degradation-policy", &context).await?;
/// assert_eq!(resolution.value["max_concurrency"], 10);
/// let policy = DegradationPolicy::deserialize(&*resolution.value)?;
/// assert_eq!(policy.max_concurrency, 10);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariableResolution {
    /// The id of the variable.
    pub id: String,
    /// The key of the chosen value.
    pub value_key: String,
    /// The value, which is shared with the workspace: it is not copied, and outlives the workspace.
    pub value: Arc<serde_json::Value>,
}

/// The result of a qualifier for one context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QualifierResolution {
    /// The id of the qualifier.
    pub id: String,
    /// `true` if the qualifier holds.
    pub value: bool,
}

impl Workspace {
    /// Returns all diagnostics, located. Lint runs unless it ran when the workspace was loaded.
    ///
    /// # Errors
    ///
    /// [`Error::ShutDown`] if the Tokio runtime ends before lint does.
    pub async fn lint(&self) -> Result<Lint> {
        let content = self.content.clone();
        let lint = tokio::task::spawn_blocking(move || content.diagnostics());
        let lint = lint.await;
        lint.map_err(|_| Error::ShutDown(self.origin.source.clone()))
    }

    /// Resolves a variable, and borrows the value. Never waits, locks, or allocates.
    ///
    /// `facts` are a [`ResolveContext`], a context that [`prepare`](Self::prepare) returned, or an application's own
    /// [`Attributes`](crate::Attributes).
    ///
    /// # Errors
    ///
    /// [`Error::Resolve`] if there is no such variable, an attribute is missing, or the context does not match the
    /// schema; [`Error::NotCompiled`] if the workspace was loaded for inspection only.
    pub fn resolve<F: Facts + ?Sized>(&self, id: impl AsRef<str>, facts: &F) -> Result<Resolution<'_>> {
        self.resolve_with_options(id, facts, ResolveOptions::default())
    }

    /// Resolves a variable with `options`, and borrows the value.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub fn resolve_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<Resolution<'_>> {
        Ok(self.compiled()?.resolve_variable_with(id.as_ref(), facts, options)?)
    }

    /// Resolves a variable as [`resolve_with_options`](Self::resolve_with_options) does, and returns the kind of rule that
    /// decided, too.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub fn resolve_with_cause<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<(Resolution<'_>, Cause)> {
        Ok(self.compiled()?.resolve_with_cause(id.as_ref(), facts, options)?)
    }

    /// Reads the attributes that this workspace may use from a context, for many resolutions with the same facts.
    /// Prepared facts give the right result for every version of the workspace, and are fast for versions that read the
    /// same attributes.
    ///
    /// ```
    /// # async fn example(workspace: rototo::RefreshingWorkspace) -> rototo::Result<()> {
    /// let facts = serde_json::json!({"account": {"id": "acct-001"}});
    /// let mut session = workspace.current()?.prepare(rototo::ResolveContext::from_json(facts)?)?;
    /// // At each use. There is nothing to do, unless a version was swapped in that reads other attributes.
    /// let view = workspace.current()?;
    /// view.prepare_again(&mut session)?;
    /// let policy = view.resolve("service-degradation-policy", &session)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotCompiled`] if the workspace was loaded for inspection only.
    pub fn prepare(&self, context: ResolveContext) -> Result<Prepared> {
        Ok(self.compiled()?.prepare(context))
    }

    /// Makes a prepared context as fast for this version as for the one that it was prepared for.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn prepare_again(&self, prepared: &mut Prepared) -> Result<()> {
        self.compiled()?.prepare_again(prepared);
        Ok(())
    }

    /// Resolves a variable to an owned value. Completes at once.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub async fn resolve_variable<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<VariableResolution> {
        self.resolve_variable_with_options(id, context, ResolveOptions::default()).await
    }

    /// Resolves a variable to an owned value, with `options`. Completes at once.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub async fn resolve_variable_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<VariableResolution> {
        self.resolve_with_options(id, context, options).map(VariableResolution::from)
    }

    /// Decides a qualifier. Completes at once.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub async fn resolve_qualifier<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<QualifierResolution> {
        self.resolve_qualifier_with_options(id, context, ResolveOptions::default()).await
    }

    /// Decides a qualifier, with `options`. Completes at once.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub async fn resolve_qualifier_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<QualifierResolution> {
        let value = self.compiled()?.resolve_qualifier_with(id.as_ref(), context, options)?;
        Ok(QualifierResolution { id: id.as_ref().to_owned(), value })
    }

    /// Resolves a variable, and returns every step of the resolution.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> rototo::Result<()> {
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
    /// # let workspace = rototo::Workspace::load(directory).await?;
    /// # let facts = serde_json::json!({"service": {"queue_pressure": "high"}, "account": {"id": "acct-001"}});
    /// # let context = rototo::ResolveContext::from_json(facts)?;
    /// let trace = workspace.trace_variable("service-degradation-policy", &context, Default::default())?;
    /// let rule = trace.rules.iter().find(|rule| rule.matched);
    /// println!("{} by {:?}", trace.resolution.value_key, rule.map(|rule| &rule.qualifier));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub fn trace_variable<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<VariableTrace> {
        Ok(self.compiled()?.trace_variable(id.as_ref(), context, options)?)
    }

    /// Decides a qualifier, and returns every step of the decision.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    pub fn trace_qualifier<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<QualifierTrace> {
        Ok(self.compiled()?.trace_qualifier(id.as_ref(), context, options)?)
    }

    /// Checks a context against the workspace's context schema, if it has one. Completes at once.
    ///
    /// # Errors
    ///
    /// [`Error::Resolve`] with all mismatches, and [`Error::NotCompiled`] if the workspace was loaded for inspection
    /// only.
    pub async fn validate_context(&self, context: &ResolveContext) -> Result<()> {
        self.validate_facts(context)
    }

    /// Checks a context against the workspace's context schema, as [`validate_context`](Self::validate_context) does, and
    /// never waits.
    ///
    /// # Errors
    ///
    /// As [`validate_context`](Self::validate_context).
    pub fn validate_facts(&self, context: &ResolveContext) -> Result<()> {
        Ok(self.compiled()?.validate_context(context)?)
    }

    /// Returns the ids of all variables, in order; none for a workspace that was loaded for inspection only.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.content.compiled().into_iter().flat_map(Compiled::variables)
    }

    /// Returns the ids of all qualifiers, in order; none for a workspace that was loaded for inspection only.
    pub fn qualifiers(&self) -> impl Iterator<Item = &str> {
        self.content.compiled().into_iter().flat_map(Compiled::qualifiers)
    }

    /// Returns all values that a variable may have, by key; `None` if there is no such variable.
    #[must_use]
    pub fn values(&self, variable: &str) -> Option<impl Iterator<Item = (&str, &serde_json::Value)>> {
        self.content.values(variable)
    }

    /// Returns the ids of the variables that may resolve to something else here than in `before`, in order: variables
    /// whose rules, qualifiers, or values differ, new variables, and removed ones. If a workspace was loaded for inspection
    /// only and can't be resolved from, all variables.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        self.content.changed_since(&before.content)
    }

    /// Returns the numbers of variables, qualifiers, and other parts.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self.content.tree())
    }

    /// Returns the fingerprint of the content. Equal documents have an equal fingerprint wherever they came from.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.content.fingerprint()
    }

    /// Returns the name that the source has for this version.
    #[must_use]
    pub fn source_fingerprint(&self) -> Option<&SourceFingerprint> {
        self.origin.fingerprint.as_ref()
    }

    /// Returns the source, without credentials.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.origin.source
    }

    /// Returns the commit of the content, as `<ref>@sha1:<commit>`, where it is known.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.origin.revision.as_deref()
    }

    /// Returns the time of the publish, where an operator published the content.
    #[must_use]
    pub fn updated_at(&self) -> Option<UpdatedAt> {
        self.updated_at
    }

    /// Returns whether the source names one commit, which never changes.
    #[must_use]
    pub fn immutable_source(&self) -> bool {
        self.origin.immutable
    }

    pub(crate) fn new(content: Arc<Content>, origin: Origin) -> Self {
        Self { content, origin, updated_at: None }
    }

    pub(crate) fn content(&self) -> &Arc<Content> {
        &self.content
    }

    /// Gives the same content the names of another publish.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn published(mut self, updated_at: UpdatedAt, revision: Option<String>) -> Self {
        self.updated_at = Some(updated_at);
        self.origin.revision = revision;
        self
    }

    /// Runs tests, given by path and bytes.
    pub(crate) fn run_tests(&self, files: &[(Arc<str>, Arc<[u8]>)]) -> Result<TestReport> {
        let parsed = rototo_engine::parse(self.content.tree().clone());
        let files = files.iter().map(|(path, bytes)| (path, bytes));
        Ok(rototo_engine::testing::run(&parsed, self.compiled()?, files, || true))
    }

    fn compiled(&self) -> Result<&Compiled> {
        self.content.compiled().ok_or_else(|| Error::NotCompiled(self.origin.source.clone()))
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content is left out: values of the workspace belong in no log.
        let Origin { source, revision, .. } = &self.origin;
        let fingerprint = self.fingerprint();
        f.debug_struct("Workspace")
            .field("source", source)
            .field("fingerprint", &fingerprint)
            .field("revision", revision)
            .finish()
    }
}

impl From<Resolution<'_>> for VariableResolution {
    fn from(resolution: Resolution<'_>) -> Self {
        Self {
            id: resolution.id.to_owned(),
            value_key: resolution.value_key.to_owned(),
            value: resolution.shared_value(),
        }
    }
}
