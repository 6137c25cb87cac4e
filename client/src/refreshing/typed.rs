//! A variable with its type: values are deserialized once per version of the workspace, and shared from then on.

use std::any::type_name;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use rototo_engine::Facts;
use serde::de::DeserializeOwned;

use crate::current::Current;
use crate::error::{Error, Result};
use crate::refreshing::follow_guard::FollowGuard;
use crate::workspace::Workspace;
use crate::workspace::content::Content;
use crate::workspace::typed_values::TypedVariable;

/// A variable of a [`RefreshingWorkspace`](crate::RefreshingWorkspace) whose values are `T`s.
///
/// The workspace is followed for as long as it or one of its variables is held. Each version of the workspace has the values of the variable
/// deserialized once, however many handles and threads ask; a resolution chooses one and shares it. Register the type with
/// [`RefreshOptions::expecting`](crate::RefreshOptions::expecting) too, so that no workspace with a value that is no `T`
/// is ever swapped in, and nobody has to wait for it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rototo::Result<()> {
/// use rototo::{RefreshOptions, RefreshingWorkspace, ResolveContext};
///
/// #[derive(serde::Deserialize)]
/// struct DegradationPolicy {
///     max_concurrency: u64,
/// }
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// let options = RefreshOptions::new().expecting::<DegradationPolicy>("service-degradation-policy");
/// let workspace = RefreshingWorkspace::load(directory, options).await?;
/// let policy = workspace.variable::<DegradationPolicy>("service-degradation-policy");
///
/// let facts = serde_json::json!({"service": {"queue_pressure": "high"}, "account": {"id": "acct-001"}});
/// let context = ResolveContext::from_json(facts)?;
/// let resolution = policy.resolve(&context)?;
/// assert_eq!((&*resolution.value_key, resolution.max_concurrency), ("severe", 10));
/// # Ok(())
/// # }
/// ```
pub struct Typed<T> {
    current: Arc<Current>,
    _held: Arc<FollowGuard>,
    id: String,
    last: ArcSwapOption<TypedVersion<T>>,
}

/// A value of a [`Typed`] variable, which it dereferences to, and its key.
#[derive(Debug)]
pub struct TypedResolution<T> {
    /// The key of the value that was chosen.
    pub value_key: Arc<str>,
    /// The value, shared by all who resolved to it.
    pub value: Arc<T>,
}

impl<T> Deref for TypedResolution<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The values of the version that was resolved from last.
struct TypedVersion<T> {
    /// Not held: a version that was replaced need not stay for a variable that nobody asks for.
    of: Weak<Content>,
    values: Arc<TypedVariable<T>>,
}

impl<T: DeserializeOwned + Send + Sync + 'static> Typed<T> {
    pub(crate) fn new(current: Arc<Current>, held: Arc<FollowGuard>, id: String) -> Self {
        Self { current, _held: held, id, last: ArcSwapOption::empty() }
    }

    /// The variable.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Resolves it from the workspace as it is now. For several variables in one request, hold one
    /// [`current`](crate::RefreshingWorkspace::current), and see [`resolve_in`](Self::resolve_in).
    ///
    /// # Errors
    /// When no workspace is loaded yet or it was shut down, the variable can't be resolved, or the value is no `T`.
    pub fn resolve<F: Facts + ?Sized>(&self, facts: &F) -> Result<TypedResolution<T>> {
        self.resolve_in(&*self.current.workspace()?, facts)
    }

    /// Resolves it from `view`.
    ///
    /// # Errors
    /// When the variable can't be resolved, or the value is no `T`.
    pub fn resolve_in<F: Facts + ?Sized>(&self, view: &Workspace, facts: &F) -> Result<TypedResolution<T>> {
        let key = view.resolve(&self.id, facts)?.value_key;
        let last = self.last.load();
        if let Some(version) = last.as_ref().filter(|version| version.is_of(view)) {
            return self.choose(&version.values, view, key);
        }
        let values = view.content().typed_values(&self.id);
        let resolution = self.choose(&values, view, key);
        self.last.store(Some(Arc::new(TypedVersion { of: Arc::downgrade(view.content()), values })));
        resolution
    }

    fn choose(&self, values: &TypedVariable<T>, view: &Workspace, key: &str) -> Result<TypedResolution<T>> {
        let (value_key, value) = values.get(key).ok_or_else(|| self.misfit(view, key))?;
        Ok(TypedResolution { value_key: Arc::clone(value_key), value: Arc::clone(value) })
    }

    fn misfit(&self, view: &Workspace, key: &str) -> Error {
        Error::Misfit {
            source_name: view.source().to_owned(),
            variable: self.id.clone(),
            value_key: key.to_owned(),
            type_name: type_name::<T>(),
        }
    }
}

impl<T> TypedVersion<T> {
    fn is_of(&self, view: &Workspace) -> bool {
        // As long as the weak reference is there, its address is nobody else's.
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(view.content()))
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Typed<{}>({})", type_name::<T>(), self.id)
    }
}
