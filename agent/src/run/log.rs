//! The log: one line for each event, on stderr.

use std::io::IsTerminal;

use tracing::warn;
use tracing_subscriber::EnvFilter;

/// The filter where none is given. Kube logs each refused watch with everything that it knows, and an answer that it can't
/// read with its whole body; the library says both in a sentence.
const USUAL: &str = "warn,kube_runtime::watcher=error,kube_client::client=error,rototo=info";

/// Writes the log to stderr, with the filter of the option or of `RUST_LOG`, as text or as JSON.
pub fn log_to_stderr(filter: Option<&str>, json: bool) {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let given = given.or_else(|| filter.map(str::to_owned));
    let parsed = given.as_deref().map(EnvFilter::try_new);
    let refused = parsed.as_ref().and_then(|parsed| parsed.as_ref().err()).map(ToString::to_string);
    let filter = parsed.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new(USUAL));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        lines.json().flatten_event(true).init();
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    }
    if let Some(error) = refused {
        warn!(error, "the log filter can't be used; the usual one is");
    }
}
