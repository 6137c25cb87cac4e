//! A schema is not JSON.

use super::super::Check;
use crate::tree::DocumentKind;

pub(super) const CHECKS: &[Check] = &[Check::Unreadable(DocumentKind::Schema)];
