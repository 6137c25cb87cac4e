//! A port for a server that can't choose one by itself and say which.

use std::net::TcpListener;

use anyhow::Context;

/// A port of 127.0.0.1 that is free at this moment.
///
/// It is below the range from which the kernel takes ports for outgoing connections. So a server that is stopped finds
/// its port again, and not one of its own clients on it.
pub(crate) fn free() -> anyhow::Result<u16> {
    let candidates = std::iter::repeat_with(|| fastrand::u16(20_000..32_000)).take(1000);
    let free = candidates.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.context("find a free port between 20000 and 32000 on 127.0.0.1")
}
