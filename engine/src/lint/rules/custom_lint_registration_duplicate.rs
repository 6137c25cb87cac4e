//! A registration that is there twice.

use crate::lint::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Duplicate)];
