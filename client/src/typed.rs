//! A variable with its type: values are deserialized once per version of the workspace, and shared from then on.

use std::any::type_name;
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use serde::de::DeserializeOwned;

use crate::ResolveContext;
use crate::current::Current;
use crate::error::{Error, Result};
use crate::workspace::{Content, Workspace};

/// A variable of a [`RefreshingWorkspace`](crate::RefreshingWorkspace) whose values are `T`s.
///
/// Keep it for as long as the workspace is followed. The first resolution after a change deserializes the values of the
/// variable; all others only choose one. Register the type with
/// [`RefreshOptions::expecting`](crate::RefreshOptions::expecting) too, so that no workspace with a value that is no `T`
/// is ever swapped in.
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
    id: String,
    values: ArcSwapOption<Values<T>>,
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

/// The values of one version.
struct Values<T> {
    /// Not held: a version that was replaced need not stay for a variable that nobody asks for.
    of: Weak<Content>,
    by_key: HashMap<Arc<str>, Arc<T>>,
}

impl<T: DeserializeOwned> Typed<T> {
    pub(crate) fn new(current: Arc<Current>, id: String) -> Self {
        Self { current, id, values: ArcSwapOption::empty() }
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
    /// When no workspace is loaded yet, the variable can't be resolved, or the value is no `T`.
    pub fn resolve(&self, context: &ResolveContext) -> Result<TypedResolution<T>> {
        self.resolve_in(&*self.current.workspace()?, context)
    }

    /// Resolves it from `view`.
    ///
    /// # Errors
    /// When the variable can't be resolved, or the value is no `T`.
    pub fn resolve_in(&self, view: &Workspace, context: &ResolveContext) -> Result<TypedResolution<T>> {
        let key = view.resolve(&self.id, context)?.value_key;
        let known = self.values.load();
        if let Some(values) = known.as_ref().filter(|values| values.are_of(view)) {
            return values.get(key).ok_or_else(|| self.misfit(view, key));
        }
        let values = Arc::new(Values::of(view, &self.id));
        let value = values.get(key).ok_or_else(|| self.misfit(view, key));
        self.values.store(Some(values));
        value
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

impl<T: DeserializeOwned> Values<T> {
    /// Those that are `T`s; the others are found missing when they are chosen.
    fn of(view: &Workspace, id: &str) -> Self {
        let values = view.values(id).into_iter().flatten();
        let typed = values.filter_map(|(key, value)| Some((key.into(), Arc::new(T::deserialize(value).ok()?))));
        Self { of: Arc::downgrade(view.content()), by_key: typed.collect() }
    }

    fn are_of(&self, view: &Workspace) -> bool {
        // As long as the weak reference is there, its address is nobody else's.
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(view.content()))
    }

    fn get(&self, key: &str) -> Option<TypedResolution<T>> {
        let (key, value) = self.by_key.get_key_value(key)?;
        Some(TypedResolution { value_key: Arc::clone(key), value: Arc::clone(value) })
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Typed<{}>({})", type_name::<T>(), self.id)
    }
}
