//! Finds attributes of tests that no decision depends on. A misspelt column changes nothing, and its cases may hold all the
//! same.

use std::collections::BTreeSet;

use crate::document::text::shortened_to;
use crate::lint::attributes::ContextAttributes;
use crate::lint::similar::question;
use crate::parse::{GivenAttribute, TestFile};
use crate::testing::findings::TestFindings;

/// The most characters of a path in a message.
const MAX_PATH: usize = 200;

/// Warns of the attributes of a file that no qualifier reads and no context schema declares, of each at its first place.
pub(super) fn warn_of_unread(file: &TestFile, known: &ContextAttributes<'_>, findings: &mut TestFindings<'_>) {
    let mut unread: Vec<&GivenAttribute> = file.attributes.iter().filter(|given| !known.knows(&given.parts)).collect();
    unread.sort_by_key(|given| given.span);
    let mut seen = BTreeSet::new();
    for given in unread.into_iter().filter(|given| seen.insert(&given.parts)) {
        if !findings.has_room_for_warnings() {
            return;
        }
        let path = given.parts.join(".");
        let shown = shortened_to(&path, MAX_PATH);
        let message =
            format!("no qualifier reads `{shown}`, and no context schema declares it{}", hint(given, &path, known));
        findings.warn(&shown, given.span, &message);
    }
}

/// Returns the way out, if there is one.
fn hint(given: &GivenAttribute, path: &str, known: &ContextAttributes<'_>) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    if parts.len() > given.parts.len() && known.knows(&parts) {
        return format!(": in quotes it is one name, and `{path}` without quotes is a path");
    }
    question(known.meant(path).as_deref())
}
