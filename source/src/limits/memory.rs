//! Memory that all sources of a reader share, for what would otherwise be read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory that is free. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedMemory(Arc<AtomicU64>);

/// A part of the memory. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct HeldMemory {
    memory: SharedMemory,
    bytes: u64,
}

impl SharedMemory {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Takes so many bytes, if they are free.
    pub(crate) fn take(&self, bytes: usize) -> Option<HeldMemory> {
        let bytes = u64::try_from(bytes).ok()?;
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes));
        taken.is_ok().then(|| HeldMemory { memory: self.clone(), bytes })
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.memory.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_dropped_is_free() {
        let memory = SharedMemory::new(100);
        let held = [memory.take(60), memory.take(60), memory.take(40)];
        assert_eq!(held.each_ref().map(Option::is_some), [true, false, true]);
        assert!(memory.take(1).is_none());
        drop(held);
        assert!(memory.take(100).is_some());
    }
}
