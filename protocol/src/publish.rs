//! One publish: which content, and its name.

use rototo_api::UpdatedAt;
use rototo_engine::Fingerprint;

/// Content, and the name of the publish that it is wanted for. A → B → A is three of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publish {
    /// The content.
    pub fingerprint: Fingerprint,
    /// The name.
    pub updated_at: UpdatedAt,
}
