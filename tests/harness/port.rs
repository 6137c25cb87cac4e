//! A free port, for a server that can't choose one itself and report it.

use std::net::TcpListener;

use anyhow::Context;

/// Returns a port of 127.0.0.1 that is free at this moment.
///
/// The port is below the range from which the kernel takes ports for outgoing connections. So a server that restarts
/// finds its port free, and not taken by one of its own clients.
pub(crate) fn free() -> anyhow::Result<u16> {
    let candidates = std::iter::repeat_with(|| fastrand::u16(20_000..32_000)).take(1000);
    let free = candidates.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.context("find a free port between 20000 and 32000 on 127.0.0.1")
}
