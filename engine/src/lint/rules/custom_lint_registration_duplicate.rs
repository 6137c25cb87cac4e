//! A registration that is there twice.

use super::super::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Duplicate)];
