//! The lines that a test's own thread logs.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::subscriber::{DefaultGuard, set_default};

/// A writer whose clones share what is written.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Returns what was written.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the lines of this thread until it is dropped.
pub(crate) struct Logged {
    lines: Lines,
    _guard: DefaultGuard,
}

impl Logged {
    pub(crate) fn start() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false);
        let subscriber = subscriber.with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone()).finish();
        Self { lines, _guard: set_default(subscriber) }
    }

    /// Returns the levels of the lines that contain `words`.
    pub(crate) fn levels_of(&self, words: &str) -> Vec<String> {
        let text = self.lines.text();
        let lines = text.lines().filter(|line| line.contains(words));
        lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
    }
}
