//! One loaded version of a workspace. It never changes, so everything that is resolved from it fits together.

pub(crate) mod changed_variables;
pub(crate) mod checks;
pub(crate) mod content;
pub(crate) mod custom_rules;
pub(crate) mod origin;
pub(crate) mod typed_values;

use std::fmt;
use std::sync::Arc;

use rototo_api::UpdatedAt;
use rototo_engine::{
    Compiled, Context as ResolveContext, Facts, Fingerprint, Lint, Prepared, QualifierTrace, Resolution,
    ResolveOptions, Summary, VariableTrace,
};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::workspace::changed_variables::changed_variables;
use crate::workspace::content::Content;
use crate::workspace::origin::{Origin, SourceFingerprint};

/// A loaded workspace.
///
/// ```
/// # async fn example() -> rototo::Result<()> {
/// use rototo::{ResolveContext, Workspace};
///
/// let workspace = Workspace::load("examples/degradation-config").await?;
/// let context = ResolveContext::from_json(serde_json::json!({"service": {"queue_pressure": "high"}}))?;
/// let policy = workspace.resolve("service-degradation-policy", &context)?;
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

/// A variable's value for one context, as a value of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariableResolution {
    /// The variable.
    pub id: String,
    /// The key of the value that was chosen.
    pub value_key: String,
    /// The value.
    pub value: serde_json::Value,
}

/// Whether a qualifier holds for one context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QualifierResolution {
    /// The qualifier.
    pub id: String,
    /// Whether it holds.
    pub value: bool,
}

impl Workspace {
    /// All diagnostics, located.
    pub async fn lint(&self) -> Result<Lint> {
        let content = self.content.clone();
        let lint = tokio::task::spawn_blocking(move || content.diagnostics());
        let lint = lint.await;
        lint.map_err(|_| Error::ShutDown(self.origin.source.clone()))
    }

    /// Resolves a variable, and borrows the value. It never waits, locks, or allocates.
    ///
    /// `facts` are a [`ResolveContext`], a [`prepared`](Self::prepare) one, or an application's own
    /// [`Attributes`](crate::Attributes).
    pub fn resolve<F: Facts + ?Sized>(&self, id: impl AsRef<str>, facts: &F) -> Result<Resolution<'_>> {
        self.resolve_with_options(id, facts, ResolveOptions::default())
    }

    /// Resolves a variable as `options` say, and borrows the value.
    pub fn resolve_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        facts: &F,
        options: ResolveOptions,
    ) -> Result<Resolution<'_>> {
        Ok(self.compiled()?.resolve_variable_with(id.as_ref(), facts, options)?)
    }

    /// Looks up in a context whatever this workspace may read, for many resolutions with the same facts. What is
    /// prepared answers for every version of the workspace, and is fast for those that read the same attributes.
    ///
    /// ```
    /// # async fn example(workspace: rototo::RefreshingWorkspace) -> rototo::Result<()> {
    /// let facts = serde_json::json!({"account": {"id": "acct-001"}});
    /// let mut session = workspace.current()?.prepare(rototo::ResolveContext::from_json(facts)?)?;
    /// // Whenever it is used: nothing to do, unless a version was swapped in that reads something else.
    /// let view = workspace.current()?;
    /// view.prepare_again(&mut session)?;
    /// let policy = view.resolve("service-degradation-policy", &session)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the workspace was loaded only to be looked at.
    pub fn prepare(&self, context: ResolveContext) -> Result<Prepared> {
        Ok(self.compiled()?.prepare(context))
    }

    /// Makes a prepared context as fast for this version as for the one that it was prepared for.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prepare_again(&self, prepared: &mut Prepared) -> Result<()> {
        self.compiled()?.prepare_again(prepared);
        Ok(())
    }

    /// Resolves a variable to a value of its own.
    pub async fn resolve_variable<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<VariableResolution> {
        self.resolve_variable_with_options(id, context, ResolveOptions::default()).await
    }

    /// Resolves a variable to a value of its own, as `options` say.
    pub async fn resolve_variable_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<VariableResolution> {
        self.resolve_with_options(id, context, options).map(VariableResolution::from)
    }

    /// Decides a qualifier.
    pub async fn resolve_qualifier<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
    ) -> Result<QualifierResolution> {
        self.resolve_qualifier_with_options(id, context, ResolveOptions::default()).await
    }

    /// Decides a qualifier as `options` say.
    pub async fn resolve_qualifier_with_options<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<QualifierResolution> {
        let value = self.compiled()?.resolve_qualifier_with(id.as_ref(), context, options)?;
        Ok(QualifierResolution { id: id.as_ref().to_owned(), value })
    }

    /// Resolves a variable, and tells every step.
    pub fn trace_variable<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<VariableTrace> {
        Ok(self.compiled()?.trace_variable(id.as_ref(), context, options)?)
    }

    /// Decides a qualifier, and tells every step.
    pub fn trace_qualifier<F: Facts + ?Sized>(
        &self,
        id: impl AsRef<str>,
        context: &F,
        options: ResolveOptions,
    ) -> Result<QualifierTrace> {
        Ok(self.compiled()?.trace_qualifier(id.as_ref(), context, options)?)
    }

    /// Checks a context against the workspace's context schema, if it has one.
    pub async fn validate_context(&self, context: &ResolveContext) -> Result<()> {
        Ok(self.compiled()?.validate_context(context)?)
    }

    /// The ids of all variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.content.compiled().into_iter().flat_map(Compiled::variables)
    }

    /// The ids of all qualifiers, in order.
    pub fn qualifiers(&self) -> impl Iterator<Item = &str> {
        self.content.compiled().into_iter().flat_map(Compiled::qualifiers)
    }

    /// All values that a variable may have, by key; `None` if there is no such variable.
    #[must_use]
    pub fn values(&self, variable: &str) -> Option<impl Iterator<Item = (&str, &serde_json::Value)>> {
        self.content.values(variable)
    }

    /// The variables that may resolve to something else here than in `before`, in order: those whose rules, qualifiers,
    /// or values differ, that are new, or that are gone.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        changed_variables(before.content.parsed(), self.content.parsed())
    }

    /// How much there is in it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.content.parsed().summary()
    }

    /// The name of its content: equal documents have one fingerprint wherever they came from.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.content.fingerprint()
    }

    /// The name that its source has for this version.
    #[must_use]
    pub fn source_fingerprint(&self) -> Option<&SourceFingerprint> {
        self.origin.fingerprint.as_ref()
    }

    /// Where it came from, without credentials.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.origin.source
    }

    /// The commit that it came from, as `<ref>@sha1:<commit>`, where that is known.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.origin.revision.as_deref()
    }

    /// The publish that it came with, where an operator published it.
    #[must_use]
    pub fn updated_at(&self) -> Option<UpdatedAt> {
        self.updated_at
    }

    /// Whether its source names one commit, which never changes.
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

    /// The same content as another publish.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn published(mut self, updated_at: UpdatedAt, revision: Option<String>) -> Self {
        self.updated_at = Some(updated_at);
        self.origin.revision = revision;
        self
    }

    fn compiled(&self) -> Result<&Compiled> {
        self.content.compiled().ok_or_else(|| Error::NotCompiled(self.origin.source.clone()))
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its content is whatever the workspace holds, which belongs in no log.
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
            value: resolution.value.clone(),
        }
    }
}
