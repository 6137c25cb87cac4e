//! TODO: what the room `http` is for.

pub mod access;
pub(crate) mod body;
pub mod endpoints;
pub(crate) mod probes;
pub mod tls;
pub mod webhook;
