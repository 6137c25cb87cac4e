//! What the tests and the demo start: real programs, as processes on loopback that are gone when their owner is.
//!
//! What concerns processes, files, and git is blocking, so that a control plane can be shared between tests, each of
//! which has a runtime of its own. What asks the Kubernetes API is async. Nothing waits for a time: every wait has a
//! condition and a deadline, and says on time-out what it waited for and what it saw last.

mod control_plane;
mod kubeconfig;
mod port;
mod process;
mod scratch;
mod wait;

pub use control_plane::{ControlPlane, client_of};
pub use process::Process;
pub use wait::{Seen, until, until_async};
