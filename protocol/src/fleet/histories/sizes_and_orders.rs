//! Fleets of every size, in which events come in any order.

use super::*;

/// Returns the verdict on a fleet in which one process has this fault and all others have applied the publish.
fn verdict(processes: usize, faulty: usize, fault: Option<ProcessState>, name: impl Fn(usize) -> String) -> Verdict {
    let mut history = History::new();
    for process in 0..processes {
        history.applied(&name(process), publish(A, 1));
    }
    history.publishes(publish(B, 2)).after(50);
    for process in (0..processes).filter(|process| *process != faulty) {
        history.applied(&name(process), publish(B, 2));
    }
    if let Some(state) = fault {
        let names = if state == ProcessState::Rejected { publish(B, 2) } else { publish(A, 1) };
        history.says(&name(faulty), state, names);
    }
    history.verdict()
}

#[test]
fn one_fault_decides_the_verdict_in_a_fleet_of_any_size_and_with_any_names() {
    let faults = [Some(ProcessState::Rejected), Some(ProcessState::Pending), Some(ProcessState::Stale), None];
    for (processes, faults) in [(2, &faults[..]), (300, &faults[..]), (PROCESSES, &faults[..1])] {
        for fault in faults.iter().copied() {
            let forwards = verdict(processes, processes / 2, fault, |process| format!("pod-{process}"));
            let backwards = verdict(processes, processes / 2, fault, |process| format!("{}-pod", processes - process));
            assert_eq!(forwards, backwards, "{processes} {fault:?}");
            let refused = fault == Some(ProcessState::Rejected);
            assert_eq!(forwards == Verdict::Refused, refused, "{processes} {fault:?}");
            assert_ne!(forwards, Verdict::Converged, "{processes} {fault:?}");
        }
    }
}

#[test]
fn reports_in_any_order_and_any_number_lead_to_the_same_view() {
    let last_report = |process: &'static str, sequence: u64, state, publish| {
        let report = Report { sequence: Some(sequence), ..Report::default() };
        (process, state, publish, report)
    };
    let messages = [
        last_report("p1", 2, ProcessState::Pending, publish(A, 1)),
        last_report("p1", 3, ProcessState::Applied, publish(B, 2)),
        last_report("p2", 2, ProcessState::Applied, publish(B, 2)),
        last_report("p2", 3, ProcessState::Draining, publish(B, 2)),
        last_report("p3", 2, ProcessState::Rejected, publish(B, 2)),
        last_report("p3", 3, ProcessState::Applied, publish(B, 2)),
    ];
    let deliver = |order: &[usize]| {
        let mut history = History::new();
        for pod in ["p1", "p2", "p3"] {
            history.pod(pod).reports(
                pod,
                ProcessState::Applied,
                Some(publish(A, 1)),
                Report { sequence: Some(1), ..Report::default() },
            );
        }
        history.publishes(publish(B, 2)).after(40);
        for index in order {
            let (process, state, publish, report) = messages[*index].clone();
            history.reports(process, state, Some(publish), report);
        }
        let view = history.view();
        (view.verdict, view.applied, view.rejected, view.processes, view.behind)
    };
    let expected = deliver(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(expected.0, Verdict::Converged);
    let mut order = [0, 1, 2, 3, 4, 5];
    // All orders by Heap's algorithm, each with its first message repeated at the end.
    let mut counts = [0; 6];
    let mut at = 0;
    while at < order.len() {
        if counts[at] < at {
            order.swap(if at % 2 == 0 { 0 } else { counts[at] }, at);
            assert_eq!(deliver(&[&order[..], &order[..1]].concat()), expected, "{order:?}");
            counts[at] += 1;
            at = 0;
        } else {
            counts[at] = 0;
            at += 1;
        }
    }
}

#[test]
fn reports_keep_the_content_that_most_processes_run() {
    let mut history = History::new();
    history.pod("p1").pod("p2");
    let content = |number: usize| {
        let fingerprint = format!("sha256:{number:064x}").parse().unwrap();
        Publish { fingerprint, ..publish(A, 1) }
    };
    for process in ["p1/a", "p1/b", "p2/a"] {
        history.applied(process, content(999));
    }
    for number in 0..30 {
        history.applied(&format!("p{}/{number}", number % 2 + 1), content(number));
    }
    let named = history.fleet.named();
    assert_eq!((named.len(), named.first()), (MAX_NAMED, Some(&content(999).fingerprint)));
}
