//! The values of one version of a workspace in the application's own types.
//!
//! Each variable is deserialized once per type, for whichever caller comes first, and all callers share the result. No
//! value is deserialized while the lock of the map is held.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;

type Untyped = Arc<dyn Any + Send + Sync>;
type Place<T> = Arc<OnceLock<Arc<TypedVariable<T>>>>;

/// The values of variables, by type and variable. The first caller fills a place, and the others wait for it.
#[derive(Default)]
pub(crate) struct TypedValues(Mutex<HashMap<(TypeId, String), Untyped>>);

/// The values of one variable as `T`s, in the order of their keys.
pub(crate) struct TypedVariable<T>(Vec<(Arc<str>, Option<Arc<T>>)>);

impl TypedValues {
    /// Returns the place of a variable's values as `T`s, which may still be empty.
    pub(crate) fn place<T: Send + Sync + 'static>(&self, id: &str) -> Place<T> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry((TypeId::of::<T>(), id.to_owned()));
        let place = Arc::clone(place.or_insert_with(|| Arc::new(OnceLock::<Arc<TypedVariable<T>>>::new())));
        // The key holds the type, so the downcast never fails.
        place.downcast().unwrap_or_default()
    }
}

impl<T: DeserializeOwned> TypedVariable<T> {
    /// Deserializes values. A value that is not a `T` keeps its key and has no `T`.
    pub(crate) fn read<'a>(values: impl Iterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut values: Vec<(Arc<str>, _)> =
            values.map(|(key, value)| (Arc::from(key), T::deserialize(value).ok().map(Arc::new))).collect();
        values.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(values)
    }
}

impl<T> TypedVariable<T> {
    /// Returns the value of a key, if it is a `T`.
    pub(crate) fn get(&self, key: &str) -> Option<(&Arc<str>, &Arc<T>)> {
        let place = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        let (key, value) = self.0.get(place)?;
        Some((key, value.as_ref()?))
    }

    /// Returns the key of the first value that is not a `T`.
    pub(crate) fn misfit(&self) -> Option<&str> {
        self.0.iter().find(|(_, value)| value.is_none()).map(|(key, _)| &**key)
    }
}
