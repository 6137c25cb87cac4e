//! The harness of the tests and the demo: real programs, as processes on loopback that end with their owner.
//!
//! Operations on processes, files, and git are blocking, so that a control plane can be shared between tests, each of
//! which has a runtime of its own. What asks the Kubernetes API is async. Nothing waits for a time: every wait has a
//! condition and a deadline, and says on time-out what it waited for and what it saw last.

mod access;
mod app;
mod cluster;
mod control_plane;
mod endpoint;
mod fleet;
mod gate;
mod git;
pub mod http;
mod namespace;
mod operator;
mod pod;
mod port;
mod process;
mod programs;
mod proxy;
mod scratch;
mod silent;
mod tampering_proxy;
mod wait;
pub mod witness;

pub use app::{App, AppSettings};
pub use cluster::{Cluster, client_of};
pub use control_plane::ControlPlane;
pub use endpoint::{Endpoint, Reply};
pub use fleet::Fleet;
pub use gate::Gate;
pub use git::GitRepo;
pub use namespace::{Namespace, PATIENCE};
pub use operator::{Operator, install_chart};
pub use pod::{CONTAINER, Pod};
pub use process::ChildProcess;
pub use programs::ours as program;
pub use proxy::Proxy;
pub use scratch::keep as keep_logs;
pub use silent::Silent;
pub use tampering_proxy::TamperingProxy;
pub use wait::{Observation, until, until_async};
