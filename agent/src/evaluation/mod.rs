//! Turns a request body and a version of the workspace into an answer of the protocol. Pure, but for the yields of a bulk
//! answer.
//!
//! | OFREP | rototo |
//! |---|---|
//! | flag | variable |
//! | `variant` | the key of the value |
//! | `reason` | the kind of rule that decided ([`reason`]) |
//! | `metadata` | the version that decided, and the age of its verification |
//! | `targetingKey` | the attribute that an option names ([`request`]) |

pub(crate) mod bulk;
pub(crate) mod event_streams;
pub(crate) mod fault;
mod reason;
pub(crate) mod request;
pub(crate) mod single;

use std::io::Write as _;

use rototo::{Cause, Resolution};
use serde::Serialize;

use crate::serving::Served;

/// Writes JSON, such as a value of the workspace.
fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing to a Vec fails only for maps with keys that are no texts, and JSON has none.
    if serde_json::to_writer(&mut *out, value).is_err() {
        let _ = out.write_all(b"null");
    }
}

/// Writes an evaluation.
fn write_evaluation(out: &mut Vec<u8>, resolution: &Resolution<'_>, cause: Cause, served: &Served) {
    out.extend_from_slice(b"{\"key\":");
    write_json(out, resolution.id);
    out.extend_from_slice(b",\"value\":");
    write_json(out, resolution.value);
    // One provider fails on an answer without it.
    out.extend_from_slice(b",\"variant\":");
    write_json(out, resolution.value_key);
    out.extend_from_slice(b",\"reason\":\"");
    out.extend_from_slice(reason::reason(cause, served.stale).as_bytes());
    out.extend_from_slice(b"\",");
    out.extend_from_slice(&served.metadata);
    out.push(b'}');
}
