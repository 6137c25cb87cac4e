//! An object of a resource is not TOML, or holds a value that JSON cannot express.

use crate::document::tree::DocumentKind;
use crate::lint::Check;

pub(super) const CHECKS: &[Check] = &[Check::Unreadable(DocumentKind::ResourceObject)];
