//! A publish: content, and the time that names it.

use rototo_api::UpdatedAt;
use rototo_engine::Fingerprint;

/// Content under a name. Publishing A, then B, then A again makes three publishes of two contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publish {
    /// The content's fingerprint.
    pub fingerprint: Fingerprint,
    /// The name: a time. The operator gives each publish of a workspace a later one than the publish before.
    pub updated_at: UpdatedAt,
}
