//! The status of a process that follows a workspace, for probes, logs, and alerts.

use std::future::{IntoFuture, Ready, ready};
use std::time::Duration;

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::fleet::ProcessState;
use serde::{Serialize, Serializer};

use crate::current::counters::Counters;
use crate::workspace::Workspace;
use crate::workspace::origin::SourceFingerprint;

/// The status of a [`RefreshingWorkspace`](crate::RefreshingWorkspace): what it resolves from, since when, and the
/// current failure, if there is one.
///
/// The status is a copy that does not change. It holds names, times, and codes, and never a value of the workspace, so
/// it may be shown to anyone. As JSON it goes well with a debug page:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// use rototo::{ProcessState, RefreshOptions, RefreshingWorkspace};
///
/// let workspace = RefreshingWorkspace::load(directory, RefreshOptions::new()).await?;
/// let status = workspace.status();
/// assert_eq!((status.state, status.stale, status.last_error.as_deref()), (ProcessState::Applied, false, None));
/// println!("{}", serde_json::to_string_pretty(&status)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RefreshStatus {
    /// The source of the workspace, without credentials.
    pub source: String,
    /// The progress of the process towards what it should run.
    pub state: ProcessState,
    /// The fingerprint of the content that is resolved from.
    #[serde(serialize_with = "as_text")]
    pub fingerprint: Option<rototo_engine::Fingerprint>,
    /// The name that the source has for this content: a commit, or a digest.
    #[serde(skip)]
    pub current_fingerprint: Option<SourceFingerprint>,
    /// The commit of the content, as `<ref>@sha1:<commit>`, where it is known.
    pub revision: Option<String>,
    /// The time of the publish, where an operator published the content.
    pub updated_at: Option<UpdatedAt>,
    /// The time at which this process swapped the content in.
    pub applied_at: Option<Timestamp>,
    /// Nothing has confirmed for too long that the content is still what should run. Time alone makes it so, also where
    /// nothing follows the workspace any more, because its Tokio runtime has ended or does not run.
    pub stale: bool,
    /// The source names one commit, which never changes.
    pub immutable: bool,
    /// A request for content is in flight.
    pub refreshing: bool,
    /// The time of the last request for content.
    pub last_attempt: Option<Timestamp>,
    /// The time of the last confirmation that the content is what should run: that of the last poll of the source which
    /// succeeded. With an operator, it is the operator's poll, as its response to a report says, and `None` until a
    /// response has named what runs. A later swap keeps it until the next such response.
    pub last_success: Option<Timestamp>,
    /// The number of attempts that have failed since the last success.
    pub consecutive_failures: u64,
    /// The current failure, in one sentence. It disappears as soon as the failure is over.
    pub last_error: Option<String>,
    /// The number of lists of the markers. More than one means that a watch was lost and could not resume.
    pub hydrates: u64,
    /// Counts since the start; see [`metrics`](Self::metrics).
    pub counters: Counters,
}

impl RefreshStatus {
    pub(super) fn starting(source: String) -> Self {
        Self {
            source,
            state: ProcessState::Starting,
            fingerprint: None,
            current_fingerprint: None,
            revision: None,
            updated_at: None,
            applied_at: None,
            stale: false,
            immutable: false,
            refreshing: false,
            last_attempt: None,
            last_success: None,
            consecutive_failures: 0,
            last_error: None,
            hydrates: 0,
            counters: Counters::default(),
        }
    }

    /// Takes in the names of the workspace that is resolved from.
    pub(super) fn show(&mut self, running: Option<&Workspace>) {
        let Some(running) = running else { return };
        self.fingerprint = Some(running.fingerprint());
        self.current_fingerprint = running.source_fingerprint().cloned();
        self.revision = running.revision().map(str::to_owned);
        self.updated_at = running.updated_at();
        self.immutable = running.immutable_source();
    }

    /// Shows that the content is not confirmed to be what should run.
    pub(crate) fn become_stale(&mut self) {
        self.stale = true;
        if self.state == ProcessState::Applied {
            self.state = ProcessState::Stale;
        }
    }

    /// Returns whether the content is not confirmed to be what should run, or was confirmed longer ago than `max` and may
    /// have changed since.
    pub(crate) fn is_stale(&self, max: Option<Duration>) -> bool {
        let unconfirmed = self.last_success.map(|time| Timestamp::now().duration_since(time).unsigned_abs());
        let is_old = max.zip(unconfirmed).is_some_and(|(max, unconfirmed)| unconfirmed > max);
        self.stale || is_old && !self.immutable
    }

    /// Returns all metrics by name, as Prometheus spells names and units: counters end with `_total`, times are seconds
    /// since 1970, `rototo_ready` and `rototo_stale` are 0 or 1. A time that is not known yet is left out. A metric
    /// that means the same at the operator has the same name there.
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

/// Completes at once. Reading the status used to be asynchronous; code that still awaits it compiles.
impl IntoFuture for RefreshStatus {
    type Output = Self;
    type IntoFuture = Ready<Self>;

    fn into_future(self) -> Self::IntoFuture {
        ready(self)
    }
}

fn as_text<S: Serializer>(fingerprint: &Option<rototo_engine::Fingerprint>, serializer: S) -> Result<S::Ok, S::Error> {
    fingerprint.map(|fingerprint| fingerprint.to_string()).serialize(serializer)
}
