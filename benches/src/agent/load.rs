//! The load of one turn: a number of connections, each with one request at a time, and what they measure.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::future::try_join_all;
use rototo_benches::figures::{processor_millis, resident_megabytes};

use crate::exchange::{Connection, Request};
use crate::servers::Server;

/// The load of one turn.
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
}

/// The figures of one turn.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// The processor time of the server, in seconds.
    pub(crate) processor: f64,
    /// In milliseconds.
    pub(crate) latencies: Vec<f64>,
    pub(crate) memory: f64,
}

impl Load {
    pub(crate) async fn run(&self, server: &Server, requests: &[Request]) -> anyhow::Result<Measured> {
        let connections = try_join_all((0..self.connections).map(|_| Connection::open(server.port))).await?;
        let next = AtomicUsize::new(0);
        let before = processor_millis(&[server.id()]);
        let begin = Instant::now();
        let work = connections.into_iter().map(|mut connection| {
            let next = &next;
            async move {
                let mut latencies = Vec::with_capacity(self.requests / self.connections * 2);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= self.requests {
                        return anyhow::Ok(latencies);
                    }
                    let sent = Instant::now();
                    connection.exchange(&requests[number % requests.len()]).await?;
                    latencies.push(sent.elapsed().as_secs_f64() * 1000.0);
                }
            }
        });
        let latencies = try_join_all(work).await?.concat();
        let seconds = begin.elapsed().as_secs_f64();
        let processor = (processor_millis(&[server.id()]) - before) / 1000.0;
        Ok(Measured { seconds, processor, latencies, memory: resident_megabytes(server.id())? })
    }
}
