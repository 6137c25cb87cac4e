//! The open connections: their limits, and the sweeps that close those that wait too long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connections::activity::{Activity, Phase, Sweeps};
use crate::metrics::Metrics;

/// The limits of connections. Times are in sweeps, of which there is one a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// The largest number of connections. When all are taken, the one that has waited longest for a request makes room.
    pub(crate) connections: usize,
    /// The time for a header, from its first byte on, and for the first request of a connection.
    pub(crate) header: u32,
    /// The time for which a connection may wait for its next request. It is longer than any SDK keeps one.
    pub(crate) idle: u32,
    /// The time for a body and the work on it.
    pub(crate) work: u32,
    /// The time in which the peer has to read an answer, or a part of an event stream.
    pub(crate) answer: u32,
}

impl ConnectionLimits {
    /// Creates the limits with this number of connections, and this number of seconds for what a peer has to do.
    pub(crate) fn new(connections: usize, slow: u32) -> Self {
        // The work has the time for a body and for the turn of a bulk answer.
        Self { connections, header: slow, idle: 300, work: slow.saturating_add(20), answer: slow }
    }

    /// Returns the limits of the listener for probes, which few programs use.
    pub(crate) fn of_probes() -> Self {
        Self { idle: 60, ..Self::new(32, 10) }
    }

    fn is_exceeded(&self, activity: &Activity) -> bool {
        let (phase, lasts) = activity.phase();
        // A sweep just after the beginning counts for a whole one.
        lasts
            > match phase {
                Phase::Idle => self.idle,
                // A new connection owes its first request as one that has begun to send it.
                Phase::First | Phase::Header => self.header,
                Phase::Work => self.work,
                Phase::Answer => self.answer,
                Phase::Stream if activity.is_stalled() => self.answer,
                Phase::Stream => return false,
            }
    }
}

/// The open connections of a listener.
pub(super) struct Connections {
    limits: ConnectionLimits,
    sweeps: &'static Sweeps,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<Activity>>,
}

/// The place of an open connection. It is free when this is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits, metrics: Arc<Metrics>) -> Self {
        // One for each listener, for as long as the process runs.
        let sweeps = Box::leak(Box::default());
        Self { limits, sweeps, open: Mutex::default(), metrics }
    }

    /// Gives a new connection a place; `None` if all are taken, and each works on a request, or has just begun.
    pub(super) fn take(self: &Arc<Self>) -> Option<(Place, Arc<Activity>)> {
        let mut open = self.lock();
        if open.all.len() >= self.limits.connections && !open.replace() {
            drop(open);
            self.metrics.refused.connections.inc();
            return None;
        }
        open.next += 1;
        let (number, activity) = (open.next, Arc::new(Activity::new(self.sweeps)));
        open.all.insert(number, activity.clone());
        self.metrics.connections.inc();
        Some((Place { connections: self.clone(), number }, activity))
    }

    /// Closes the connections that wait too long.
    pub(super) fn sweep(&self) {
        self.sweeps.next();
        for activity in self.lock().all.values().filter(|activity| self.limits.is_exceeded(activity)) {
            activity.close();
            if activity.phase().0 != Phase::Idle {
                self.metrics.refused.slow.inc();
            }
        }
    }

    /// Closes the connections that wait for a request. Returns the number of the others.
    pub(super) fn close_idle(&self) -> usize {
        let open = self.lock();
        let (idle, others): (Vec<_>, Vec<_>) = open
            .all
            .values()
            .partition(|activity| matches!(activity.phase().0, Phase::First | Phase::Idle | Phase::Header));
        idle.iter().for_each(|activity| activity.close());
        others.len()
    }

    pub(super) fn close_all(&self) {
        self.lock().all.values().for_each(|activity| activity.close());
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the connection that has waited longest for a request.
    fn replace(&mut self) -> bool {
        let waiting = self.all.iter().filter_map(|(number, activity)| match activity.phase() {
            (Phase::Idle, lasts) => Some((lasts, *number)),
            // The first bytes of a connection that has just begun may be there already, and not read yet.
            (Phase::First, lasts) if lasts > 0 => Some((lasts, *number)),
            _ => None,
        });
        // Of those that wait equally long, the oldest.
        let Some((_, number)) = waiting.max_by_key(|(lasts, number)| (*lasts, u64::MAX - number)) else { return false };
        if let Some(activity) = self.all.remove(&number) {
            activity.close();
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().all.remove(&self.number);
        self.connections.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(number: usize) -> Arc<Connections> {
        Arc::new(Connections::new(ConnectionLimits::new(number, 10), Arc::default()))
    }

    #[test]
    fn the_connection_that_waits_longest_makes_room_and_one_that_works_does_not() {
        let connections = connections(2);
        let (_first, working) = connections.take().unwrap();
        let (_second, waiting) = connections.take().unwrap();
        working.enter(Phase::Work);
        waiting.received();
        assert!(connections.take().is_none(), "the second sends its first request");
        assert_eq!(connections.metrics.refused.connections.get(), 1);
        waiting.enter(Phase::Idle);
        let (_third, third) = connections.take().unwrap();
        third.enter(Phase::Work);
        assert!(connections.take().is_none());
    }

    #[test]
    fn a_connection_that_has_sent_nothing_makes_room_unless_it_has_just_begun() {
        let connections = connections(2);
        let (_first, working) = connections.take().unwrap();
        let (_second, _silent) = connections.take().unwrap();
        working.enter(Phase::Work);
        assert!(connections.take().is_none(), "its bytes may be on the way");
        connections.sweep();
        assert!(connections.take().is_some());
    }

    #[test]
    fn each_phase_has_its_limit() {
        let connections = connections(8);
        let (_place, activity) = connections.take().unwrap();
        let limits = ConnectionLimits::new(8, 10);
        for (phase, limit) in [
            (Phase::First, limits.header),
            (Phase::Idle, limits.idle),
            (Phase::Header, limits.header),
            (Phase::Work, limits.work),
            (Phase::Answer, limits.answer),
        ] {
            activity.enter(phase);
            for _ in 0..limit {
                connections.sweep();
            }
            assert!(!limits.is_exceeded(&activity), "{phase:?}");
            connections.sweep();
            assert!(limits.is_exceeded(&activity), "{phase:?}");
        }
    }

    #[test]
    fn an_event_stream_ends_only_if_its_peer_does_not_read() {
        let connections = connections(8);
        let (_place, activity) = connections.take().unwrap();
        let limits = ConnectionLimits::new(8, 10);
        activity.enter(Phase::Stream);
        (0..limits.idle * 2).for_each(|_| connections.sweep());
        assert!(!limits.is_exceeded(&activity));
        activity.blocked();
        (0..=limits.answer).for_each(|_| connections.sweep());
        assert!(limits.is_exceeded(&activity));
        activity.flushed();
        assert!(!limits.is_exceeded(&activity));
    }
}
