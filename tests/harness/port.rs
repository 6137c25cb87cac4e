//! A free port, for a server that can't choose one itself and report it.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// The ports that this process has given away.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Returns a port of 127.0.0.1 that is free at this moment, and that this process gives to nobody else: a server that is
/// down for a while gets it back.
///
/// The port is below the range from which the kernel takes ports for outgoing connections. So a server that restarts
/// finds its port free, and not taken by one of its own clients.
pub(crate) fn free() -> anyhow::Result<u16> {
    let candidates = std::iter::repeat_with(|| fastrand::u16(20_000..32_000)).take(1000);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let free = candidates.into_iter().find(|port| is_free(port) && given.insert(*port));
    free.context("find a free port between 20000 and 32000 on 127.0.0.1")
}
