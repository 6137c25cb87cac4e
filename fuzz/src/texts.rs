//! Short texts that come from people, from ConfigMaps, and from other processes.

use rototo_api::fleet::{ReportResponse, Report};
use rototo_api::marker::Marker;
use rototo_source::Source;

// The command is a program without a library; this part of it stands alone.
#[allow(dead_code, reason = "its tests stay with the command")]
#[path = "../../cli/src/workspace/context.rs"]
mod context;

/// A source that is written as text is read as the same source.
pub fn source(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(source) = text.parse::<Source>() {
        let written = source.to_string();
        assert_eq!(written.parse::<Source>().map(|again| again.to_string()), Ok(written));
    }
}

/// A marker that is written as text is read as the same marker.
pub fn marker(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(marker) = Marker::parse(text) {
        assert_eq!(Marker::parse(&marker.to_json()).ok(), Some(marker));
    }
}

/// Reports of processes, and the responses to them.
pub fn fleet_report(bytes: &[u8]) {
    if let Ok(report) = serde_json::from_slice::<Report>(bytes) {
        let written = serde_json::to_vec(&report).unwrap();
        assert!(serde_json::from_slice::<Report>(&written).is_ok());
    }
    drop(serde_json::from_slice::<ReportResponse>(bytes));
}

/// Arguments of `--context`, one a line. A file is not asked for.
pub fn context_argument(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let arguments: Vec<String> = text.lines().filter(|line| !line.starts_with('@')).map(str::to_owned).collect();
    if let Ok(context) = context::read_context(&arguments) {
        assert!(context.is_object());
    }
}
