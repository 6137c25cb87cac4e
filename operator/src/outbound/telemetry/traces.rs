//! The traces of one workspace's changes: the newest content until it is published, and the publish until it has
//! converged. [`ChangeTraces`] alone changes them. Every method takes the time, and none waits.
//!
//! The spans of a change become ready with its publish or its refusal, and when it ends; [`ChangeTraces::take`] returns
//! them. So a poll that finds what is published already leaves no trace.

use std::time::Duration;

use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::{FleetView, Moment, PublishTimes, Verdict};
use rototo_protocol::publisher::{AcceptedPublish, Detection};

use crate::outbound::telemetry::change::{Announcement, Change, ChangeTrace, Outcome, Refusal, WallClock, WebhookCall};

/// The time for which a call is taken for the cause of a change that is detected after it.
const CALL_LASTS: Duration = Duration::from_secs(60);
/// The time after which the trace of a publish ends that has not converged.
const OPEN_FOR: Duration = Duration::from_secs(300);

/// The traces of one workspace's changes.
#[derive(Debug, Default)]
pub(crate) struct ChangeTraces {
    /// The last call of the git host, until a change is detected.
    call: Option<WebhookCall>,
    /// The last content that was judged, and whether lint refused it.
    judged: Option<(Fingerprint, bool)>,
    /// The newest content that is not published.
    newest: Option<ChangeTrace>,
    /// Lint refuses the newest content, so its trace has ended.
    refused: bool,
    published: Option<Published>,
    ready: Vec<SpanData>,
}

/// A publish of this process.
#[derive(Debug)]
struct Published {
    trace: ChangeTrace,
    publish: Publish,
    times: PublishTimes,
    open: bool,
}

impl ChangeTraces {
    /// Records that the git host has called. `sender` is the span that the call names, if it names one.
    pub(crate) fn called(&mut self, sender: SpanContext, at: Moment) {
        self.call = Some(WebhookCall { at, sender });
    }

    /// Records that a poll has ended with this content, which may be known. The marker names `published`, as far as
    /// that is known.
    pub(crate) fn polled(
        &mut self,
        change: Change,
        refusal: Option<Refusal>,
        published: Option<Fingerprint>,
        clock: WallClock,
    ) {
        let judged = Some((change.fingerprint, refusal.is_some()));
        if judged == self.judged {
            return;
        }
        self.judged = judged;
        let Detection { detected, linted, .. } = change.detection;
        self.end_newest(detected, Outcome::Superseded);
        if published == Some(change.fingerprint) {
            return;
        }
        let caused = |call: &mut WebhookCall| call.at <= linted && detected <= call.at + CALL_LASTS;
        let call = self.call.take_if(caused);
        self.newest = ChangeTrace::begin(change, call, clock);
        self.refused = refusal.is_some();
        if let Some(trace) = self.newest.as_ref().filter(|_| self.refused) {
            self.ready.extend(trace.read(refusal));
            self.ready.push(trace.ended(linted, Outcome::Refused));
        }
    }

    /// Records that the marker names this publish. Content that it named already is no change.
    pub(crate) fn confirmed(&mut self, publish: &Publish) {
        self.newest.take_if(|trace| !self.refused && trace.change.fingerprint == publish.fingerprint);
    }

    /// Records that the API server has accepted a publish, which `announcement` preceded.
    pub(crate) fn published(&mut self, accepted: &AcceptedPublish, announcement: Option<Announcement>) {
        let AcceptedPublish { publish, times, .. } = *accepted;
        self.end_published(times.published, Outcome::Superseded);
        self.published = None;
        let of_it = |trace: &mut ChangeTrace| trace.change.fingerprint == publish.fingerprint;
        let Some(mut trace) = self.newest.take_if(of_it) else { return };
        trace.publish = Some(publish.updated_at);
        self.ready.extend(trace.read(None));
        self.ready.extend(trace.published(times.published, announcement));
        self.published = Some(Published { trace, publish, times, open: true });
    }

    /// Records that the fleet was counted against `publish`.
    pub(crate) fn counted(&mut self, fleet: &FleetView, publish: Option<Publish>, now: Moment) {
        let Some(known) = self.published.as_mut().filter(|known| known.open && Some(known.publish) == publish) else {
            return;
        };
        let all = fleet.millis.and_then(|millis| millis.all);
        let (end, outcome) = match (all, fleet.verdict) {
            (Some(millis), _) => (known.times.detected + Duration::from_millis(millis), Outcome::Converged),
            // Somebody left before they had applied it: there is no figure, and all others run it.
            (None, Verdict::Converged) => (now, Outcome::Converged),
            (None, Verdict::NoProcesses) if fleet.processes == 0 && fleet.expected.unwrap_or(0) == 0 => {
                (known.times.published, Outcome::Converged)
            }
            _ if now.saturating_sub(known.times.published) > OPEN_FOR => (now, Outcome::NotConverged),
            _ => return,
        };
        known.open = false;
        self.ready.push(known.trace.converged(&known.times, end, fleet));
        self.ready.push(known.trace.ended(end.max(known.times.published), outcome));
    }

    /// Records that nobody brings this workspace forward here any more.
    pub(crate) fn abandon(&mut self, now: Moment) {
        self.end_newest(now, Outcome::Unobserved);
        self.end_published(now, Outcome::Unobserved);
    }

    fn end_newest(&mut self, now: Moment, outcome: Outcome) {
        if let Some(trace) = self.newest.take().filter(|_| !self.refused) {
            self.ready.extend(trace.read(None));
            self.ready.push(trace.ended(now, outcome));
        }
    }

    fn end_published(&mut self, now: Moment, outcome: Outcome) {
        if let Some(known) = self.published.as_mut().filter(|known| known.open) {
            known.open = false;
            self.ready.push(known.trace.ended(now, outcome));
        }
    }

    /// Returns the id of the trace of a publish, if this process has made that publish.
    pub(crate) fn id_of(&self, publish: Option<Publish>) -> Option<String> {
        self.published.as_ref().filter(|known| Some(known.publish) == publish).map(|known| known.trace.id())
    }

    /// Returns the id of the trace of the newest content, if lint refuses that.
    pub(crate) fn id_of_refused(&self) -> Option<String> {
        self.newest.as_ref().filter(|_| self.refused).map(ChangeTrace::id)
    }

    /// Returns the spans that are ready, each once.
    pub(crate) fn take(&mut self) -> Vec<SpanData> {
        std::mem::take(&mut self.ready)
    }
}
