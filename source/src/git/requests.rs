//! Counts the requests to git hosts, by kind and outcome, without names of hosts or repositories.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The number of requests of each kind with each outcome.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<BTreeMap<GitRequest, u64>>);

/// A kind of request with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitRequest {
    /// `ls-remote` or `fetch`.
    pub kind: &'static str,
    /// `success`, or the code of a [`crate::GitFault`].
    pub outcome: &'static str,
}

impl Requests {
    pub(crate) fn count(&self, kind: &'static str, outcome: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(GitRequest { kind, outcome }).or_default() += 1;
    }

    pub(crate) fn all(&self) -> Vec<(GitRequest, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(request, count)| (*request, *count)).collect()
    }
}
