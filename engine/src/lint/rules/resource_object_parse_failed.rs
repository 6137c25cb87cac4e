//! An object of a resource is not TOML, or holds what JSON cannot say.

use super::super::Check;
use crate::tree::DocumentKind;

pub(super) const CHECKS: &[Check] = &[Check::Unreadable(DocumentKind::ResourceObject)];
