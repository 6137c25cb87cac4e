//! The most disk and memory that an operator and the programs that it starts take at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time between two looks.
const EVERY: Duration = Duration::from_millis(50);

/// Watches an operator until it is asked for the peaks.
pub struct Peaks {
    ended: Arc<AtomicBool>,
    seen: Arc<Seen>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    disk: AtomicU64,
    own_memory: AtomicU64,
    memory: AtomicU64,
}

/// The peaks, in MB.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// The bytes of the data directory.
    pub disk: f64,
    /// The memory of the operator alone.
    pub own_memory: f64,
    /// The memory of the operator and all programs that it had started, at the same time.
    pub memory: f64,
}

impl Peaks {
    /// Begins to watch the process with this id, and its data directory.
    #[must_use]
    pub fn watch(operator: u32, directory: PathBuf) -> Self {
        let (ended, seen) = (Arc::<AtomicBool>::default(), Arc::<Seen>::default());
        let (until, into) = (ended.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                into.disk.fetch_max(bytes_below(&directory), Ordering::Relaxed);
                into.own_memory.fetch_max(resident(operator), Ordering::Relaxed);
                into.memory.fetch_max(resident_with_children(operator), Ordering::Relaxed);
                std::thread::sleep(EVERY);
            }
        });
        Self { ended, seen, thread }
    }

    /// Ends, and returns the peaks.
    #[must_use]
    pub fn end(self) -> Peak {
        self.ended.store(true, Ordering::Relaxed);
        drop(self.thread.join());
        let megabytes = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
        let Seen { disk, own_memory, memory } = &*self.seen;
        Peak { disk: megabytes(disk), own_memory: megabytes(own_memory), memory: megabytes(memory) }
    }
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_below(&entry.path()),
            Ok(data) => data.len(),
            // It was removed meanwhile.
            Err(_) => 0,
        })
        .sum()
}

fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

fn resident_with_children(process: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let children: u64 = children
        .flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .map(resident_with_children)
        .sum();
    resident(process) + children
}
