//! The time in which a process has had the workspace open, as its report says.

use std::time::Duration;

use rototo_api::fleet::Report;

use crate::windows::REPORT_TIMEOUT;

/// The last period in which a process had the workspace open, counted back from the receipt of its report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attendance {
    opened_ago: Option<Duration>,
    drained_ago: Option<Duration>,
}

impl Attendance {
    /// Reads the period from a report. An older client says only how old its process is.
    pub(super) fn of(report: &Report) -> Self {
        Self {
            opened_ago: report.opened_ms_ago.or(report.started_ms_ago).map(Duration::from_millis),
            drained_ago: report.drained_ms_ago.map(Duration::from_millis),
        }
    }

    /// Returns whether the workspace may have been open `ago`; `None` if the report does not say since when it was.
    pub(super) fn may_cover(self, ago: Duration) -> Option<bool> {
        Some(self.opened_ago? > ago && self.drained_ago.is_none_or(|drained| drained < ago))
    }

    /// Returns whether the workspace was open `ago` also if the report was under way for long, which makes its times look
    /// later; `None` if the report does not say since when it was.
    pub(super) fn surely_covers(self, ago: Duration) -> Option<bool> {
        Some(self.opened_ago? >= ago && self.drained_ago.is_none_or(|drained| drained + REPORT_TIMEOUT < ago))
    }
}
