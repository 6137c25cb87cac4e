//! Connects the programs of rototo, operator, client library, and command, to the API server and to the operator.
//!
//! [`api_server`] makes a client of the API server whose requests all end and whose dead connections are noticed.
//! [`Endpoint`] is a connection to the operator's own HTTPS endpoint. Both are a `kube::Client`: a program has one HTTP
//! and one TLS stack, with one set of proxies, roots, and one crypto provider.
//!
//! Neither retries: each caller comes back by itself.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api_server;
mod endpoint;
mod limits;

pub use api_server::{api_server, limited};
pub use endpoint::{Address, Endpoint, InvalidAddress, RequestError, Trust, error_message};

/// An error and its causes in one line: the outermost alone often says no more than "error sending request".
///
/// A cause that the text already names is left out.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let deeper = error.to_string();
        if !text.contains(&deeper) {
            text = format!("{text}: {deeper}");
        }
        cause = error.source();
    }
    text
}
