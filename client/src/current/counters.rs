//! What a process counts while it follows a workspace, for whichever metrics library the application uses.

use rototo_api::fleet::ProcessState;
use serde::Serialize;

use crate::current::status::RefreshStatus;

/// How often things happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Content was asked for: of the operator, a repository, or a directory.
    pub polls: u64,
    /// It could not be had.
    pub poll_failures: u64,
    /// It was had, and can't be used: lint, the compiler, or the application's own types refuse it.
    pub refusals: u64,
    /// Another version was swapped in.
    pub swaps: u64,
    /// The operator was told what runs.
    pub reports: u64,
    /// It did not take it.
    pub report_failures: u64,
}

impl RefreshStatus {
    /// All that can be measured, by name, as Prometheus spells names and units. What means the same at the operator has
    /// the same name there.
    ///
    /// ```
    /// # fn export(workspace: &rototo::RefreshingWorkspace) -> String {
    /// let status = workspace.status();
    /// status.metrics().into_iter().map(|(name, value)| format!("{name} {value}\n")).collect()
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let Counters { polls, poll_failures, refusals, swaps, reports, report_failures } = self.counters;
        let counts = [
            ("rototo_polls_total", polls),
            ("rototo_poll_failures_total", poll_failures),
            ("rototo_refusals_total", refusals),
            ("rototo_swaps_total", swaps),
            ("rototo_reports_total", reports),
            ("rototo_report_failures_total", report_failures),
            ("rototo_hydrates_total", self.hydrates),
        ];
        let times = [
            ("rototo_applied_timestamp_seconds", self.applied_at),
            ("rototo_source_verified_timestamp_seconds", self.last_success),
        ];
        // Whole numbers up to 2^53 are exact.
        let counts = counts.into_iter().map(|(name, count)| (name, count as f64));
        let times = times.into_iter().filter_map(|(name, time)| Some((name, time?.as_millisecond() as f64 / 1000.0)));
        let is_ready = self.fingerprint.is_some() && self.state != ProcessState::Draining;
        let ready = ("rototo_ready", f64::from(u8::from(is_ready)));
        let stale = ("rototo_stale", f64::from(u8::from(self.stale)));
        counts.chain(times).chain([ready, stale]).collect()
    }
}
