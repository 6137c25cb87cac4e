//! Faults in how long things take, in what is taken for somebody's edit, and in counts.

use super::{
    FLEET, Mutant, PLAN, PROCESS, PUBLISHER, PUBLISHING_EDGE, RECORD_EDGE, STATUS_EDGE, VIEW, WORKSPACE_EDGE, mutant,
};

const ATTENDANCE: &str = "protocol/src/fleet/attendance.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        "a recount is as long as the operator waits for a process whose end can't be seen",
        FLEET,
        "if self.recounting && now >= self.listening_since + self.windows().recount {",
        "if self.recounting && now >= self.listening_since + self.windows().forget {",
    ),
    mutant(
        "a process whose end can't be seen is waited for twice as long",
        PROCESS,
        "process.last_report_at.max(self.listening_since).max(self.turned_away) + self.windows().forget",
        "process.last_report_at.max(self.listening_since).max(self.turned_away) + self.windows().forget * 2",
    ),
    mutant(
        "the figure counts when a process reported that it applied a publish",
        FLEET,
        "now.checked_sub(ago.unwrap_or_default())",
        "now.checked_sub(ago.unwrap_or_default().min(Duration::ZERO))",
    ),
    mutant(
        "a publish is told as a marker that was put back",
        PLAN,
        "let put_back = tampered || accepted != Some(fingerprint);",
        "let put_back = tampered || accepted.is_some();",
    ),
    mutant(
        "what changed while a status was written is written at the next reconcile",
        STATUS_EDGE,
        "record.status = known;\n        self.requeue(operator, Duration::from_millis(20));",
        "record.status = known;",
    ),
    mutant(
        "a sweep trusts its watch and does not ask whether the workspace is gone",
        WORKSPACE_EDGE,
        "if exists || leader.shown_workspace.is_some() {",
        "if leader.shown_workspace.is_some() {",
    ),
    mutant(
        "what an earlier leader published is undone on a workspace that is suspended",
        PLAN,
        "accepted.or(promoted.or(known).map(|right| right.fingerprint))",
        "accepted.or(known.map(|known| known.fingerprint))",
    ),
    mutant(
        "a name that the marker announces is an edit of somebody else",
        PLAN,
        "self.reported.filter(|reported| announced < Some(*reported))",
        "self.reported.filter(|_| announced.is_none_or(|_| true))",
    ),
    mutant(
        "a process stands in for another although it opened the workspace later",
        ATTENDANCE,
        "report.opened_ms_ago.or(report.started_ms_ago)",
        "report.started_ms_ago",
    ),
    mutant(
        "a process stands in for another although it had drained before",
        ATTENDANCE,
        " && self.drained_ago.is_none_or(|drained| drained + REPORT_TIMEOUT < ago)",
        " && self.drained_ago.is_none_or(|drained| drained + REPORT_TIMEOUT < Duration::MAX)",
    ),
    mutant(
        "a late report of a process that had drained before stands in for another",
        ATTENDANCE,
        "drained + REPORT_TIMEOUT < ago",
        "drained + REPORT_TIMEOUT < ago + REPORT_TIMEOUT",
    ),
    mutant(
        "a process that had drained before a publish is of its cohort",
        ATTENDANCE,
        "drained < ago",
        "drained < Duration::MAX",
    ),
    mutant(
        "a new leader reads the map, and does not take it over",
        PUBLISHING_EDGE,
        "            self.api.map_version += 1;\n            self.learn_map(operator);",
        "            self.learn_map(operator);",
    ),
    // Counts.
    mutant(
        "a process that runs what a stage announces is counted as one that runs what is published",
        VIEW,
        "view.applied += u32::from(!silent && published.is_some_and(|publish| process.runs(&publish)));",
        "view.applied += u32::from(!silent && process.applied.is_some());",
    ),
    mutant(
        "a process that refuses what is published is counted as one that runs it",
        VIEW,
        "view.applied += u32::from(!silent && published.is_some_and(|publish| process.runs(&publish)));",
        "view.applied += u32::from(!silent && published == process.last_report.publish);",
    ),
    mutant(
        "an operator that starts does not know which name was announced last",
        RECORD_EDGE,
        "last_announced.into_iter().for_each(|name| record.fleet.know_name(name));",
        "let _ = last_announced;",
    ),
    // Edits beside a rollout.
    mutant(
        "a rollout ends when somebody writes a later name than the announced one into the marker",
        PLAN,
        "let rollout = rollout.filter(|(next, _)| next.fingerprint != fingerprint);",
        "let rollout = rollout.filter(|(next, _)| next.fingerprint != fingerprint && namer.of_put_back(fingerprint, *next) < next.updated_at);",
    ),
    mutant(
        "a rollout ends when somebody removes the marker while no operator runs",
        PUBLISHER,
        "remembered_rollout: input.remembered_rollout.filter(|_| self.has_lost(&map, &input)),",
        "remembered_rollout: input.remembered_rollout.filter(|_| input.queues && self.has_lost(&map, &input)),",
    ),
];
