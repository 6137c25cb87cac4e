//! The owner for whom the current task reads.

use std::sync::Arc;

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
