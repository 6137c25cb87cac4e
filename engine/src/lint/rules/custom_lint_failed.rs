//! A rule of the workspace's own that cannot be run.

use crate::lint::{Check, ScriptFaultKind};

pub(super) const CHECKS: &[Check] = &[Check::Scripts(ScriptFaultKind::Failed)];
