//! A qualifier is not TOML.

use crate::document::tree::DocumentKind;
use crate::lint::Check;

pub(super) const CHECKS: &[Check] = &[Check::Unreadable(DocumentKind::Qualifier)];
