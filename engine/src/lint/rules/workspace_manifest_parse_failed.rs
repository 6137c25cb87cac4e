//! The manifest is not TOML.

use super::super::Check;
use crate::tree::DocumentKind;

pub(super) const CHECKS: &[Check] = &[Check::Unreadable(DocumentKind::Manifest)];
