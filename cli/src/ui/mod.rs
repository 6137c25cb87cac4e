//! Serves the page on this machine, from what the API server has. It writes nothing, except to confirm a claim where
//! somebody asks for that.
//!
//! Other users and web pages of this machine reach the port too. So the data needs a token that is in the address alone,
//! and every request must name this machine as its host: a page whose own name points here (DNS rebinding) does not.

mod server;
mod source;

pub(crate) use server::{UiServer, serve};
