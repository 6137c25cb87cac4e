//! An object of a resource is not TOML, or holds what JSON cannot say.

use crate::document::tree::DocumentKind;
use crate::lint::Check;

pub(super) const CHECKS: &[Check] = &[Check::Unreadable(DocumentKind::ResourceObject)];
