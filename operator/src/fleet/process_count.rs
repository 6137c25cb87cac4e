//! The processes of all fleets together, and those of each namespace. Pure.
//!
//! A fleet has limits of its own, but an account with the grant for many workspaces could fill many fleets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rototo_protocol::fleet::{ALL_PROCESSES, NoRoom, PROCESSES_OF_NAMESPACE};

/// The number of processes of all fleets.
#[derive(Debug, Default)]
pub(crate) struct ProcessCount(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    all: usize,
    of_namespace: HashMap<String, usize>,
}

/// The part of one fleet in the count. It is taken back when this value is dropped.
#[derive(Debug, Default)]
pub(crate) struct FleetCount {
    together: Arc<ProcessCount>,
    namespace: String,
    counted: usize,
}

impl FleetCount {
    /// Adds a fleet without processes to a count.
    pub(crate) fn of(together: &Arc<ProcessCount>, namespace: &str) -> Self {
        Self { together: together.clone(), namespace: namespace.to_owned(), counted: 0 }
    }

    /// Returns the limit that is reached, if one is.
    pub(crate) fn full(&self) -> Option<NoRoom> {
        let counted = self.together.lock();
        if counted.of_namespace.get(&self.namespace).is_some_and(|processes| *processes >= PROCESSES_OF_NAMESPACE) {
            return Some(NoRoom::Namespace);
        }
        (counted.all >= ALL_PROCESSES).then_some(NoRoom::All)
    }

    /// Takes the present number of processes of the fleet.
    pub(crate) fn count(&mut self, processes: usize) {
        let before = std::mem::replace(&mut self.counted, processes);
        if before == processes {
            return;
        }
        let mut counted = self.together.lock();
        counted.all = (counted.all + processes).saturating_sub(before);
        let of_namespace = counted.of_namespace.entry(self.namespace.clone()).or_default();
        *of_namespace = (*of_namespace + processes).saturating_sub(before);
        if *of_namespace == 0 {
            counted.of_namespace.remove(&self.namespace);
        }
    }
}

impl Drop for FleetCount {
    fn drop(&mut self) {
        self.count(0);
    }
}

#[cfg(test)]
impl ProcessCount {
    /// Returns the number of processes of all fleets.
    pub(crate) fn all(&self) -> usize {
        self.lock().all
    }
}

impl ProcessCount {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fleets_of_a_namespace_and_all_of_them_have_a_limit_together() {
        let together = Arc::default();
        let fleet = |namespace: &str, processes| {
            let mut fleet = FleetCount::of(&together, namespace);
            fleet.count(processes);
            fleet
        };
        let mut large = fleet("a", PROCESSES_OF_NAMESPACE - 1);
        let small = fleet("a", 0);
        assert_eq!((large.full(), small.full()), (None, None));
        large.count(PROCESSES_OF_NAMESPACE);
        assert_eq!(small.full(), Some(NoRoom::Namespace));
        let others = ["b", "c", "d"].map(|namespace| fleet(namespace, PROCESSES_OF_NAMESPACE));
        assert_eq!(fleet("e", 0).full(), Some(NoRoom::All));
        drop(others);
        assert_eq!((fleet("e", 0).full(), small.full()), (None, Some(NoRoom::Namespace)));
        drop(large);
        assert_eq!(small.full(), None);
        assert!(together.lock().of_namespace.is_empty());
    }
}
