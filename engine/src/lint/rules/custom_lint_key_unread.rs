//! A `lint:on` has a key that nothing reads.

use crate::lint::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::KeyUnread)];
