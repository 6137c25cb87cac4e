//! The harness of the tests and the demo. It runs real programs as processes on loopback, which end together with the
//! process that started them.
//!
//! Operations on processes, files, and git block, so that tests can share a control plane although each has a runtime
//! of its own. Requests to the Kubernetes API are async. Nothing waits for a fixed time: every wait has a condition and
//! a deadline, and its time-out error has the condition and the last observation.

mod access;
mod app;
mod cluster;
mod collector;
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
mod prometheus;
mod proxy;
mod scratch;
mod silent;
mod status_host;
mod tampering_proxy;
mod tls_front;
mod wait;
pub mod witness;

pub use app::{App, AppSettings};
pub use cluster::{Cluster, client_of};
pub use collector::{CollectedSpan, Collector};
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
pub use prometheus::{MetricsTarget, Prometheus};
pub use proxy::Proxy;
pub use scratch::keep as keep_logs;
pub use silent::Silent;
pub use status_host::{HostedStatus, StatusHost};
pub use tampering_proxy::TamperingProxy;
pub use wait::{Observation, until, until_async};
