//! The application's own checks of a workspace, which each workspace passes before it is swapped in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::workspace::Workspace;

type WorkspaceCheck = Arc<dyn Fn(&Workspace) -> Result<(), String> + Send + Sync>;

/// The application's own checks, in the order in which it added them.
#[derive(Clone, Default)]
pub(crate) struct Checks(Vec<WorkspaceCheck>);

impl Checks {
    pub(crate) fn add(&mut self, check: impl Fn(&Workspace) -> Result<(), String> + Send + Sync + 'static) {
        self.0.push(Arc::new(check));
    }

    /// Runs the checks up to the first that refuses `workspace`, and returns its reason. A check that panics refuses it.
    pub(crate) fn pass(&self, workspace: &Workspace) -> Result<(), String> {
        self.0.iter().try_for_each(|check| {
            let checked = catch_unwind(AssertUnwindSafe(|| check(workspace)));
            // The message of the panic may hold a value of the workspace, so it is left out.
            checked.unwrap_or_else(|_| Err("a check panicked".to_owned()))
        })
    }
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} checks", self.0.len())
    }
}

/// Checks that each value of `variable` is a `T`.
pub(crate) fn fits<T>(workspace: &Workspace, variable: &str) -> Result<(), String>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    if workspace.values(variable).is_none() {
        return Err(format!("it has no variable `{variable}`"));
    }
    let type_name = std::any::type_name::<T>();
    match workspace.content().typed_values::<T>(variable).misfit() {
        Some((key, reason)) => Err(format!("value `{key}` of variable `{variable}` is no {type_name}: {reason}")),
        None => Ok(()),
    }
}
