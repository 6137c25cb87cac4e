//! The activity of one connection: what it waits for, and since when.
//!
//! Time is the number of sweeps through all connections, so that a request reads no clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::task::AbortHandle;

/// The event that a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first byte of the first request.
    First,
    /// The next request.
    Idle,
    /// The rest of the header of a request.
    Header,
    /// The rest of a body, and the answer to it.
    Work,
    /// The peer, which reads the answer.
    Answer,
    /// An event stream, whose peer reads everything at once.
    Stream,
}

const PHASES: [Phase; 6] = [Phase::First, Phase::Idle, Phase::Header, Phase::Work, Phase::Answer, Phase::Stream];

/// The number of sweeps through all connections since the start.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(AtomicU32);

impl Sweeps {
    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The activity of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    /// The phase, and the sweep since which it lasts.
    state: AtomicU64,
    /// Bytes wait to be read by the peer of a stream.
    stalled: AtomicBool,
    closed: AtomicBool,
    sweeps: &'static Sweeps,
    task: OnceLock<AbortHandle>,
}

impl Activity {
    pub(super) fn new(sweeps: &'static Sweeps) -> Self {
        let activity = Self {
            state: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            sweeps,
            task: OnceLock::new(),
        };
        activity.enter(Phase::First);
        activity
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let state = (phase as u64) << 32 | u64::from(self.sweeps.now());
        self.state.store(state, Ordering::Relaxed);
    }

    /// Returns the phase, and the number of sweeps for which it has lasted.
    pub(super) fn phase(&self) -> (Phase, u32) {
        let state = self.state.load(Ordering::Relaxed);
        let phase = usize::try_from(state >> 32).ok().and_then(|phase| PHASES.get(phase)).copied();
        let since = u32::try_from(state & u64::from(u32::MAX)).unwrap_or_default();
        (phase.unwrap_or(Phase::Idle), self.sweeps.now().wrapping_sub(since))
    }

    /// Records that bytes have arrived.
    pub(super) fn received(&self) {
        if matches!(self.phase().0, Phase::First | Phase::Idle) {
            self.enter(Phase::Header);
        }
    }

    /// Records that the peer has read everything that was sent.
    pub(super) fn flushed(&self) {
        match self.phase().0 {
            Phase::Answer => self.enter(Phase::Idle),
            Phase::Stream if self.stalled.swap(false, Ordering::Relaxed) => self.enter(Phase::Stream),
            _ => {}
        }
    }

    /// Records that the peer does not read.
    pub(super) fn blocked(&self) {
        if self.phase().0 == Phase::Stream && !self.stalled.swap(true, Ordering::Relaxed) {
            self.enter(Phase::Stream);
        }
    }

    /// Returns whether the peer of an event stream does not read.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Names the task of the connection, which [`close`](Self::close) ends.
    pub(super) fn runs_in(&self, task: AbortHandle) {
        // There is one task, so nobody has named another.
        let _ = self.task.set(task);
        if self.closed.load(Ordering::SeqCst) {
            self.close();
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
