//! The state of a history, as types with the methods that concern one of them alone.
//!
//! The behaviour, which is `impl World` in the files of its subjects, imports this folder, and this folder imports nothing of
//! it. Its files import only those below them:
//!
//! - [`world`]: all that there is at one moment.
//! - [`event`]: what is to happen to it.
//! - [`operator`], with [`inheritance`], and [`record`]: an operator process and what it remembers.
//! - [`process`], with [`handle`] and [`pod`]: what runs.
//! - [`api`], with [`requests`], [`taken_back`], and [`claim`]: what is stored at the API server.
//! - [`received_report`], [`git`], [`faults`], and [`times`].

pub mod api;
pub mod claim;
pub mod event;
pub mod faults;
pub mod git;
pub mod handle;
pub mod inheritance;
pub mod operator;
pub mod pod;
pub mod process;
pub mod received_report;
pub mod record;
pub mod requests;
pub mod source;
pub mod taken_back;
pub mod times;
pub mod world;
