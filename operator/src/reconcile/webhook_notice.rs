//! Remembers which people were told that calls of their git host are refused, because the Secret of a webhook can't be
//! used. Polls go on meanwhile, so no condition says it.

use std::time::Duration;

use rototo_engine::Digest;
use tokio::time::Instant;

use crate::load::remembered::Remembered;
use crate::workspace_key::WorkspaceKey;

/// The time after which the same is told again. The API server forgets an Event after an hour.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);
/// The number of workspaces for which it is known what was told. Calls of others tell nothing until there is room.
const REMEMBERED: usize = 4_096;

/// The notices of the last hour.
pub(crate) struct WebhookNotices(Remembered<()>);

impl Default for WebhookNotices {
    fn default() -> Self {
        Self(Remembered::new(REMEMBERED, usize::MAX))
    }
}

impl WebhookNotices {
    /// Returns whether this is told now: it was not within the last hour, and will be known.
    pub(super) fn is_new(&self, key: &WorkspaceKey, why: &str, now: Instant) -> bool {
        let notice = Digest::of(format!("{}/{} {why}", key.namespace, key.name).as_bytes());
        if self.0.get(&notice, now).is_some() {
            return false;
        }
        self.0.put(notice, (), 0, now + AGAIN_AFTER);
        self.0.get(&notice, now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_reported_once_an_hour() {
        let notices = WebhookNotices::default();
        let key = |name: &str| WorkspaceKey { namespace: "prod".to_owned(), name: name.to_owned() };
        let is_new = |name: &str, why: &str| notices.is_new(&key(name), why, Instant::now());
        assert!(is_new("a", "gone") && is_new("b", "gone") && is_new("a", "forbidden"));
        assert!(!is_new("a", "gone") && !is_new("b", "gone"));
        tokio::time::advance(AGAIN_AFTER).await;
        assert!(is_new("a", "gone"));
    }
}
