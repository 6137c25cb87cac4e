//! Faults of rehearsals: content that runs too early, is published against a refusal, or waits for nothing.

use super::{FOLLOWER, HANDOVER, Mutant, PLAN, PUBLISHER, mutant};

const FLEET: &str = "protocol/src/fleet/mod.rs";
const REHEARSAL: &str = "protocol/src/fleet/rehearsal.rs";
const STANDBY: &str = "protocol/src/follower/standby.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    // Refusals.
    mutant(
        "a refusal times out",
        REHEARSAL,
        "_ if !view.refused.is_empty() => (RehearsalVerdict::Refused, None),",
        "_ if !view.refused.is_empty() && now < limit => (RehearsalVerdict::Refused, None),",
    ),
    mutant(
        "a refusal of a pod that is not selected holds a publish",
        REHEARSAL,
        "selected && self.goal.as_ref()",
        "(selected || id.pod.is_some()) && self.goal.as_ref()",
    ),
    mutant(
        "a refusal of a process that runs something else holds a publish",
        REHEARSAL,
        "selected && self.goal.as_ref().is_some_and(|goal| process.resolves(goal.publish.fingerprint))",
        "selected && self.goal.is_some()",
    ),
    mutant(
        "a refusal holds only under the name of what is published",
        REHEARSAL,
        "selected && self.goal.as_ref().is_some_and(|goal| process.resolves(goal.publish.fingerprint))",
        "selected && process.applied.is_some()",
    ),
    mutant(
        "an answer about an earlier name of the content is ignored",
        REHEARSAL,
        "reported.publish.fingerprint == next.fingerprint)\n",
        "reported.publish == *next)\n",
    ),
    mutant(
        "a report that says nothing about an announcement takes a refusal back",
        FLEET,
        "last_report(report).after(&process.last_report)",
        "last_report(report)",
    ),
    mutant(
        "nobody is asked where the only process that can prepare is silent",
        REHEARSAL,
        "self.liveness(id, process, now).counts();\n",
        "self.liveness(id, process, now) == Liveness::Live;\n",
    ),
    mutant(
        "a handover forgets refusals",
        HANDOVER,
        "next: process.last_report.next.as_ref().map(ReportedPreparation::to_report),",
        "next: None,",
    ),
    // How long a publish waits.
    mutant(
        "an announcement of an earlier operator waits for the time limit alone",
        REHEARSAL,
        "let unknown = recounts && rehearsal.found &&",
        "let unknown = recounts && now < limit && rehearsal.found &&",
    ),
    mutant(
        "a best-effort rehearsal waits for whoever lives",
        REHEARSAL,
        "RehearsalMode::BestEffort if now < limit && (self.recounting || awaited())",
        "RehearsalMode::BestEffort if self.recounting || awaited()",
    ),
    mutant("who has answered is still awaited", REHEARSAL, "        rehearsal.awaited.remove(id);\n", ""),
    mutant(
        "who can't prepare is awaited",
        REHEARSAL,
        "self.processes.iter().filter(|(_, process)| process.last_report.prepares)",
        "self.processes.iter()",
    ),
    mutant(
        "whoever is told of an announcement has passed it",
        PUBLISHER,
        "view.verdict == RehearsalVerdict::Passed || staged && view.verdict != RehearsalVerdict::Waiting;",
        "view.verdict != RehearsalVerdict::Refused || staged;",
    ),
    // A required rehearsal.
    mutant(
        "a required rehearsal needs no recount",
        REHEARSAL,
        "            RehearsalMode::Require if recounts => wait(everybody),\n",
        "",
    ),
    mutant(
        "the required part is rounded down",
        REHEARSAL,
        "u64::from(self.prepared) * 100 >= u64::from(self.expected) * u64::from(min_prepared)",
        "u64::from(self.prepared) >= u64::from(self.expected) * u64::from(min_prepared) / 100",
    ),
    mutant(
        "a required rehearsal that takes long passes",
        REHEARSAL,
        "RehearsalMode::Require => (RehearsalVerdict::Incomplete, Some(now + JUDGED_EVERY)),",
        "RehearsalMode::Require => (RehearsalVerdict::Passed, Some(now + JUDGED_EVERY)),",
    ),
    // The marker.
    mutant(
        "whoever changes the marker publishes what is rehearsed",
        PLAN,
        "let back = !observed.may_publish(right) || observed.is_kept_back(right, marked);",
        "let back = observed.is_kept_back(right, marked);",
    ),
    mutant(
        "content that waits is announced again and again",
        PLAN,
        "announced.is_none_or(|next| next == found)",
        "announced.is_none_or(|next| next != found)",
    ),
    mutant(
        "an announcement stays although the source no longer has it",
        PLAN,
        "    Marked { held, ..marked.publish.into() }\n",
        "    Marked { held, next: marked.next, stage: marked.stage, ..marked.publish.into() }\n",
    ),
    mutant(
        "an announced name is used although what is published has a later one",
        PLAN,
        "        let name = name.filter(|name| Some(*name) > last);\n",
        "",
    ),
    mutant(
        "an announced name is used although the marker has a later one",
        PLAN,
        "        let name = name.filter(|name| marked.next.is_none_or(|next| *name >= next.updated_at));\n",
        "",
    ),
    mutant(
        "names are not compared with that of the announcement",
        PLAN,
        "let others = marked.next.into_iter().chain(",
        "let others = marked.next.into_iter().take(0).chain(",
    ),
    mutant(
        "a publish has another name than its announcement",
        PLAN,
        "let updated_at = name.unwrap_or_else(|| namer.of_publish(fingerprint));",
        "let updated_at = UpdatedAt::after(name.map(|_| marked.publish.updated_at), observed.now);",
    ),
    // Processes.
    mutant(
        "announced content is swapped in",
        FOLLOWER,
        "None => actions.extend(self.standby.hold(fingerprint).then_some(FollowerAction::Hold(fingerprint))),",
        "None => {\n                if let Some(next) = self.standby.wanted().filter(|next| next.fingerprint == fingerprint) {\n                    self.swap(next, actions);\n                }\n            }",
    ),
    mutant(
        "held content is not dropped",
        STANDBY,
        "self.held = self.held.filter(|held| Some(*held) == wanted);",
        "let _ = wanted;",
    ),
    mutant(
        "announced content is fetched before what is published",
        FOLLOWER,
        "let Some(desired) = missing.or_else(|| self.missing_next(tick))",
        "let Some(desired) = self.missing_next(tick).or(missing)",
    ),
    mutant(
        "content that was prepared is fetched again",
        FOLLOWER,
        "if self.standby.take_held(desired.fingerprint) && !runs {",
        "if self.standby.take_held(desired.fingerprint) && runs {",
    ),
    // Restarts.
    mutant(
        "a pod that is newer than the count is not waited for",
        REHEARSAL,
        "self.unaccounted() > 0 || !self.unreported(now).is_empty() ||",
        "self.unaccounted() > 0 ||",
    ),
    mutant(
        "a process that sees no marker has answered what it announced",
        REHEARSAL,
        " || self.saw_no_marker(&rehearsal.next)",
        "",
    ),
];
