//! Reads and writes the marker maps: the ConfigMap `rototo-markers` of each namespace.
//!
//! [`markers`] is the way to them, and [`record`] remembers the write of one workspace's marker. Whoever writes a map
//! holds the namespace's turn from the decision to the answer.

pub(crate) mod left_over;
pub(crate) mod map;
pub(crate) mod maps;
pub(crate) mod markers;
pub(crate) mod problem;
pub(crate) mod record;
