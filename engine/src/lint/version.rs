//! The fix of a document that does not declare its version.

use crate::document::text::Span;
use crate::lint::Finding;
use crate::parse::Field;

/// Adds the fix to a finding about `schema_version`, if it is missing. A document of another version is left to its
/// author.
pub(super) fn with_version<'a>(finding: Finding<'a>, version: &Field<i64>) -> Finding<'a> {
    let is_missing = matches!(version, Field::Missing(_));
    finding.fix(Some(Span::default()), is_missing.then(|| "schema_version = 1\n".to_owned()))
}
