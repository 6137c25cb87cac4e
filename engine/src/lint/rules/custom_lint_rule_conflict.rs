//! One rule with two meanings.

use crate::lint::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Conflict)];
