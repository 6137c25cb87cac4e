//! A publish: content, and the time that names it.

use rototo_api::UpdatedAt;
use rototo_api::marker::NextPublish;
use rototo_engine::Fingerprint;

/// Content under a name. Publishing A, then B, then A again makes three publishes of two contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publish {
    /// The content's fingerprint.
    pub fingerprint: Fingerprint,
    /// The name: a time. The operator gives each publish of a workspace a later one than the publish before.
    pub updated_at: UpdatedAt,
}

impl Publish {
    /// Returns the publish that a marker or a report response announces, or `None` if its fingerprint is none.
    #[must_use]
    pub fn announced(next: &NextPublish) -> Option<Self> {
        Some(Self { fingerprint: next.fingerprint.parse().ok()?, updated_at: next.updated_at })
    }

    /// Returns the publish as a marker or a report response announces it.
    #[must_use]
    pub fn to_next(self) -> NextPublish {
        NextPublish { fingerprint: self.fingerprint.to_string(), updated_at: self.updated_at }
    }
}

/// The content of a marker that is published: the publish that processes run, and the one that they prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marked {
    /// The publish that every process should run.
    pub publish: Publish,
    /// The publish that processes prepare. Nothing is resolved from it before it is published.
    pub next: Option<Publish>,
}

impl From<Publish> for Marked {
    fn from(publish: Publish) -> Self {
        Self { publish, next: None }
    }
}
