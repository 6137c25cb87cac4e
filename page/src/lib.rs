//! The read-only page that shows whether a configuration change is applied: its files, its data, and its routes.
//!
//! The operator and `rototo ui` serve the same [`routes`], each with a [`Source`] of its own: the operator counts its fleets
//! at each request, and the command reads what the API server has. The data is computed from a status in `view`, which
//! is pure; `http` serves it as JSON and as a stream of events, and `assets` has the files.
//!
//! Nothing here is markup of somebody else: the data is JSON, and the page puts its texts into nodes of text.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod assets;
mod http;
mod view;

pub use crate::http::document::{Document, Part, Unreadable};
pub use crate::http::routes::routes;
pub use crate::http::source::{API, Refusal, Source, Wanted};
pub use crate::view::roster::Roster;
pub use crate::view::state::{NOT_OBSERVED, is_observed};
pub use crate::view::{Claim, Detail, Row, detail, row};
