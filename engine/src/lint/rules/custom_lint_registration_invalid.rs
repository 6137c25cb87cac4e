//! A `lint:on` that cannot be followed.

use crate::lint::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Invalid)];
