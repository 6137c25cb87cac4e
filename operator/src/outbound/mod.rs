//! Requests to services that an administrator, or the owner of a workspace, names: no answer of them is needed to publish.
//!
//! [`analysis`] measures a rollout with queries of Prometheus, [`notify`] shows at git hosts what became of commits, and
//! [`telemetry`] sends traces of changes to a collector. Each is off until somebody names an address, has limits of its own,
//! and holds up nothing but itself. `reconcile` says when a request is due.

pub(crate) mod analysis;
pub(crate) mod notify;
pub(crate) mod telemetry;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// The characters that no part of an address escapes: RFC 3986 calls them unreserved.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
