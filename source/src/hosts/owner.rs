//! The owner for whom the current task reads, and the shares of owners in what all of them use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Semaphore;

/// The owner, if there is one.
pub(crate) type Owner = Option<Arc<str>>;

tokio::task_local! {
    /// The owner for whom the current task reads. It is no argument of each call, because layers of different owners
    /// share what is known of them.
    static OWNER: Owner;
}

/// Runs `work` for `owner`.
pub(crate) async fn charged_to<T>(owner: Owner, work: impl Future<Output = T>) -> T {
    OWNER.scope(owner, work).await
}

/// Returns the owner for whom the current task reads.
pub(crate) fn owner() -> Owner {
    OWNER.try_with(Clone::clone).ok().flatten()
}

/// A share for each owner, so that one who uses up its own leaves those of others.
#[derive(Debug)]
pub(crate) struct Shares {
    of_each: usize,
    by_owner: Mutex<HashMap<Owner, Weak<Semaphore>>>,
}

impl Shares {
    pub(crate) fn new(of_each: usize) -> Self {
        Self { of_each, by_owner: Mutex::default() }
    }

    /// Returns the share of an owner. It is forgotten when nobody has a part of it, or waits for one.
    pub(crate) fn of(&self, owner: Owner) -> Arc<Semaphore> {
        let mut owners = self.lock();
        owners.retain(|_, share| share.strong_count() > 0);
        if let Some(known) = owners.get(&owner).and_then(Weak::upgrade) {
            return known;
        }
        let share = Arc::new(Semaphore::new(self.of_each));
        owners.insert(owner, Arc::downgrade(&share));
        share
    }

    /// Returns the number of owners that are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Weak<Semaphore>>> {
        self.by_owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
