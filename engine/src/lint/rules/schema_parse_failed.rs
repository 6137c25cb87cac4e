//! A schema is not JSON.

use crate::document::tree::DocumentKind;
use crate::lint::Check;

pub(super) const CHECKS: &[Check] = &[Check::Unreadable(DocumentKind::Schema)];
