//! The values of attributes: how they compare, and the bucket that a value falls into.

pub(crate) mod attribute;
pub mod bucket;
pub(crate) mod number;
