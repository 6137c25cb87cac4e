//! The differences that are meant, each as narrow as its reason. `docs/decisions/0010-differences-from-the-reference.md`
//! gives the reasons.

use crate::outcome::{FindingCounts, ResolutionOutcome};

/// One difference that is meant.
pub struct KnownDifference {
    /// Its heading in the decision.
    pub name: &'static str,
    applies: fn(&Difference<'_>) -> bool,
}

/// One thing that came out differently.
#[derive(Debug)]
pub enum Difference<'a> {
    /// A finding that was made so many times by us, and so many times by them; with all that each found.
    Finding {
        rule: &'a str,
        path: &'a str,
        ours: usize,
        theirs: usize,
        all_ours: &'a FindingCounts,
        all_theirs: &'a FindingCounts,
    },
    /// The answer to one resolution.
    Answer { ours: &'a ResolutionOutcome, theirs: &'a ResolutionOutcome },
}

/// All of them.
pub const MEANT: &[KnownDifference] = &[
    KnownDifference { name: "values that cannot be ordered are an error", applies: cannot_be_ordered },
    KnownDifference { name: "an unreadable document is reported once", applies: unreadable_once },
    KnownDifference { name: "without a manifest the other faults are reported too", applies: without_manifest },
];

/// The reference takes what is no number for false, so a mistake in a context looks like a decision.
fn cannot_be_ordered(difference: &Difference<'_>) -> bool {
    matches!(
        difference,
        Difference::Answer { ours: ResolutionOutcome::NotANumber, theirs: ResolutionOutcome::Trace(_) }
    )
}

/// The reference also reports everything that refers to the document as referring to nothing.
fn unreadable_once(difference: &Difference<'_>) -> bool {
    let Difference::Finding { rule, path, ours, theirs, all_ours, all_theirs } = difference else { return false };
    // A variable whose resource is nothing to it is looked at no further.
    let of_nothing =
        |(rule, _, at, _): &(String, String, String, String)| rule == "rototo/variable-unknown-resource" && at == *path;
    if *rule == "rototo/variable-unknown-value" && ours > theirs {
        let unreadable = all_ours.keys().any(|(rule, _, _, _)| rule == "rototo/resource-parse-failed");
        return unreadable && all_theirs.keys().any(of_nothing);
    }
    let unreadable: &[&str] = match *rule {
        "rototo/variable-rule-unknown-qualifier" | "rototo/qualifier-predicate-unknown-qualifier" => {
            &["rototo/qualifier-parse-failed"]
        }
        "rototo/variable-unknown-resource" => &["rototo/resource-parse-failed"],
        "rototo/variable-unknown-value" => &["rototo/resource-object-parse-failed"],
        "rototo/resource-object-unknown-reference" => {
            &["rototo/resource-parse-failed", "rototo/resource-object-parse-failed"]
        }
        _ => return false,
    };
    ours < theirs && all_ours.keys().any(|(rule, _, _, _)| unreadable.contains(&&**rule))
}

/// The reference stops there, and places the fault at the path of the directory.
fn without_manifest(difference: &Difference<'_>) -> bool {
    const MISSING: &str = "rototo/workspace-manifest-missing";
    let Difference::Finding { rule, theirs, all_ours, all_theirs, .. } = difference else { return false };
    let missing = |all: &FindingCounts| all.keys().any(|(rule, _, _, _)| rule == MISSING);
    missing(all_ours) && missing(all_theirs) && (*theirs == 0 || *rule == MISSING)
}

/// The one that explains `difference`.
pub fn explain(difference: &Difference<'_>) -> Option<&'static KnownDifference> {
    MEANT.iter().find(|meant| (meant.applies)(difference))
}
