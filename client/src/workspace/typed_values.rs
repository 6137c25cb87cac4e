//! The values of one version of a workspace in the application's own types.
//!
//! Each variable is deserialized once per type, for whichever caller comes first, and all callers share the result. No
//! value is deserialized while the lock of the map is held.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::workspace::misfit;

type Untyped = Arc<dyn Any + Send + Sync>;
type Place<T> = Arc<OnceLock<Arc<TypedVariable<T>>>>;

/// The values of variables, by type and variable. The first caller fills a place, and the others wait for it.
#[derive(Default)]
pub(crate) struct TypedValues(Mutex<HashMap<(TypeId, String), Untyped>>);

/// The values of one variable as `T`s, in the order of their keys, or the reasons why they are none.
pub(crate) struct TypedVariable<T>(Vec<(Arc<str>, TypedValue<T>)>);

type TypedValue<T> = Result<Arc<T>, String>;

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
    /// Deserializes values. A value that is not a `T` keeps its key and has the reason instead.
    pub(crate) fn read<'a>(values: impl Iterator<Item = (&'a str, &'a Value)>) -> Self {
        // Serde's own message may quote the value.
        let read = |value| T::deserialize(value).map(Arc::new).map_err(|_| misfit::explain::<T>(value));
        let mut values: Vec<(Arc<str>, _)> = values.map(|(key, value)| (Arc::from(key), read(value))).collect();
        values.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(values)
    }
}

impl<T> TypedVariable<T> {
    /// Returns the value of a key.
    ///
    /// # Errors
    ///
    /// The reason why it is not a `T`.
    pub(crate) fn get(&self, key: &str) -> Result<(&Arc<str>, &Arc<T>), &str> {
        let place = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok();
        let (key, value) = place.and_then(|place| self.0.get(place)).ok_or("there is no such value")?;
        Ok((key, value.as_ref().map_err(String::as_str)?))
    }

    /// Returns the key of the first value that is not a `T`, and the reason.
    pub(crate) fn misfit(&self) -> Option<(&str, &str)> {
        self.0.iter().find_map(|(key, value)| Some((&**key, value.as_ref().err()?.as_str())))
    }
}
