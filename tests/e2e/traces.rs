//! A change is one trace, from the call of the git host to the last process. It holds up nothing, and says no value.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{CollectedSpan, Collector, ControlPlane, Observation, Operator, PATIENCE, Silent};
use rototo_tests::harness::{until, until_async};

use crate::scene::{POLICY, Scene, TRIAL, WORKSPACE};
use crate::webhook::{KEY, WebhookHost, sign};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";

/// A workspace with a webhook, whose operator sends traces to a collector.
async fn traced(purpose: &str, more: &[&str]) -> (WebhookHost, Collector) {
    let collector = Collector::listen().unwrap();
    let endpoint = format!("--otlp-endpoint={}", collector.url());
    let flags: Vec<&str> = more.iter().copied().chain([&*endpoint]).collect();
    let scene = Scene::with_flags(ControlPlane::shared().unwrap(), purpose, &flags).await;
    (WebhookHost::on(scene).await, collector)
}

/// Pushes, and calls as the git host whose own span is [`SENDER`].
async fn push_and_call(host: &WebhookHost) {
    host.scene.repository.push().unwrap();
    let (body, traceparent) = (b"{}", format!("00-{TRACE}-{SENDER}-01"));
    let headers = [("traceparent", &*traceparent)];
    let answer = host.call_with(&host.path, Some(&sign(KEY, body)), &headers, body).await;
    assert_eq!(answer, StatusCode::ACCEPTED);
}

/// Waits for the Event of this reason about the last commit.
async fn event_about(scene: &Scene, reason: &str, text: &str) -> String {
    until_async(format!("the Event {reason}"), PATIENCE, async || {
        let events = scene.namespace.api::<Event>().list(&ListParams::default()).await?.items;
        let notes = events.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
        let notes: Vec<_> = notes.filter_map(|event| event.note).collect();
        let found = notes.iter().find(|note| note.contains(text)).cloned();
        Ok(found.map_or(Observation::NotYet(format!("{notes:?}")), Observation::Done))
    })
    .await
    .unwrap()
}

fn named<'a>(spans: &'a [CollectedSpan], name: &str) -> &'a CollectedSpan {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:#?}"))
}

#[tokio::test]
async fn a_push_is_one_trace_of_the_call_that_announced_it() {
    let (host, collector) = traced("trace", &[]).await;
    let scene = &host.scene;
    let _app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let head = scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6789]").unwrap();
    push_and_call(&host).await;
    let spans = collector.wait_for_change(|span| span.trace == TRACE).unwrap();

    let change = named(&spans, "change");
    let parent_of = |span: &CollectedSpan| {
        let parent = spans.iter().find(|other| other.id == span.parent);
        parent.map_or(span.parent.clone(), |parent| parent.name.clone())
    };
    for (name, parent) in [
        ("change", SENDER),
        ("detect", "change"),
        ("fetch", "change"),
        ("lint", "change"),
        ("publish", "change"),
        ("announce", "publish"),
        ("rehearse", "publish"),
        ("converge", "change"),
    ] {
        assert_eq!(parent_of(named(&spans, name)), parent, "{name}");
    }
    assert_eq!(spans.len(), 8, "{spans:#?}");
    // One step begins where the last one has ended.
    let steps = ["detect", "fetch", "lint", "publish", "converge"].map(|name| named(&spans, name));
    assert!(steps.windows(2).all(|pair| pair[0].end == pair[1].begin), "{spans:#?}");
    assert_eq!((change.begin, change.end), (steps[0].begin, steps[4].end));
    // These are the times that the status shows.
    let converged = |workspace: &RototoWorkspace| {
        let newest = workspace.status.as_ref().and_then(|status| status.history.first());
        newest.is_some_and(|newest| {
            newest.revision.as_ref().is_some_and(|revision| revision.ends_with(&head))
                && newest.converged_millis.is_some()
        })
    };
    let workspace = scene.namespace.wait_for_workspace(WORKSPACE, "converged", converged).await.unwrap();
    let status = workspace.status.unwrap();
    let (newest, published) = (&status.history[0], status.published.as_ref().unwrap());
    assert_eq!(newest.converged_millis, Some((change.end - steps[1].begin) / 1_000_000));
    for span in &spans {
        assert_eq!(span.attributes["rototo.namespace"], scene.namespace.name());
        assert_eq!(span.attributes["rototo.workspace"], WORKSPACE);
        assert_eq!(Some(&span.attributes["rototo.revision"]), published.revision.as_ref());
        assert_eq!(span.attributes["rototo.fingerprint"], published.fingerprint);
        assert_eq!(span.attributes["rototo.publish"], published.updated_at.to_string());
        assert_eq!(span.resource["service.name"], "rototo-operator");
    }
    let fleet = &named(&spans, "converge").attributes;
    assert_eq!((&*fleet["rototo.fleet.applied"], &*fleet["rototo.fleet.expected"]), ("1", "1"));

    let note = event_about(scene, "Published", &head).await;
    assert!(note.ends_with(&format!("; trace {TRACE}")), "{note}");
    let log = scene.operator.process().unwrap().log();
    assert!(log.lines().any(|line| line.contains("published") && line.contains(TRACE)), "{log}");
    assert!(!collector.received("6789") && !collector.received(KEY), "a span says a value or a key");
    assert!(scene.operator.metric("rototo_spans_total", &["outcome=\"sent\""]).unwrap() >= 8.0);
}

#[tokio::test]
async fn a_refused_change_is_a_trace_that_its_event_names() {
    let (host, collector) = traced("trace-refused", &[]).await;
    let head = host.scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = -6789").unwrap();
    push_and_call(&host).await;
    let spans = collector.wait_for_change(|span| span.trace == TRACE).unwrap();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert!(names.len() == 4 && !names.contains(&"publish"), "{names:?}");
    let change = named(&spans, "change");
    assert!(change.is_error && named(&spans, "lint").is_error, "{spans:#?}");
    assert_eq!((&*change.parent, &*change.attributes["rototo.outcome"]), (SENDER, "refused"));
    let note = event_about(&host.scene, "LintRefused", &head[..8]).await;
    assert!(note.ends_with(&format!("; trace {TRACE}")), "{note}");
    assert!(!collector.received("6789"), "a span says a value");
}

#[tokio::test]
async fn a_replica_passes_the_span_of_a_call_on_to_the_leader() {
    let flags = ["--identity=first", "--peer-host=127.0.0.1"];
    let (mut host, collector) = traced("trace-replica", &flags).await;
    let flags = ["--identity=second", "--peer-host=127.0.0.1"];
    let second = Operator::start_with(&host.scene.namespace, &flags).unwrap();
    host.call_at(&second).await;
    host.scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    push_and_call(&host).await;
    let spans = collector.wait_for_change(|span| span.trace == TRACE).unwrap();
    assert_eq!(named(&spans, "change").parent, SENDER);
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_a_publish_nor_the_end() {
    let silent = Silent::listen().unwrap();
    let flag = format!("--otlp-endpoint={}", silent.url());
    let mut scene = Scene::published_with(ControlPlane::shared().unwrap(), "trace-silent", &[&flag]).await;
    until("a request to the collector", PATIENCE, || {
        Ok(if silent.accepted() > 0 { Observation::Done(()) } else { Observation::NotYet("none".to_owned()) })
    })
    .unwrap();
    // The request is not answered until the end of the test, and everything goes on.
    for (from, to) in [("[0, 1000]", "[0, 2000]"), ("[0, 2000]", "[0, 3000]")] {
        let head = scene.repository.edit(TRIAL, from, to).unwrap();
        scene.push().await;
        event_about(&scene, "Published", &head).await;
    }
    until("spans to fail", PATIENCE, || {
        let failed = scene.operator.metric("rototo_spans_total", &["outcome=\"failed\""])?;
        Ok(if failed > 0.0 { Observation::Done(()) } else { Observation::NotYet(failed.to_string()) })
    })
    .unwrap();
    let log = scene.operator.process().unwrap().log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("traces can't be sent")).collect();
    assert!(lines.len() == 1 && lines[0].contains("no answer"), "{lines:#?}");
    assert!(!log.contains("BatchSpanProcessor") && !log.contains("opentelemetry"), "{log}");
    scene.operator.terminate_within(Duration::from_secs(2)).unwrap();
}

#[tokio::test]
async fn without_a_collector_no_event_names_a_trace() {
    let host = WebhookHost::of("no-trace").await;
    let head = host.scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    push_and_call(&host).await;
    let note = event_about(&host.scene, "Published", &head).await;
    assert!(!note.contains("trace"), "{note}");
    assert!(!host.scene.operator.metrics().unwrap().contains("rototo_spans_total{"));
    assert!(!host.scene.operator.process().unwrap().log().contains(TRACE));
}
