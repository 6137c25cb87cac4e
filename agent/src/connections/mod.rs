//! Accepts connections, limits them, and closes those that wait too long.
//!
//! A connection has one [`Activity`], which says what it waits for. One task sweeps through all of them every second. That
//! keeps timers out of the way of a request.

pub(crate) mod activity;
pub(crate) mod address;
mod listener;
mod open;
mod socket_file;
mod stream;

pub(crate) use activity::Activity;
pub(crate) use listener::{Bound, Listeners};
pub(crate) use open::ConnectionLimits;
