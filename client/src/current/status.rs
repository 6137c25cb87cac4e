//! How far a process is with following its workspace, for probes, logs, and alerts.

use std::future::{IntoFuture, Ready, ready};

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::fleet::ProcessState;
use serde::{Serialize, Serializer};

use crate::current::counters::Counters;
use crate::workspace::Workspace;
use crate::workspace::origin::SourceFingerprint;

/// What runs, since when, and what is wrong, if anything. It holds names, times, and codes, never a value, and may be
/// shown to anyone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RefreshStatus {
    /// Where the workspace comes from, without credentials.
    pub source: String,
    /// Where the process is on its way to what it should run.
    pub state: ProcessState,
    /// The content that is resolved from.
    #[serde(serialize_with = "as_text")]
    pub fingerprint: Option<rototo_engine::Fingerprint>,
    /// The same as the source names it: a commit, or a digest.
    #[serde(skip)]
    pub current_fingerprint: Option<SourceFingerprint>,
    /// The commit that it came from, as `<ref>@sha1:<commit>`, where that is known.
    pub revision: Option<String>,
    /// The publish that it came with, where an operator published it.
    pub updated_at: Option<UpdatedAt>,
    /// When it was swapped in here.
    pub applied_at: Option<Timestamp>,
    /// Nobody could confirm for too long that this is still what should run.
    pub stale: bool,
    /// The source names one commit, which never changes.
    pub immutable: bool,
    /// Something is being fetched.
    pub refreshing: bool,
    /// When something was last asked for.
    pub last_attempt: Option<Timestamp>,
    /// When it was last confirmed that what runs is what should run.
    pub last_success: Option<Timestamp>,
    /// How many attempts failed since.
    pub consecutive_failures: u64,
    /// What is wrong at the moment. Gone as soon as it is not wrong any more.
    pub last_error: Option<String>,
    /// How often the markers were listed anew; more than one means that a watch was lost for good.
    pub hydrates: u64,
    /// How often things happened since the start; see [`metrics`](Self::metrics).
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

    /// Takes in what is resolved from.
    pub(super) fn show(&mut self, running: Option<&Workspace>) {
        let Some(running) = running else { return };
        self.fingerprint = Some(running.fingerprint());
        self.current_fingerprint = running.source_fingerprint().cloned();
        self.revision = running.revision().map(str::to_owned);
        self.updated_at = running.updated_at();
        self.immutable = running.immutable_source();
    }
}

/// Asking for the status never waits; code that was written when it did, and awaits it, goes on to work.
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
