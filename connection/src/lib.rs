//! Connects the operator, the client library, and the command to the API server and to the operator's endpoint.
//!
//! [`api_server()`] makes a client of the API server. Every request has a time limit, dead connections are noticed, and
//! credentials that end are renewed.
//! [`Endpoint`] is a connection to the operator's own HTTPS endpoint. Both use a `kube::Client`, so a program has one
//! HTTP and one TLS stack with one set of proxies, roots, and one crypto provider.
//!
//! With the feature `listen`, `bind` makes the sockets at which programs listen, and `end_signal` waits for the signal that
//! ends them.
//!
//! Neither client retries a request, except with other credentials: each caller is level-triggered, and sends the next
//! request by itself.

#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api_error;
mod api_server;
mod credentials;
mod endpoint;
mod kubeconfig;
mod limits;
#[cfg(feature = "listen")]
mod listen;
mod plugin;
mod sessions;
#[cfg(feature = "listen")]
mod signals;
mod watch_ends;

pub use api_error::{api_answer, api_error, is_no_api_server, is_unparsed};
pub use api_server::{api_server, limited, noticing_watches, sign_in};
pub use endpoint::{Address, Endpoint, InvalidAddress, RequestError, Trust, error_message};
pub use kubeconfig::{ConfigError, config};
pub use limits::AnswerTooLarge;
#[cfg(feature = "listen")]
pub use listen::bind;
#[cfg(feature = "listen")]
pub use signals::end_signal;

/// Returns an error and its causes in one line. The outermost error alone often says no more than "error sending
/// request".
///
/// A cause whose text is already part of the line is left out.
///
/// ```
/// #[derive(Debug)]
/// struct Outer(std::fmt::Error);
/// # impl std::fmt::Display for Outer {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("writing failed") }
/// # }
/// impl std::error::Error for Outer {
///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
///         Some(&self.0)
///     }
/// }
///
/// let text = rototo_connection::with_causes(&Outer(std::fmt::Error));
/// assert!(text.starts_with("writing failed: "));
/// ```
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
