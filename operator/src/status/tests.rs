//! Tests of the status. Each gives an input and reads the conditions, as a person would.

mod claims;
mod held;
mod sources;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rototo_api::UpdatedAt;
use rototo_api::condition::{CONVERGED, reason};
use rototo_api::rollout::RequestState;
use rototo_api::workspace::{FailOn, RejectedDiagnostic, RototoWorkspaceSpec, SourceLayer, Straggler, WorkspaceStatus};
use rototo_engine::{Fingerprint, Tree};
use rototo_protocol::Publish;
use rototo_protocol::fleet::{RehearsalView, Verdict as Fleet};
use rototo_protocol::windows::{HEARTBEAT, Windows};
use rototo_source::CommitInfo;

use super::*;
use crate::marker::problem::PublishProblem;
use crate::source::candidate::{Candidate, LintRefusal, PollTimes};
use crate::status::events::events;
use crate::status::input::{HeldInput, SourceInput, SourceProblem};

struct StatusCase {
    spec: RototoWorkspaceSpec,
    candidate: Option<Arc<Candidate>>,
    seen: SeenRevisions,
    error: Option<(&'static str, bool)>,
    fault: Option<&'static str>,
    verified_ago: Option<Duration>,
    published: Option<Publish>,
    marker_is_known: bool,
    pods_missing: Option<String>,
    alone: bool,
    held: Option<HeldInput>,
    problem: Option<PublishProblem>,
    fleet: FleetView,
    behind_for: Option<Duration>,
    selector_usable: bool,
    current: bool,
    confirmed: bool,
    unread_for: Option<Duration>,
    rollout: Option<RolloutInput>,
    newest_announced: Option<UpdatedAt>,
    rehearsal: Option<RehearsalView>,
    steering: SteeringInput,
    previous: RototoWorkspaceStatus,
}

fn fingerprint(content: &str) -> Fingerprint {
    let tree: Tree = [("rototo-workspace.toml".to_owned(), content.as_bytes().to_vec())].into_iter().collect();
    tree.fingerprint()
}

fn publish(content: &str, second: u32) -> Publish {
    let updated_at = format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap();
    Publish { fingerprint: fingerprint(content), updated_at }
}

fn candidate(content: &str, commit: char, verdict: LintVerdict) -> Arc<Candidate> {
    let commit: String = std::iter::repeat_n(commit, 40).collect();
    let now = Instant::now();
    Arc::new(Candidate {
        layers: Vec::new(),
        revision: Some(format!("main@sha1:{commit}").parse().unwrap()),
        commit: Some(CommitInfo { author: "Ada".to_owned(), subject: format!("Change {content}") }),
        immutable: false,
        fingerprint: fingerprint(content),
        contents: WorkspaceStatus { variables: 1, qualifiers: 2, resources: 3, documents: 7, expired: 0 },
        expiries: Arc::default(),
        signature: None,
        fail_on: FailOn::Error,
        provisional: false,
        verdict,
        times: PollTimes { detected: now, fetched: now, linted: now },
    })
}

fn refused() -> LintVerdict {
    let finding = RejectedDiagnostic {
        rule: "rototo/some-rule".to_owned(),
        path: Some("variables/limit.toml".to_owned()),
        line: Some(3),
        message: "the value has another type".to_owned(),
    };
    LintVerdict::Refused(LintRefusal { errors: 2, warnings: 0, findings: vec![finding] })
}

fn fleet(applied: u32, expected: u32, verdict: Fleet) -> FleetView {
    FleetView {
        expected: Some(expected),
        processes: expected,
        applied,
        running_next: 0,
        rejected: 0,
        silent: 0,
        behind: Vec::new(),
        verdict,
        millis: Some(Millis { published: 9, all: Some(64), ..Millis::default() }),
        next_change: None,
        unbound: 0,
        unaccounted: 0,
        lost: 0,
        no_room: None,
        windows: Windows::of(3, HEARTBEAT),
    }
}

impl StatusCase {
    /// All is well: content A runs everywhere.
    fn new() -> Self {
        let mut case = Self {
            spec: serde_json::from_str(r#"{"source":"git+https://git.example.com/config.git#main:prod"}"#).unwrap(),
            candidate: Some(candidate("A", 'a', LintVerdict::Accepted)),
            seen: SeenRevisions::default(),
            error: None,
            fault: None,
            verified_ago: Some(Duration::from_secs(3)),
            published: Some(publish("A", 1)),
            marker_is_known: true,
            pods_missing: None,
            alone: false,
            held: None,
            problem: None,
            fleet: fleet(3, 3, Fleet::Converged),
            behind_for: None,
            selector_usable: true,
            current: true,
            confirmed: true,
            unread_for: None,
            rollout: None,
            newest_announced: None,
            rehearsal: None,
            steering: SteeringInput::default(),
            previous: RototoWorkspaceStatus::default(),
        };
        case.previous = case.status();
        case
    }

    fn status(&self) -> RototoWorkspaceStatus {
        let time = "2026-11-20T18:40:00Z".parse().unwrap();
        let error = self.error.map(|(code, transient)| SourceProblem {
            reason: match self.fault {
                Some(fault) => fault,
                None if transient => reason::SOURCE_UNAVAILABLE,
                None => reason::SOURCE_REFUSED,
            },
            message: code.to_owned(),
            transient,
        });
        status(&StatusInput {
            spec: &self.spec,
            generation: Some(1),
            now: time,
            source: SourceInput {
                candidate: self.candidate.as_deref(),
                seen: &self.seen,
                last_success: Some(time),
                verified_ago: self.verified_ago,
                failures: u32::from(error.is_some()),
                error,
                current: self.current,
                confirmed: self.confirmed,
                unread_for: self.unread_for,
            },
            published: self.published,
            marker_is_known: self.marker_is_known,
            pods_missing: self.pods_missing.clone(),
            alone: self.alone,
            held: self.held.clone(),
            rollout: self.rollout.clone(),
            newest_announced: self.newest_announced,
            rehearsal: self.rehearsal.as_ref(),
            steering: self.steering.clone(),
            problem: self.problem.as_ref(),
            fleet: &self.fleet,
            behind_for: self.behind_for,
            selector_usable: self.selector_usable,
            handled_request: None,
            previous: &self.previous,
        })
    }

    /// Returns one line for each condition: `Ready=True/Converged`.
    fn conditions(&self) -> Vec<String> {
        let status = self.status();
        status.conditions.iter().map(|one| format!("{}={}/{}", one.type_, one.status, one.reason)).collect()
    }

    fn events(&self) -> Vec<&'static str> {
        events(&self.previous, &self.status()).into_iter().map(|event| event.reason).collect()
    }
}

#[test]
fn a_fleet_that_runs_the_newest_revision_is_ready_and_has_a_summary() {
    let case = StatusCase::new();
    assert_eq!(
        case.conditions(),
        [
            "Ready=True/Converged",
            "SourceReady=True/Fetched",
            "LintPassed=True/Passed",
            "Published=True/Published",
            "Converged=True/Converged"
        ]
    );
    let summary = case.status().summary.unwrap();
    assert_eq!(summary.fleet.as_deref(), Some("3/3"));
    assert_eq!(summary.revision.as_deref(), Some("main@sha1:aaaaaaaa"));
    assert_eq!(summary.converged_in.as_deref(), Some("64ms"));
}

#[test]
fn a_refused_candidate_leaves_what_is_published_and_says_where_the_errors_are() {
    let mut case = StatusCase::new();
    case.candidate = Some(candidate("B", 'b', refused()));
    assert_eq!(
        case.conditions(),
        [
            "Ready=False/LintRefused",
            "SourceReady=True/Fetched",
            "LintPassed=False/LintRefused",
            "Published=True/Published",
            "Converged=True/Converged"
        ]
    );
    let status = case.status();
    assert_eq!(status.published.unwrap().revision.unwrap(), format!("main@sha1:{}", "a".repeat(40)));
    assert_eq!(
        status.conditions[0].message,
        "main@sha1:bbbbbbbb is refused: variables/limit.toml:3: the value has another type [rototo/some-rule] (and 1 \
         more); processes keep what was published before"
    );
    assert_eq!(case.events(), ["LintRefused"]);
}

#[test]
fn a_refusal_is_one_event_and_its_end_another() {
    let mut case = StatusCase::new();
    case.candidate = Some(candidate("B", 'b', refused()));
    case.previous = case.status();
    assert!(case.events().is_empty());
    case.candidate = Some(candidate("A", 'c', LintVerdict::Accepted));
    assert_eq!(case.events(), ["Recovered"]);
    assert_eq!(case.status().rejected, None);
}

#[test]
fn a_change_on_its_way_is_reconciling_and_late_only_after_its_deadline() {
    let mut case = StatusCase::new();
    case.published = Some(publish("B", 2));
    case.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    case.fleet = fleet(1, 3, Fleet::Progressing { since: Duration::ZERO });
    case.behind_for = Some(Duration::from_millis(900));
    case.fleet.millis = None;
    assert_eq!(case.conditions()[..2], ["Ready=False/Progressing", "Reconciling=True/Progressing"]);
    assert_eq!(case.events(), ["Published"]);
    case.previous = case.status();
    case.behind_for = Some(Duration::from_millis(1100));
    case.fleet.behind = vec![Straggler { name: "pod-2".to_owned(), state: "silent".to_owned(), reason: None }];
    assert_eq!(case.conditions()[0], "Ready=False/DeadlineExceeded");
    assert_eq!(case.events(), ["ConvergeDeadlineExceeded"]);
    assert_eq!(
        case.status().conditions[0].message,
        "after more than 1s, 1 of 3 processes run what is published; behind: pod-2 (silent)"
    );
}

#[test]
fn a_marker_that_the_api_server_refuses_is_a_failure_and_one_event() {
    let mut case = StatusCase::new();
    case.candidate = Some(candidate("B", 'b', LintVerdict::Accepted));
    case.problem = Some(PublishProblem::Refused("exceeded quota".to_owned()));
    assert_eq!(case.conditions()[0], "Ready=False/PublishFailed");
    assert_eq!(case.events(), ["PublishFailed"]);
    case.previous = case.status();
    assert!(case.events().is_empty());
}

#[test]
fn an_operator_that_could_not_read_the_marker_yet_keeps_what_status_says_of_it() {
    let mut case = StatusCase::new();
    let before = case.status().published;
    (case.published, case.marker_is_known) = (None, false);
    case.problem = Some(PublishProblem::Unavailable("429".to_owned()));
    case.fleet = fleet(0, 0, Fleet::NothingPublished);
    assert!(before.is_some());
    assert_eq!(case.status().published, before);
    let conditions = case.conditions();
    assert!(conditions.contains(&"Published=False/PublishFailed".to_owned()), "{conditions:?}");
    assert!(conditions.contains(&"Converged=Unknown/Recounting".to_owned()), "{conditions:?}");
    case.marker_is_known = true;
    assert_eq!(case.status().published, None);
}

#[test]
fn nothing_is_claimed_while_pods_can_t_be_watched() {
    let mut case = StatusCase::new();
    case.pods_missing = Some("403: forbidden".to_owned());
    case.fleet.verdict = Fleet::Unprovable;
    let conditions = case.conditions();
    assert!(conditions.contains(&"Converged=Unknown/Unprovable".to_owned()), "{conditions:?}");
    let status = case.status();
    let message = &status.condition(CONVERGED).unwrap().message;
    assert!(message.contains("403: forbidden"), "{message}");
}

#[test]
fn before_the_first_poll_nothing_is_claimed() {
    let mut case = StatusCase::new();
    case.previous = RototoWorkspaceStatus::default();
    (case.candidate, case.published, case.verified_ago, case.current) = (None, None, None, false);
    case.fleet = fleet(0, 0, Fleet::NothingPublished);
    case.fleet.expected = None;
    assert_eq!(
        case.conditions(),
        [
            "Ready=Unknown/NotPolled",
            "Reconciling=True/Polling",
            "SourceReady=Unknown/NotPolled",
            "LintPassed=Unknown/NotLinted",
            "Published=False/NothingPublished",
            "Converged=Unknown/NothingPublished"
        ]
    );
    assert_eq!(case.status().summary.unwrap().fleet.as_deref(), Some("0 reporting"));
}

#[test]
fn a_restarted_operator_keeps_saying_what_was_found_until_it_knows_better() {
    let mut case = StatusCase::new();
    case.candidate = Some(candidate("B", 'b', refused()));
    case.previous = case.status();
    (case.candidate, case.current) = (None, false);
    case.fleet.verdict = Fleet::Recounting;
    let status = case.status();
    assert_eq!(status.rejected, case.previous.rejected);
    assert_eq!(status.conditions[0].reason, "LintRefused");
    assert!(case.events().is_empty());
}

#[test]
fn the_history_has_one_entry_a_publish_and_ends_after_ten() {
    let mut case = StatusCase::new();
    for second in 2..20 {
        case.published = Some(publish("A", second));
        case.previous = case.status();
        case.previous = case.status();
    }
    let history = &case.previous.history;
    assert_eq!(history.len(), 10);
    assert!(history.windows(2).all(|pair| pair[0].updated_at > pair[1].updated_at));
    assert_eq!(history[0].converged_millis, Some(64));
}

#[test]
fn a_time_of_verification_alone_is_written_every_ten_minutes() {
    let case = StatusCase::new();
    let mut next = case.status();
    assert!(!worth_writing(&case.previous, &next));
    let mut later = |time: &str| {
        next.source.as_mut().unwrap().last_success = Some(Time(time.parse().unwrap()));
        worth_writing(&case.previous, &next)
    };
    assert!(!later("2026-11-20T18:49:59Z"));
    assert!(later("2026-11-20T18:50:00Z"));
}

#[test]
fn a_commit_that_is_followed_by_one_of_the_same_content_is_still_named() {
    let mut case = StatusCase::new();
    for commit in "bcdefghijklm".chars() {
        case.candidate =
            Some(candidate("A", if commit.is_ascii_hexdigit() { commit } else { '0' }, LintVerdict::Accepted));
        case.previous = case.status();
    }
    let revisions = case.status().published.unwrap().revisions;
    assert!(revisions[0].ends_with("00") && revisions.iter().any(|revision| revision.ends_with("bb")), "{revisions:?}");
}

#[test]
fn content_that_the_operator_lost_before_its_publish_is_named() {
    let mut case = StatusCase::new();
    let fingerprint = fingerprint("B");
    case.problem = Some(PublishProblem::NotKept { fingerprint });
    let published = case.status().condition("Published").unwrap().clone();
    let message = published.message;
    assert_eq!((published.status.as_str(), published.reason.as_str()), ("False", reason::PUBLISH_FAILED));
    let short = short_fingerprint(&fingerprint.to_string());
    assert!(message.contains(&short) && message.ends_with("the source is read again"), "{message}");
}

#[test]
fn published_content_that_the_operator_lost_does_not_count_as_published() {
    let mut case = StatusCase::new();
    case.problem = Some(PublishProblem::Lost);
    for condition in ["Published=False/SnapshotLost", "Ready=False/SnapshotLost"] {
        assert!(case.conditions().contains(&condition.to_owned()), "{condition}: {:?}", case.conditions());
    }
    // The column STATUS and `rototo status` show the message of Ready.
    let ready = case.status().condition("Ready").unwrap().clone();
    assert!(ready.message.ends_with("until then new processes wait"), "{}", ready.message);
    let served = case.status().conditions.into_iter().find(|condition| condition.message.contains("is served"));
    assert_eq!(served, None);
    assert_eq!(case.events(), ["SnapshotLost"]);
}

#[test]
fn the_end_of_a_failure_says_what_has_recovered() {
    let recovered = |problem| {
        let mut case = StatusCase::new();
        case.problem = Some(problem);
        case.previous = case.status();
        case.problem = None;
        events(&case.previous, &case.status()).into_iter().map(|event| event.message).collect::<Vec<_>>()
    };
    assert_eq!(recovered(PublishProblem::Lost), ["the operator can serve the published content again"]);
    assert_eq!(recovered(PublishProblem::Unavailable("429".to_owned())), ["the marker can be written again"]);
}

#[test]
fn a_foreign_map_is_named_with_the_command_that_takes_it_over() {
    let mut case = StatusCase::new();
    let (namespace, release) = ("platform-configuration-production-eu-west-1", "rototo-operator-production-eu-west-1");
    let claim = format!(
        "kubectl annotate configmap rototo-markers -n checkout-service-production-eu-west-1 --overwrite \
         rototo.dev/install={namespace}/{release} --as=system:serviceaccount:{namespace}:{release}"
    );
    for (owner, says) in
        [(Some("other/rototo"), "if that one is gone, take the map over: "), (None, "to take it over: ")]
    {
        case.problem = Some(PublishProblem::Foreign { owner: owner.map(str::to_owned), claim: claim.clone() });
        let message = case.status().condition("Published").unwrap().message.clone();
        assert!(message.ends_with(&format!("{says}{claim}")), "{message}");
    }
    // An owner of any length leaves the command whole.
    case.problem = Some(PublishProblem::Foreign { owner: Some("x".repeat(10_000)), claim: claim.clone() });
    assert!(case.status().condition("Published").unwrap().message.ends_with(&claim));
}

#[test]
fn transition_times_stay_while_a_condition_stays() {
    let mut case = StatusCase::new();
    for condition in &mut case.previous.conditions {
        condition.last_transition_time = Time("2026-01-01T00:00:00Z".parse().unwrap());
    }
    case.candidate = Some(candidate("B", 'b', refused()));
    let status = case.status();
    let since = |type_: &str| status.condition(type_).unwrap().last_transition_time.0.to_string();
    assert_eq!(since("Published"), "2026-01-01T00:00:00Z");
    assert_eq!(since("LintPassed"), "2026-11-20T18:40:00Z");
}

#[test]
fn the_reference_explains_every_reason_and_no_other() {
    let page = include_str!("../../../docs/reference/conditions.md");
    for reason in reason::ALL {
        assert!(page.contains(&format!("`{reason}`")), "docs/reference/conditions.md does not explain `{reason}`");
    }
    // A row of a condition: | True | `Reason` | …
    for line in
        page.lines().filter(|line| ["| True ", "| False ", "| Unknown "].iter().any(|row| line.starts_with(row)))
    {
        let named = line.split('|').nth(2).unwrap().split('`').nth(1);
        assert!(named.is_none_or(|named| reason::ALL.contains(&named)), "no condition has the reason of {line}");
    }
}

#[test]
fn conditions_and_events_take_their_reasons_from_one_list() {
    let code = [include_str!("conditions.rs"), include_str!("events.rs")].concat();
    for reason in reason::ALL {
        assert!(!code.contains(&format!("\"{reason}\"")), "`{reason}` stands in the code as text");
    }
}

/// The author of a workspace, the owner of its object, its git host, and its pods say as much as they can.
#[test]
fn the_worst_status_is_below_64_kib_and_has_no_effect_on_a_terminal() {
    let megabyte = "\u{1b}[2J\u{202e}\nREADY True 😀".repeat(40_000);
    let finding = RejectedDiagnostic {
        rule: format!("team/{}", "x".repeat(1 << 20)),
        path: Some(megabyte.clone()),
        line: Some(3),
        message: megabyte.clone(),
    };
    let findings = vec![finding; 10];
    let mut case = StatusCase::new();
    case.error = Some((megabyte.clone().leak(), false));
    let verdict = LintVerdict::Refused(LintRefusal { errors: 1_000, warnings: 1_000, findings });
    let mut refused = Arc::into_inner(candidate("B", 'b', verdict)).unwrap();
    let layer = SourceLayer { source: megabyte.clone(), commit: Some("c".repeat(40)) };
    refused.layers = vec![layer; 32];
    let branch = "b".repeat(255);
    let revision = |n: u32| format!("{branch}@sha1:{n:040}");
    refused.revision = Some(revision(0).parse().unwrap());
    refused.commit = Some(CommitInfo { author: megabyte.clone(), subject: megabyte.clone() });
    let words = CommitStatus { author: "a".repeat(AUTHOR), subject: "s".repeat(SUBJECT) };
    case.candidate = Some(Arc::new(refused));
    case.problem = Some(PublishProblem::Refused(megabyte.clone()));
    let straggler = Straggler { name: "p".repeat(253), state: "rejected".to_owned(), reason: Some("r".repeat(64)) };
    case.held = Some(HeldInput {
        revision: revision(2),
        fingerprint: fingerprint("B").to_string(),
        reason: HeldReason::Refused { processes: vec![straggler.clone(); 10] },
        release: "kubectl annotate".to_owned(),
    });
    case.steering.request = Some(RequestStatus {
        request: megabyte.clone(),
        by: megabyte.clone(),
        state: RequestState::Refused,
        reason: Some("it is no request".to_owned()),
    });
    case.fleet.behind = vec![straggler; 10];
    if let Some(published) = &mut case.previous.published {
        published.commit = Some(words.clone());
        (published.revision, published.revisions) = (Some(revision(1)), (1..=10).map(revision).collect());
    }
    case.rollout = Some(held::rolling_out(&revision(3)));
    case.previous.source = Some(SourceStatus {
        fingerprint: Some(fingerprint("B").to_string()),
        revisions: (11..=20).map(revision).collect(),
        ..SourceStatus::default()
    });
    let publishes = (0..10).map(|second| HistoryEntry {
        fingerprint: publish("A", second).fingerprint.to_string(),
        revision: Some(bounded(&revision(second), REVISION)),
        commit: Some(words.clone()),
        updated_at: publish("A", second).updated_at,
        anyway: true,
        by: Some("b".repeat(AUTHOR)),
        converged_millis: Some(1),
    });
    case.previous.history = publishes.collect();
    let status = case.status();
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.len() < 64 << 10, "{} bytes", text.len());
    assert!(!text.chars().any(rototo_engine::text::is_disruptive), "{text}");
    assert!(!text.contains("\\u001b") && !text.contains("\\n"), "{text}");
    for event in events(&case.previous, &status) {
        assert!(event.message.len() < 4 << 10 && !event.message.chars().any(rototo_engine::text::is_disruptive));
    }
    // The same input gives the same status, so that it is not written again and again.
    case.previous = status.clone();
    assert_eq!(case.status(), status);
}

#[test]
fn what_has_expired_is_counted_on_the_day_of_the_operators_clock() {
    let mut world = StatusCase::new();
    assert_eq!(world.status().workspace.unwrap().expired, 0);
    let expiries = ["2026-11-20", "2026-11-21"].map(|day| day.parse().unwrap());
    let expiring = Candidate { expiries: expiries.into(), ..(*candidate("A", 'a', LintVerdict::Accepted)).clone() };
    assert_eq!(expiring.expired("2026-11-19T23:59:59Z".parse().unwrap()), 0);
    assert_eq!(expiring.expired("2026-11-21T00:00:00Z".parse().unwrap()), 2);
    world.candidate = Some(Arc::new(expiring));
    let status = world.status();
    assert_eq!(status.workspace.unwrap().expired, 1);
    assert!(worth_writing(&world.previous, &status), "a new day with nothing else new is worth a write");
    let lint = status.condition("LintPassed").unwrap();
    assert_eq!(lint.status, "True");
    assert!(lint.message.contains("1 variable or rule has expired: `rototo lint --expired`"), "{}", lint.message);
}
