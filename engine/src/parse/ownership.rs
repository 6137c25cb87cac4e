//! `owner` and `expires` of a variable or a rule. Nothing reads them when a variable is resolved.

use std::sync::Arc;

use crate::parse::Field;
use crate::parse::toml::TomlTable;
use crate::value::date::Date;

/// The keys of [`Ownership`]. They are notes, and lint takes no other key for a slip in one of them.
pub(crate) const OWNERSHIP_KEYS: [&str; 2] = ["owner", "expires"];

/// The people who answer for a variable or a rule, and the day from which it should be gone.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// `owner`.
    pub owner: Field<Arc<str>>,
    /// `expires`. A value that is no date is invalid.
    pub expires: Field<Date>,
}

impl Ownership {
    pub(super) fn of(table: &TomlTable<'_, '_>) -> Self {
        Self { owner: table.string("owner"), expires: table.date("expires") }
    }

    /// The ownership of something that is no table.
    pub(super) fn none() -> Self {
        Self { owner: Field::Missing(None), expires: Field::Missing(None) }
    }
}
