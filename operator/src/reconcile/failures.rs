//! The failures of reconciles that were logged last, so that a failure that lasts is one line of the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::workspace_key::WorkspaceKey;

/// The last failure of each workspace whose last reconcile failed.
#[derive(Debug, Default)]
pub(crate) struct ReconcileFailures(Mutex<HashMap<WorkspaceKey, String>>);

impl ReconcileFailures {
    /// Notes a failure. Returns whether the reconcile before had not failed in the same way.
    pub(crate) fn failed(&self, key: &WorkspaceKey, error: String) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(key.clone(), error.clone()).is_none_or(|before| before != error)
    }

    /// Forgets the failure of a workspace whose reconcile succeeded, or that is gone.
    pub(crate) fn ended(&self, key: &WorkspaceKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_new_once_until_a_reconcile_ends_well() {
        let key = WorkspaceKey { namespace: "prod".to_owned(), name: "policy".to_owned() };
        let failures = ReconcileFailures::default();
        let mut new = vec![failures.failed(&key, "403".to_owned()), failures.failed(&key, "403".to_owned())];
        new.push(failures.failed(&key, "500".to_owned()));
        failures.ended(&key);
        new.push(failures.failed(&key, "500".to_owned()));
        assert_eq!(new, [true, false, true, true]);
    }
}
