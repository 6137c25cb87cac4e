//! A variable with its type. Its values are deserialized once per version of the workspace, and shared from then on.

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
/// The workspace is followed for as long as it or one of its variables is held. The values of the variable are
/// deserialized once per version of the workspace, for all handles and threads together; a resolution chooses one and
/// shares it. Register the type with [`RefreshOptions::expecting`](crate::RefreshOptions::expecting) too: then no
/// workspace with a value that is not a `T` is ever swapped in, and values are deserialized before the swap instead of
/// in the first request.
///
/// It may be shared between threads and tasks.
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
    _guard: Arc<FollowGuard>,
    id: String,
    last: ArcSwapOption<TypedVersion<T>>,
}

/// A value of a [`Typed`] variable, which it dereferences to, and its key.
#[derive(Debug)]
pub struct TypedResolution<T> {
    /// The key of the chosen value.
    pub value_key: Arc<str>,
    /// The value, which all resolutions to it share.
    pub value: Arc<T>,
}

impl<T> Deref for TypedResolution<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The values of the version that the last resolution used.
struct TypedVersion<T> {
    /// A weak reference, so that an unused variable does not keep a version that was replaced.
    of: Weak<Content>,
    values: Arc<TypedVariable<T>>,
}

impl<T: DeserializeOwned + Send + Sync + 'static> Typed<T> {
    pub(crate) fn new(current: Arc<Current>, guard: Arc<FollowGuard>, id: String) -> Self {
        Self { current, _guard: guard, id, last: ArcSwapOption::empty() }
    }

    /// Returns the id of the variable.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Resolves it from the workspace as it is now. For several variables in one request, hold one view from
    /// [`current`](crate::RefreshingWorkspace::current), and use [`resolve_in`](Self::resolve_in).
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`], [`Error::ShutDown`], and the errors of [`resolve_in`](Self::resolve_in).
    pub fn resolve<F: Facts + ?Sized>(&self, facts: &F) -> Result<TypedResolution<T>> {
        self.resolve_in(&*self.current.workspace()?, facts)
    }

    /// Resolves it from `view`.
    ///
    /// # Errors
    ///
    /// [`Error::Resolve`] if the variable has no result for these facts, and [`Error::Misfit`] if the chosen value is
    /// not a `T`.
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
        let (value_key, value) = values.get(key).map_err(|reason| self.misfit(view, key, reason))?;
        Ok(TypedResolution { value_key: Arc::clone(value_key), value: Arc::clone(value) })
    }

    fn misfit(&self, view: &Workspace, key: &str, reason: &str) -> Error {
        Error::Misfit {
            source_name: view.source().to_owned(),
            variable: self.id.clone(),
            value_key: key.to_owned(),
            type_name: type_name::<T>(),
            reason: reason.to_owned(),
        }
    }
}

impl<T> TypedVersion<T> {
    fn is_of(&self, view: &Workspace) -> bool {
        // While the weak reference exists, no other content has its address.
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(view.content()))
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Typed<{}>({})", type_name::<T>(), self.id)
    }
}
