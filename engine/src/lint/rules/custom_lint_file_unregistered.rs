//! A file of rules that registers none.

use super::super::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Unregistered)];
