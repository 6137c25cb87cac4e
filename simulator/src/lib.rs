//! Random histories that try to make the operator's answer false.
//!
//! A [`script::HistoryScript`] is drawn from a seed: a small fleet, and what is done to it. A `World` lets it happen to the
//! real decision code of operator and client, with messages that take time, get lost, come twice, and overtake each other,
//! and compares each claim with what the processes really resolve from. A history that breaks an invariant is made as short
//! as possible and told step by step.
//!
//! `state` has the types of that world, and imports nothing of what happens in it. `course` lets one event happen after the other;
//! what it does stands in the files of the subjects: `acts`, `markers`, `operator`, `pods`, `process`, and `requests`. What must hold
//! is checked in `claims`, `deadlines`, `rehearsals`, `rollouts`, and `rest`.

mod acts;
mod claims;
mod contents;
mod course;
mod deadlines;
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
mod state;
mod steps;
pub mod violation;
