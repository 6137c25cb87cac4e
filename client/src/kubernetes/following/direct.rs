//! The other way to the same truth: the source itself, read by this process with its own credentials when the operator's
//! endpoint gives nothing. What it has is used only if it is what the marker names.

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

    /// The content of that name, after the operator gave none because of `refusal`.
    pub(crate) async fn read(&self, fingerprint: Fingerprint, refusal: Fault) -> Result<Tree, Fault> {
        let also = |reason: String| Fault {
            code: refusal.code,
            message: format!("{}; and {reason}", refusal.message),
            // A repository is asked at leisure, however eagerly the operator may be.
            kind: FaultKind::Persistent,
        };
        let (_, tree) = self.reader.read(&self.access).await.map_err(|error| also(error.to_string()))?;
        let found = tree.fingerprint();
        if found == fingerprint {
            return Ok(tree);
        }
        let (found, wanted, source) = (found.short(), fingerprint.short(), self.access.source());
        Err(also(format!("{source} has {found} now, which is not {wanted}, that the marker names")))
    }
}
