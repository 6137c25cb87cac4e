//! Shares what the operator has little of: turns for slow work, processors, requests of strangers, and memory for answers.
//!
//! [`turns`] limits how much happens at once, and lets keys take turns; [`budgets`] limits how often something happens;
//! [`remembered`] keeps answers in bounded memory; [`lasting`] knows which states were logged; [`background`] runs long
//! work at a low priority; [`metrics`] counts what was refused; [`owned_task`] ends a task with its owner. Each is a leaf
//! that knows neither requests nor workspaces: the key of a limit is the caller's.

pub(crate) mod background;
pub(crate) mod budgets;
pub(crate) mod lasting;
#[cfg(test)]
pub(crate) mod logged;
pub(crate) mod metrics;
pub(crate) mod owned_task;
pub(crate) mod remembered;
pub(crate) mod turns;
