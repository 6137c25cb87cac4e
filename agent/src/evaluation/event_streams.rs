//! The address at which clients find the event stream, which a bulk answer names.

use std::fmt;
use std::str::FromStr;

use http::uri::PathAndQuery;

use crate::evaluation::write_json;

/// The path, with a query if it has one, of the event stream, as clients see it. A proxy in front of the agent may have put
/// something before the agent's own path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsUri(String);

/// The error of a text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the path of an event stream, such as /flags/ofrep/v1/events")]
pub struct EventsUriError(String);

impl FromStr for EventsUri {
    type Err = EventsUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_path = text.parse::<PathAndQuery>().is_ok_and(|path| path.as_str() == text);
        // Two slashes would begin the name of a host, and browsers read a backslash as a slash.
        let begins = text.starts_with('/') && !text.starts_with("//");
        if is_path && begins && !text.contains('\\') && text.is_ascii() {
            return Ok(Self(text.to_owned()));
        }
        Err(EventsUriError(text.to_owned()))
    }
}

impl fmt::Display for EventsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl EventsUri {
    /// Writes the member of an answer that names the event stream. `requestUri` alone means the origin of the agent.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"eventStreams\":[{\"type\":\"sse\",\"endpoint\":{\"requestUri\":");
        write_json(out, &self.0);
        out.extend_from_slice(b"},\"inactivityDelaySec\":120}]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_the_same_origin_are_accepted() {
        for text in ["/", "/ofrep/v1/events", "/flags/ofrep/v1/events?tenant=a%20b"] {
            assert_eq!(text.parse::<EventsUri>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "ofrep/v1/events",
            "//elsewhere.example/events",
            "/\\elsewhere.example/events",
            "https://elsewhere.example/events",
            "/a b",
            "/events#part",
            "/événements",
            "/a\n",
            "*",
        ] {
            assert!(text.parse::<EventsUri>().is_err(), "{text}");
        }
    }
}
