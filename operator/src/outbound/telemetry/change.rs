//! The trace of one change: a span for each of its steps, made from the times that status and metrics are made from.
//! Pure but for the ids, which are random.
//!
//! ```text
//! change                       from the call of the git host, or the detection, to the last process
//! ├── detect                   only after a call: until the source named the commit
//! ├── fetch
//! ├── lint                     ends when the snapshot is kept
//! ├── publish                  ends when the API server has accepted the marker
//! │   ├── announce             only with a rehearsal or steps: until the marker announced the content
//! │   └── rehearse, or rollout until it was published
//! └── converge                 until each process has applied it
//! ```

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use rototo_api::UpdatedAt;
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::{FleetView, Moment, PublishTimes};
use rototo_protocol::publisher::Detection;

use crate::workspace_key::WorkspaceKey;

/// A moment of the monotonic clock, and the wall-clock time at it. All times of a trace follow from one of these, so
/// their order and their distances are those of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    pub(crate) moment: Moment,
    pub(crate) time: SystemTime,
}

impl WallClock {
    fn at(&self, moment: Moment) -> SystemTime {
        let before = self.time.checked_sub(self.moment.saturating_sub(moment));
        before.unwrap_or(SystemTime::UNIX_EPOCH) + moment.saturating_sub(self.moment)
    }
}

/// A call of the git host.
#[derive(Clone, Debug)]
pub(super) struct WebhookCall {
    pub(super) at: Moment,
    /// The span of the sender, if it named one.
    pub(super) sender: SpanContext,
}

/// New content of a workspace.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) workspace: WorkspaceKey,
    pub(crate) revision: Option<String>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) detection: Detection,
}

/// The number of findings for which lint refuses content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) errors: u32,
    pub(crate) warnings: u32,
}

/// The announcement of content before its publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcement {
    /// The time at which the marker announced it.
    pub(crate) since: Moment,
    /// The content reached the fleet by steps.
    pub(crate) staged: bool,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Each process that had to has applied it.
    Converged,
    /// Lint refuses it.
    Refused,
    /// Another change came before it was published, or before it had converged.
    Superseded,
    /// It did not converge in the time for which a trace stays open.
    NotConverged,
    /// This process no longer leads, or the workspace is gone.
    Unobserved,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
            Self::NotConverged => "not_converged",
            Self::Unobserved => "unobserved",
        }
    }

    fn status(self) -> Status {
        match self {
            Self::Converged => Status::Ok,
            Self::Refused => Status::error("lint refuses it"),
            Self::NotConverged => Status::error("not all processes have applied it"),
            Self::Superseded | Self::Unobserved => Status::Unset,
        }
    }
}

/// The trace of one change.
#[derive(Clone, Debug)]
pub(super) struct ChangeTrace {
    pub(super) change: Change,
    call: Option<WebhookCall>,
    clock: WallClock,
    /// The context of the span of the whole change.
    context: SpanContext,
    /// The name of the publish.
    pub(super) publish: Option<UpdatedAt>,
}

/// The beginning, the end, and the attributes of one span.
struct Step {
    name: &'static str,
    from: Moment,
    to: Moment,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Step {
    fn new(name: &'static str, from: Moment, to: Moment) -> Self {
        Self { name, from, to, attributes: Vec::new(), status: Status::Unset }
    }
}

impl ChangeTrace {
    /// Returns the trace of a change that was just read. It belongs to the trace of the sender of `call`, if that has
    /// one. `None` if the sender's is not sampled.
    pub(super) fn begin(change: Change, call: Option<WebhookCall>, clock: WallClock) -> Option<Self> {
        let ids = RandomIdGenerator::default();
        let sender = call.as_ref().map(|call| call.sender.clone()).filter(SpanContext::is_valid);
        if sender.as_ref().is_some_and(|sender| !sender.is_sampled()) {
            return None;
        }
        let (trace, state) = match sender {
            Some(sender) => (sender.trace_id(), sender.trace_state().clone()),
            None => (ids.new_trace_id(), Default::default()),
        };
        let context = SpanContext::new(trace, ids.new_span_id(), TraceFlags::SAMPLED, false, state);
        Some(Self { change, call, clock, context, publish: None })
    }

    /// Returns the id of the trace, as people search for it.
    pub(super) fn id(&self) -> String {
        self.context.trace_id().to_string()
    }

    /// Returns the spans of the poll.
    pub(super) fn read(&self, refusal: Option<Refusal>) -> Vec<SpanData> {
        let Detection { detected, fetched, linted } = self.change.detection;
        let call = self.call.as_ref().filter(|call| call.at < detected);
        let called = call.map(|call| Step::new("detect", call.at, detected));
        let mut lint = Step::new("lint", fetched, linted);
        if let Some(Refusal { errors, warnings }) = refusal {
            lint.attributes.push(KeyValue::new("rototo.lint.errors", i64::from(errors)));
            lint.attributes.push(KeyValue::new("rototo.lint.warnings", i64::from(warnings)));
            lint.status = Outcome::Refused.status();
        }
        let steps = called.into_iter().chain([Step::new("fetch", detected, fetched), lint]);
        steps.map(|step| self.child(step, self.context.span_id())).collect()
    }

    /// Returns the spans of the publish.
    pub(super) fn published(&self, published: Moment, announced: Option<Announcement>) -> Vec<SpanData> {
        let linted = self.change.detection.linted;
        let publish = self.child(Step::new("publish", linted, published), self.context.span_id());
        let parent = publish.span_context.span_id();
        let steps = announced.map(|Announcement { since, staged }| {
            let name = if staged { "rollout" } else { "rehearse" };
            [Step::new("announce", linted, since), Step::new(name, since, published)]
        });
        let steps = steps.into_iter().flatten().map(|step| self.child(step, parent));
        [publish].into_iter().chain(steps).collect()
    }

    /// Returns the span of the time after the publish, which the fleet needed until `to`.
    pub(super) fn converged(&self, times: &PublishTimes, to: Moment, fleet: &FleetView) -> SpanData {
        let mut step = Step::new("converge", times.published, to);
        step.attributes = vec![
            KeyValue::new("rototo.fleet.applied", i64::from(fleet.applied)),
            KeyValue::new("rototo.fleet.expected", i64::from(fleet.expected.unwrap_or(fleet.processes))),
        ];
        let mut span = self.child(step, self.context.span_id());
        let reached =
            fleet.millis.map(|millis| [("first process", millis.first), ("half of the processes", millis.p50)]);
        for (name, millis) in reached.into_iter().flatten() {
            let Some(millis) = millis else { continue };
            let at = self.clock.at(times.detected + Duration::from_millis(millis));
            span.events.events.push(Event::new(name, at, Vec::new(), 0));
        }
        span
    }

    /// Returns the span of the whole change.
    pub(super) fn ended(&self, to: Moment, outcome: Outcome) -> SpanData {
        let detected = self.change.detection.detected;
        let from = self.call.as_ref().map_or(detected, |call| call.at.min(detected));
        let trigger = if self.call.is_some() { "webhook" } else { "poll" };
        let step = Step {
            attributes: vec![KeyValue::new("rototo.outcome", outcome.name()), KeyValue::new("rototo.trigger", trigger)],
            status: outcome.status(),
            ..Step::new("change", from, to)
        };
        let sender = self.call.as_ref().map_or(SpanId::INVALID, |call| call.sender.span_id());
        self.span(self.context.clone(), step, sender, sender != SpanId::INVALID)
    }

    fn child(&self, step: Step, parent: SpanId) -> SpanData {
        let id = RandomIdGenerator::default().new_span_id();
        let own = &self.context;
        let context = SpanContext::new(own.trace_id(), id, own.trace_flags(), false, own.trace_state().clone());
        self.span(context, step, parent, false)
    }

    fn span(&self, span_context: SpanContext, step: Step, parent: SpanId, parent_is_remote: bool) -> SpanData {
        let Change { workspace, revision, fingerprint, .. } = &self.change;
        let mut attributes = vec![
            KeyValue::new("rototo.namespace", workspace.namespace.clone()),
            KeyValue::new("rototo.workspace", workspace.name.clone()),
            KeyValue::new("rototo.fingerprint", fingerprint.to_string()),
        ];
        attributes.extend(revision.clone().map(|revision| KeyValue::new("rototo.revision", revision)));
        attributes.extend(self.publish.map(|publish| KeyValue::new("rototo.publish", publish.to_string())));
        attributes.extend(step.attributes);
        SpanData {
            span_context,
            parent_span_id: parent,
            parent_span_is_remote: parent_is_remote,
            span_kind: SpanKind::Internal,
            name: step.name.into(),
            start_time: self.clock.at(step.from),
            end_time: self.clock.at(step.to.max(step.from)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: step.status,
            instrumentation_scope: InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}
