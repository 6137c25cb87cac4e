//! The disk that a reader keeps, by the owners for whom it read.
//!
//! Owners with the same source and the same credentials share a cached repository or a download. Each is charged for all
//! of it, so that what one of them does changes nothing for another.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::archive::Archive;
use crate::git::Remote;
use crate::hosts::owner;

/// The time after which an owner who has not asked for something is no longer charged for it. It is the time after which
/// the reader forgets what nobody asked for.
const CHARGED_FOR: Duration = Duration::from_secs(3600);

/// The owners of something on the disk, each with the time when it last asked for it.
#[derive(Clone, Default)]
pub(super) struct Charged(HashMap<Arc<str>, Instant>);

impl Charged {
    /// Records that the current task asks for it.
    pub(super) fn note(&mut self, now: Instant) {
        if let Some(owner) = owner() {
            self.0.retain(|_, asked| now.saturating_duration_since(*asked) < CHARGED_FOR);
            self.0.insert(owner, now);
        }
    }

    /// Returns when this owner last asked for it.
    pub(super) fn asked_by(&self, owner: &str) -> Option<Instant> {
        self.0.get(owner).copied()
    }

    /// Returns whether somebody else has asked for it.
    pub(super) fn is_charged_to_others(&self, owner: &str) -> bool {
        self.0.keys().any(|other| &**other != owner)
    }

    /// Returns when anybody last asked for it.
    fn asked(&self) -> Option<Instant> {
        self.0.values().max().copied()
    }

    /// Charges this owner no longer.
    pub(super) fn forget(&mut self, owner: &str) {
        self.0.remove(owner);
    }
}

/// A copy of a source on the disk.
pub(super) enum KeptCopy {
    Git(Arc<Remote>),
    Archive(Arc<Archive>),
}

impl KeptCopy {
    /// Returns the bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Git(remote) => remote.kept_bytes(),
            Self::Archive(archive) => archive.kept_bytes(),
        }
    }

    /// Removes it from the disk, unless it is being used. It is read again when it is needed.
    pub(super) fn discard(&self) -> bool {
        match self {
            Self::Git(remote) => remote.discard(),
            Self::Archive(archive) => archive.discard(),
        }
    }
}

/// A copy with its size, and those who are charged for it.
pub(super) struct ChargedCopy {
    pub(super) copy: KeptCopy,
    pub(super) bytes: u64,
    pub(super) charged: Charged,
}

/// Takes the copy out that is to go first: of those who have the most, what they have not asked for for the longest time.
/// A copy that several have is one of the owner with the least.
pub(super) fn take_first_to_go(copies: &mut Vec<ChargedCopy>) -> Option<ChargedCopy> {
    let mut of_owner: HashMap<&str, u64> = HashMap::new();
    for copy in &*copies {
        for owner in copy.charged.0.keys() {
            *of_owner.entry(owner).or_default() += copy.bytes;
        }
    }
    let least = |copy: &ChargedCopy| copy.charged.0.keys().filter_map(|owner| of_owner.get(&**owner)).min().copied();
    let order = |copy: &ChargedCopy| (least(copy).unwrap_or(u64::MAX), Reverse(copy.charged.asked()));
    let first = copies.iter().enumerate().max_by_key(|(_, copy)| order(copy)).map(|(at, _)| at);
    first.map(|at| copies.swap_remove(at))
}
