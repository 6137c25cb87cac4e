//! Reads the content from its source when the operator's endpoint does not give it.
//!
//! The process uses its own credentials. Content is used only if it has the fingerprint that the marker names, so the
//! source is another way to the same content and no second authority.

use rototo_engine::{Fingerprint, Tree};
use rototo_protocol::follower::fault::{Fault, FaultKind};
use rototo_source::{Access, Reader};

/// A source that has the workspace too.
pub(crate) struct Direct {
    reader: Reader,
    access: Access,
}

impl Direct {
    pub(crate) fn new(reader: Reader, access: Access) -> Self {
        Self { reader, access }
    }

    /// Reads the content with this fingerprint, after the operator's endpoint failed with `refusal`.
    ///
    /// # Errors
    ///
    /// The source can't be read, or has other content now. The fault has the code of `refusal` and the messages of both
    /// failures.
    pub(crate) async fn read(&self, fingerprint: Fingerprint, refusal: Fault) -> Result<Tree, Fault> {
        let also = |reason: String| Fault {
            code: refusal.code,
            message: format!("{}; and {reason}", refusal.message),
            // A repository gets the slow backoff, however fast the operator may be asked again.
            kind: FaultKind::Persistent,
        };
        let (_, tree) = self.reader.read(&self.access).await.map_err(|error| also(error.to_string()))?;
        let found = tree.fingerprint();
        if found == fingerprint {
            return Ok(tree);
        }
        let (found, wanted, source) = (found.short(), fingerprint.short(), self.access.source());
        Err(also(format!("{source} has {found} now, and the marker names {wanted}")))
    }
}
