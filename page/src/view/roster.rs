//! The processes of a fleet, one by one as far as that fits on a page, and the rest in numbers.

use std::collections::BTreeMap;

use rototo_api::convergence::Straggler;
use rototo_api::workspace::FleetStatus;
use serde::Serialize;

/// The largest number of processes that are named. A page with more cells shows less, and each change is sent whole.
const NAMED: usize = 1_000;

/// The processes of a fleet, and the pods that should have reported.
#[derive(Debug)]
pub struct Roster {
    named: Vec<Straggler>,
    unnamed: BTreeMap<String, u32>,
}

/// The processes as the page shows them.
#[derive(Debug, Serialize)]
pub(super) struct RosterGroups {
    /// The processes: first those that do not run what is published, each part by name.
    named: Vec<Straggler>,
    /// The number of all others, by state.
    unnamed: BTreeMap<String, u32>,
}

impl Roster {
    /// Returns all processes of a fleet; those that run what they should have the state `running` or `running_next`.
    #[must_use]
    pub fn all(processes: Vec<Straggler>) -> Self {
        Self { named: processes, unnamed: BTreeMap::new() }
    }

    /// Returns the processes that a status names, and the number of the others.
    pub(super) fn of_status(fleet: &FleetStatus) -> Self {
        let total = fleet.expected.unwrap_or(fleet.processes).max(fleet.applied);
        let named = u32::try_from(fleet.behind.len()).unwrap_or(u32::MAX);
        let others = total.saturating_sub(fleet.applied).saturating_sub(named);
        let unnamed =
            [(Straggler::RUNNING, fleet.applied), ("behind", others)].into_iter().filter(|(_, number)| *number > 0);
        Self {
            named: fleet.behind.clone(),
            unnamed: unnamed.map(|(state, number)| (state.to_owned(), number)).collect(),
        }
    }

    /// Returns them as the page shows them.
    pub(super) fn groups(mut self) -> RosterGroups {
        self.named.sort_by(|a, b| (is_running(a), &a.name).cmp(&(is_running(b), &b.name)));
        for left_out in self.named.drain(NAMED.min(self.named.len())..) {
            *self.unnamed.entry(left_out.state).or_default() += 1;
        }
        RosterGroups { named: self.named, unnamed: self.unnamed }
    }
}

impl RosterGroups {
    /// Returns the named processes that do not run what is published.
    pub(super) fn stragglers(&self) -> impl Iterator<Item = &Straggler> {
        self.named.iter().take_while(|process| !is_running(process))
    }
}

fn is_running(process: &Straggler) -> bool {
    matches!(process.state.as_str(), Straggler::RUNNING | Straggler::RUNNING_NEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: String, state: &str) -> Straggler {
        Straggler { name, state: state.to_owned(), reason: None }
    }

    #[test]
    fn a_large_fleet_is_named_in_part_and_those_behind_first() {
        let running = (0..9_998).map(|number| process(format!("app-{number:04}"), Straggler::RUNNING));
        let behind = [process("b".to_owned(), "pending"), process("a".to_owned(), "silent")];
        let groups = Roster::all(running.chain(behind).collect()).groups();
        assert_eq!(groups.named.len(), NAMED);
        let named: Vec<_> = groups.stragglers().map(|process| process.name.as_str()).collect();
        assert_eq!(named, ["a", "b"]);
        assert_eq!(groups.unnamed, BTreeMap::from([(Straggler::RUNNING.to_owned(), 9_000)]));
    }

    #[test]
    fn a_status_gives_those_behind_and_the_number_of_the_others() {
        let fleet = FleetStatus {
            expected: Some(37),
            processes: 37,
            applied: 20,
            behind: vec![process("app-1".to_owned(), "pending")],
            ..FleetStatus::default()
        };
        let groups = Roster::of_status(&fleet).groups();
        let unnamed = BTreeMap::from([("behind".to_owned(), 16), (Straggler::RUNNING.to_owned(), 20)]);
        assert_eq!((groups.named.len(), groups.unnamed), (1, unnamed));
    }
}
