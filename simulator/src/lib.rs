//! Random histories that try to make the operator's answer false.
//!
//! A [`script::HistoryScript`] is drawn from a seed: a small fleet, and what is done to it. A [`world::World`] lets it happen to the
//! real decision code of operator and client, with messages that take time, get lost, come twice, and overtake each other,
//! and compares each claim with what the processes really resolve from. A history that breaks an invariant is made as short
//! as possible and told step by step.

mod acts;
mod claims;
mod deadlines;
mod event;
pub mod history;
mod markers;
mod operator;
mod pods;
mod process;
mod rehearsals;
mod requests;
mod rest;
pub mod rollout_plan;
mod rollouts;
pub mod script;
mod steps;
pub mod violation;
pub mod world;
