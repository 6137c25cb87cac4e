//! A file of rules that registers none.

use crate::lint::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Unregistered)];
