//! Environment variables. A variable that is set to the empty text counts as not set.

/// Returns the value of an environment variable that is set, is not empty, and is UTF-8.
pub(crate) fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
