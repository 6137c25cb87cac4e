//! The process of the client. A server whose client has died ends, although another process may hold the client's end of
//! standard input open.

use std::io;
use std::path::Path;
use std::thread::{Builder, sleep};
use std::time::Duration;

/// The time between two queries of the process.
const PERIOD: Duration = Duration::from_secs(2);

/// Calls `gone` when the process with that id has ended. A process that is not there now is one of another machine or
/// container, and is not watched.
pub(super) fn watch(id: Option<u32>, gone: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let Some(id) = id.filter(|id| is_alive(*id)) else { return Ok(()) };
    let waiting = move || {
        while is_alive(id) {
            sleep(PERIOD);
        }
        gone();
    };
    Builder::new().name("client".to_owned()).spawn(waiting).map(drop)
}

/// Returns whether the process is the parent of this one, or on Linux, any process of this machine.
fn is_alive(id: u32) -> bool {
    std::os::unix::process::parent_id() == id || Path::new(&format!("/proc/{id}")).exists()
}
