//! Reads the sources of workspaces, lints what they contain, and keeps what lint accepts.
//!
//! [`schedule`] (pure) says when a poll is due, [`sources`] runs one, whose result is a [`candidate`], [`record`] remembers
//! what the polls found, and [`snapshots`] has the content on disk. A poll never changes what is published: the room
//! `reconcile` decides that.

pub(crate) mod candidate;
pub(crate) mod copies;
pub(crate) mod credentials;
pub(crate) mod custom_rules;
pub(crate) mod disk;
pub(crate) mod memory;
pub(crate) mod poll;
pub(crate) mod poll_error;
mod poll_turn;
pub(crate) mod programs;
pub(crate) mod record;
mod recovery;
pub(crate) mod schedule;
pub(crate) mod seen_revisions;
pub(crate) mod snapshot_cache;
pub(crate) mod snapshots;
pub(crate) mod sources;
