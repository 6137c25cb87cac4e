//! A server that accepts connections and never sends a byte.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;

/// A server that never answers.
#[derive(Debug)]
pub struct Silent {
    url: String,
    accepted: Arc<AtomicUsize>,
}

impl Silent {
    /// Starts the server.
    pub fn listen() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen as a silent server")?;
        let url = format!("http://{}", listener.local_addr().context("read the address of the silent server")?);
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        // The thread ends with the process, and keeps every connection open until then.
        thread::spawn(move || {
            let mut connections = Vec::new();
            for connection in listener.incoming() {
                connections.push(connection);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { url, accepted })
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of accepted connections.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}
