//! Lists a fleet process by process, for people who look at it while it moves.

use rototo_api::convergence::Straggler;

use super::process::Liveness;
use super::staging::intended;
use super::view::straggler;
use super::{Fleet, Moment};

impl Fleet {
    /// Returns every process that counts, and every pod that should have reported, with its state at `now`. A process
    /// that runs what it should is `running`, or `running_next` in a stage of a rollout; the others are the stragglers
    /// of the view, all of them.
    #[must_use]
    pub fn roster(&self, now: Moment) -> Vec<Straggler> {
        let marked = self.marked();
        let counted = self.processes.iter().filter_map(|(id, process)| {
            let liveness = self.liveness(id, process, now);
            let running = || {
                let staged = marked.is_some_and(|marked| intended(&marked, id, process) != marked.publish);
                let (name, state) =
                    (process.name(id), if staged { Straggler::RUNNING_NEXT } else { Straggler::RUNNING });
                Straggler { name: name.to_owned(), state: state.to_owned(), reason: None }
            };
            liveness.counts().then(|| straggler(id, process, liveness != Liveness::Live).unwrap_or_else(running))
        });
        let unreported = self.unreported(now);
        counted.chain(unreported.iter().map(|(_, pod)| Straggler::missing(&pod.name))).collect()
    }
}
