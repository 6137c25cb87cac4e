//! The errors of the protocol.

use crate::evaluation::write_json;
use crate::metrics::ErrorCounters;

/// The longest text of an error, in characters. A text may quote the request.
const LONGEST_DETAILS: usize = 500;
/// The longest name of a variable. A longer one in a request is unknown, and shortened in the answer.
pub(crate) const LONGEST_KEY: usize = 255;

/// The code of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The body is not what the protocol says.
    ParseError,
    /// A rule needs the targeting key, and the context has none.
    TargetingKeyMissing,
    /// The context lacks an attribute, or does not match the workspace's context schema.
    InvalidContext,
    /// There is no such variable.
    FlagNotFound,
    /// Anything else.
    General,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::ParseError => "PARSE_ERROR",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::General => "GENERAL",
        }
    }

    pub(crate) fn count(self, counters: &ErrorCounters) {
        match self {
            Self::ParseError => &counters.parse_error,
            Self::TargetingKeyMissing => &counters.targeting_key_missing,
            Self::InvalidContext => &counters.invalid_context,
            Self::FlagNotFound => &counters.flag_not_found,
            Self::General => &counters.general,
        }
        .inc();
    }
}

/// An error, as its sender reads it. It holds no value of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) details: String,
}

impl Fault {
    pub(crate) fn new(code: Code, details: impl Into<String>) -> Self {
        Self { code, details: details.into() }
    }

    /// Returns the body of an answer with this error. `key` is the variable, if the request names one.
    pub(crate) fn body(&self, key: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out, key);
        out
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, key: Option<&str>) {
        out.push(b'{');
        if let Some(key) = key {
            out.extend_from_slice(b"\"key\":");
            write_json(out, &shortened(key, LONGEST_KEY));
            out.push(b',');
        }
        out.extend_from_slice(b"\"errorCode\":\"");
        out.extend_from_slice(self.code.name().as_bytes());
        // The protocol has no reason beside an error; a provider that reads one gets the right one.
        out.extend_from_slice(b"\",\"reason\":\"ERROR\",\"errorDetails\":");
        write_json(out, &shortened(&self.details, LONGEST_DETAILS));
        out.push(b'}');
    }
}

fn shortened(text: &str, longest: usize) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(longest).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}
