//! The endpoints of the agent.
//!
//! | request | answer |
//! |---|---|
//! | `POST /ofrep/v1/evaluate/flags/{key}` | the value of one variable ([`evaluate`]) |
//! | `POST /ofrep/v1/evaluate/flags` | the values of all variables, with an ETag ([`evaluate`]) |
//! | `GET /ofrep/v1/events` | an event stream, which announces each change ([`events`]) |
//! | `GET /healthz`, `/readyz`, `/metrics` | for the kubelet and for Prometheus ([`probes`]) |
//!
//! Every answer has a JSON body, except those for probes and metrics, and `304 Not Modified`. No answer is
//! `429 Too Many Requests`: two SDKs then stop all evaluations for a while.

mod agent;
mod answer;
mod body;
mod evaluate;
mod events;
mod probes;
mod routes;

pub(crate) use agent::{Agent, RequestLimits};
pub(crate) use routes::{AgentService, ProbesService};
