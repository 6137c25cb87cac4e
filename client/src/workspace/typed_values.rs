//! The values of one version of a workspace in the application's own types: each is deserialized once, whoever asks, and
//! shared from then on.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;

use crate::workspace::Workspace;

type Untyped = Arc<dyn Any + Send + Sync>;

/// The values of variables by type and variable; each is filled by who asks first, and the others wait for it.
#[derive(Default)]
pub(crate) struct TypedValues(Mutex<HashMap<(TypeId, String), Untyped>>);

/// The values of one variable as `T`s, in the order of their keys.
pub(crate) struct TypedVariable<T>(Vec<(Arc<str>, Option<Arc<T>>)>);

impl TypedValues {
    /// The values of a variable of `view`, to which these belong; none if it has no such variable.
    pub(crate) fn of<T: DeserializeOwned + Send + Sync + 'static>(view: &Workspace, id: &str) -> Arc<TypedVariable<T>> {
        let values = view.content().typed.place::<T>(id);
        Arc::clone(values.get_or_init(|| Arc::new(TypedVariable::read(view, id))))
    }

    /// Where they are, or will be. Nothing is deserialized while the lock is held.
    fn place<T: Send + Sync + 'static>(&self, id: &str) -> Arc<OnceLock<Arc<TypedVariable<T>>>> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry((TypeId::of::<T>(), id.to_owned()));
        let place = Arc::clone(place.or_insert_with(|| Arc::new(OnceLock::<Arc<TypedVariable<T>>>::new())));
        // It stands under its type, so it is of that type.
        place.downcast().unwrap_or_default()
    }
}

impl<T: DeserializeOwned> TypedVariable<T> {
    fn read(view: &Workspace, id: &str) -> Self {
        let values = view.values(id).into_iter().flatten();
        let mut values: Vec<(Arc<str>, _)> =
            values.map(|(key, value)| (Arc::from(key), T::deserialize(value).ok().map(Arc::new))).collect();
        values.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(values)
    }
}

impl<T> TypedVariable<T> {
    /// The value of that key, if it is a `T`.
    pub(crate) fn get(&self, key: &str) -> Option<(&Arc<str>, &Arc<T>)> {
        let place = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        let (key, value) = self.0.get(place)?;
        Some((key, value.as_ref()?))
    }

    /// The key of the first value that is no `T`.
    pub(crate) fn misfit(&self) -> Option<&str> {
        self.0.iter().find(|(_, value)| value.is_none()).map(|(key, _)| &**key)
    }
}
