//! A `lint:on` that cannot be followed.

use super::super::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Invalid)];
