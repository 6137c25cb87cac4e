//! Reports to git hosts what becomes of commits, as commit statuses.
//!
//! [`state`] derives the state of the newest commit from a status, [`outbox`] decides what is sent, and when again, and
//! [`target`] and [`request`] write what each git host documents; all of these are pure. [`sender`] sends one request, and
//! `reconcile` starts it when one is due.

pub(crate) mod outbox;
mod request;
pub(crate) mod sender;
#[cfg(test)]
mod sender_tests;
pub(crate) mod state;
mod target;
