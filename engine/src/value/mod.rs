//! Values of attributes: their types, how they compare, and the bucket into which one falls.
//!
//! The entry point is [`attribute::Attribute`]. Numbers compare by their mathematical value, however they are written.

pub(crate) mod attribute;
pub mod bucket;
pub mod date;
pub(crate) mod number;
