//! The spans of a change are made from its times, and of nothing else.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::SpanData;
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::{Fleet, FleetStart, FleetView, Millis, Moment, PublishTimes, Verdict};
use rototo_protocol::plan::WriteReason;
use rototo_protocol::publisher::{AcceptedPublish, Detection};

use super::change::{Announcement, Change, Refusal, WallClock};
use super::traces::ChangeTraces;
use crate::workspace_key::WorkspaceKey;

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const SENDER: u64 = 0x00f0_67aa_0ba9_02b7;

/// A moment, in milliseconds. The source names the commit at 1000, and lint ends at 1030.
fn at(millis: u64) -> Moment {
    Duration::from_secs(1000) + Duration::from_millis(millis)
}

fn clock() -> WallClock {
    WallClock { moment: at(1040), time: SystemTime::UNIX_EPOCH + at(1040) }
}

fn content(digit: char) -> Fingerprint {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

fn publish(digit: char) -> Publish {
    Publish { fingerprint: content(digit), updated_at: "2026-11-20T18:40:01.000000Z".parse().unwrap() }
}

fn change(digit: char) -> Change {
    Change {
        workspace: WorkspaceKey { namespace: "prod".to_owned(), name: "policy".to_owned() },
        revision: Some("main@sha1:4d12".to_owned()),
        fingerprint: content(digit),
        detection: Detection { detected: at(1000), fetched: at(1020), linted: at(1030) },
    }
}

fn sender(flags: TraceFlags) -> SpanContext {
    SpanContext::new(TraceId::from(TRACE), SpanId::from(SENDER), flags, true, TraceState::default())
}

fn times() -> PublishTimes {
    PublishTimes { detected: at(1000), fetched: at(1020), linted: at(1030), published: at(1100) }
}

fn accepted(digit: char) -> AcceptedPublish {
    AcceptedPublish { publish: publish(digit), reason: WriteReason::ContentChanged, times: times(), applied: 0 }
}

fn view(verdict: Verdict, all: Option<u64>) -> FleetView {
    let view = Fleet::new(FleetStart::New, Duration::from_secs(15), at(0)).view(at(0));
    let millis = Millis { first: Some(120), p50: all, all, ..Millis::default() };
    FleetView { verdict, millis: Some(millis), applied: 3, processes: 3, expected: Some(3), ..view }
}

/// Name, parent's name, and the milliseconds of begin and end.
fn tree(spans: &[SpanData]) -> Vec<(String, String, u128, u128)> {
    let parent = |id: SpanId| {
        let parent = spans.iter().find(|span| span.span_context.span_id() == id);
        parent.map_or(if id == SpanId::from(SENDER) { "sender" } else { "" }, |span| &span.name).to_owned()
    };
    let millis = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH + at(0)).unwrap().as_millis();
    let row = |span: &SpanData| {
        (span.name.to_string(), parent(span.parent_span_id), millis(span.start_time), millis(span.end_time))
    };
    spans.iter().map(row).collect()
}

fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<std::borrow::Cow<'a, str>> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.as_str())
}

fn row(name: &str, parent: &str, from: u128, to: u128) -> (String, String, u128, u128) {
    (name.to_owned(), parent.to_owned(), from, to)
}

#[test]
fn a_change_is_one_trace_of_the_call_that_announced_it() {
    let mut traces = ChangeTraces::default();
    traces.called(sender(TraceFlags::SAMPLED), at(900));
    traces.polled(change('b'), None, Some(content('a')), clock());
    assert!(traces.take().is_empty(), "nothing has become of it yet");
    traces.published(&accepted('b'), Some(Announcement { since: at(1050), staged: false }));
    assert_eq!(traces.id_of(Some(publish('b'))).unwrap(), format!("{TRACE:032x}"));
    traces.counted(&view(Verdict::Progressing { since: at(1100) }, None), Some(publish('b')), at(1110));
    traces.counted(&view(Verdict::Converged, Some(250)), Some(publish('b')), at(9000));
    let spans = traces.take();
    let expected = [
        row("detect", "change", 900, 1000),
        row("fetch", "change", 1000, 1020),
        row("lint", "change", 1020, 1030),
        row("publish", "change", 1030, 1100),
        row("announce", "publish", 1030, 1050),
        row("rehearse", "publish", 1050, 1100),
        row("converge", "change", 1100, 1250),
        row("change", "sender", 900, 1250),
    ];
    assert_eq!(tree(&spans), expected);
    for span in &spans {
        assert_eq!(span.span_context.trace_id(), TraceId::from(TRACE));
        assert_eq!(attribute(span, "rototo.namespace").unwrap(), "prod");
        assert_eq!(attribute(span, "rototo.workspace").unwrap(), "policy");
        assert_eq!(attribute(span, "rototo.revision").unwrap(), "main@sha1:4d12");
        assert_eq!(attribute(span, "rototo.fingerprint").unwrap(), content('b').to_string());
        assert_eq!(attribute(span, "rototo.publish").unwrap(), "2026-11-20T18:40:01.000000Z");
    }
    let (converge, whole) = (&spans[6], &spans[7]);
    assert_eq!(attribute(converge, "rototo.fleet.applied").unwrap(), "3");
    assert_eq!(attribute(converge, "rototo.fleet.expected").unwrap(), "3");
    let events: Vec<_> = converge.events.iter().map(|event| (&*event.name, event.timestamp)).collect();
    let first = ("first process", SystemTime::UNIX_EPOCH + at(1120));
    assert_eq!(events, [first, ("half of the processes", SystemTime::UNIX_EPOCH + at(1250))]);
    assert!(whole.parent_span_is_remote && whole.status == Status::Ok);
    // Each span is sent once.
    traces.counted(&view(Verdict::Converged, Some(250)), Some(publish('b')), at(9500));
    assert!(traces.take().is_empty());
}

#[test]
fn a_change_that_a_poll_finds_is_a_trace_of_its_own() {
    let mut traces = ChangeTraces::default();
    traces.polled(change('b'), None, Some(content('a')), clock());
    traces.published(&accepted('b'), None);
    traces.counted(&view(Verdict::Converged, Some(250)), Some(publish('b')), at(1300));
    let spans = traces.take();
    assert_eq!(names(&spans), ["fetch", "lint", "publish", "converge", "change"]);
    assert_eq!(tree(&spans)[4], row("change", "", 1000, 1250));
    let id = spans[0].span_context.trace_id();
    assert!(id != TraceId::INVALID && spans.iter().all(|span| span.span_context.trace_id() == id));
    assert_eq!(attribute(&spans[4], "rototo.trigger").unwrap(), "poll");
}

#[test]
fn what_the_marker_names_already_is_no_change() {
    let mut traces = ChangeTraces::default();
    traces.polled(change('a'), None, Some(content('a')), clock());
    assert!(traces.take().is_empty());
    // After a start, the marker is read after the source.
    let mut traces = ChangeTraces::default();
    traces.polled(change('a'), None, None, clock());
    traces.confirmed(&publish('a'));
    traces.polled(change('b'), None, Some(content('a')), clock());
    traces.published(&accepted('b'), None);
    assert_eq!(names(&traces.take()), ["fetch", "lint", "publish"]);
}

#[test]
fn a_refused_change_ends_with_its_lint_and_is_sent_once() {
    let mut traces = ChangeTraces::default();
    for _ in 0..2 {
        traces.polled(change('b'), Some(Refusal { errors: 2, warnings: 1 }), Some(content('a')), clock());
    }
    let id = traces.id_of_refused().unwrap();
    let spans = traces.take();
    assert_eq!(names(&spans), ["fetch", "lint", "change"]);
    assert_eq!(tree(&spans)[2], row("change", "", 1000, 1030));
    assert_eq!(attribute(&spans[1], "rototo.lint.errors").unwrap(), "2");
    assert_eq!(attribute(&spans[2], "rototo.outcome").unwrap(), "refused");
    assert!(spans[1..].iter().all(|span| matches!(span.status, Status::Error { .. })));
    assert_eq!(spans[2].span_context.trace_id().to_string(), id);
    // The revert is no change: that content never left.
    traces.polled(change('a'), None, Some(content('a')), clock());
    assert!(traces.take().is_empty() && traces.id_of_refused().is_none());
}

#[test]
fn a_change_that_another_one_overtakes_is_superseded() {
    let mut traces = ChangeTraces::default();
    traces.polled(change('b'), None, Some(content('a')), clock());
    traces.polled(change('c'), None, Some(content('a')), clock());
    let spans = traces.take();
    assert_eq!(names(&spans), ["fetch", "lint", "change"]);
    assert_eq!(attribute(&spans[2], "rototo.outcome").unwrap(), "superseded");
    traces.published(&accepted('c'), None);
    traces.polled(change('d'), None, Some(content('c')), clock());
    traces.take();
    traces.published(&accepted('d'), None);
    let ended: Vec<_> = traces.take().into_iter().filter(|span| span.name == "change").collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(attribute(&ended[0], "rototo.fingerprint").unwrap(), content('c').to_string());
    assert_eq!(attribute(&ended[0], "rototo.outcome").unwrap(), "superseded");
}

#[test]
fn a_sender_that_is_not_sampled_decides_for_its_change() {
    let mut traces = ChangeTraces::default();
    traces.called(sender(TraceFlags::NOT_SAMPLED), at(900));
    traces.polled(change('b'), None, Some(content('a')), clock());
    traces.published(&accepted('b'), None);
    traces.counted(&view(Verdict::Converged, Some(250)), Some(publish('b')), at(1300));
    assert!(traces.take().is_empty() && traces.id_of(Some(publish('b'))).is_none());
}

#[test]
fn a_call_is_the_cause_of_one_change_within_a_minute() {
    let trigger = |called: u64, digits: &[char]| {
        let mut traces = ChangeTraces::default();
        traces.called(sender(TraceFlags::SAMPLED), Duration::from_millis(called));
        for digit in digits {
            traces.polled(change(*digit), Some(Refusal { errors: 1, warnings: 0 }), None, clock());
        }
        attribute(traces.take().last().unwrap(), "rototo.trigger").unwrap().into_owned()
    };
    let detected = u64::try_from(at(1000).as_millis()).unwrap();
    assert_eq!(trigger(detected - 60_000, &['b']), "webhook");
    assert_eq!(trigger(detected - 60_001, &['b']), "poll");
    // The commit was named before the call came, and lint was running.
    assert_eq!(trigger(detected + 10, &['b']), "webhook");
    assert_eq!(trigger(detected + 31, &['b']), "poll");
    assert_eq!(trigger(detected - 10, &['b', 'c']), "poll");
}

#[test]
fn a_publish_that_does_not_converge_ends_its_trace_after_five_minutes() {
    let open = |verdict, after: u64| {
        let mut traces = ChangeTraces::default();
        traces.polled(change('b'), None, Some(content('a')), clock());
        traces.published(&accepted('b'), None);
        traces.take();
        traces.counted(&view(verdict, None), Some(publish('b')), at(1100 + after));
        traces.take().last().map(|span| attribute(span, "rototo.outcome").unwrap().into_owned())
    };
    assert_eq!(open(Verdict::Silent, 300_000), None);
    assert_eq!(open(Verdict::Silent, 300_001).as_deref(), Some("not_converged"));
    // A member has left before it had applied it, and all others run it.
    assert_eq!(open(Verdict::Converged, 5_000).as_deref(), Some("converged"));
}

#[test]
fn a_process_that_ends_sends_the_span_of_a_change_that_it_does_not_see_to_its_end() {
    let mut traces = ChangeTraces::default();
    traces.polled(change('b'), None, Some(content('a')), clock());
    traces.published(&accepted('b'), None);
    traces.abandon(at(1200));
    let spans = traces.take();
    assert_eq!(names(&spans), ["fetch", "lint", "publish", "change"]);
    assert_eq!(attribute(&spans[3], "rototo.outcome").unwrap(), "unobserved");
    traces.abandon(at(1300));
    assert!(traces.take().is_empty());
}
