//! The intended differences, each as narrow as its reason. `docs/decisions/0010-differences-from-the-reference.md` has
//! the reasons.

use crate::outcome::{FindingCounts, ResolutionOutcome};

/// An intended difference.
pub struct KnownDifference {
    /// Its heading in the decision.
    pub name: &'static str,
    applies: fn(&Difference<'_>) -> bool,
}

/// A difference between the results of both engines.
#[derive(Debug)]
pub enum Difference<'a> {
    /// A finding that the engines made a different number of times, with all findings of both.
    Finding {
        rule: &'a str,
        path: &'a str,
        ours: usize,
        theirs: usize,
        all_ours: &'a FindingCounts,
        all_theirs: &'a FindingCounts,
    },
    /// The result of one resolution.
    Answer { ours: &'a ResolutionOutcome, theirs: &'a ResolutionOutcome },
}

/// All intended differences.
pub const MEANT: &[KnownDifference] = &[
    KnownDifference { name: "values that cannot be ordered are an error", applies: cannot_be_ordered },
    KnownDifference { name: "an unreadable document is reported once", applies: unreadable_once },
    KnownDifference { name: "without a manifest the other faults are reported too", applies: without_manifest },
    KnownDifference { name: "what nothing reads is reported", applies: nothing_reads },
];

/// The reference treats a value that is no number as false, so a mistake in a context looks like a decision.
fn cannot_be_ordered(difference: &Difference<'_>) -> bool {
    matches!(
        difference,
        Difference::Answer { ours: ResolutionOutcome::NotANumber, theirs: ResolutionOutcome::Trace(_) }
    )
}

/// The reference also reports every reference to the unreadable document as a reference to nothing.
fn unreadable_once(difference: &Difference<'_>) -> bool {
    let Difference::Finding { rule, path, ours, theirs, all_ours, all_theirs } = difference else { return false };
    // The reference does not check a variable further whose resource it does not know.
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

/// The reference stops at the missing manifest, and places the fault at the path of the directory.
fn without_manifest(difference: &Difference<'_>) -> bool {
    const MISSING: &str = "rototo/workspace-manifest-missing";
    let Difference::Finding { rule, theirs, all_ours, all_theirs, .. } = difference else { return false };
    let missing = |all: &FindingCounts| all.keys().any(|(rule, _, _, _)| rule == MISSING);
    missing(all_ours) && missing(all_theirs) && (*theirs == 0 || *rule == MISSING)
}

/// The rules that the reference does not have.
pub const OWN_RULES: &[&str] = &[
    "rototo/custom-lint-key-unread",
    "rototo/key-unread",
    "rototo/qualifier-predicate-constant",
    "rototo/qualifier-predicate-value-deceptive",
    "rototo/schema-key-duplicate",
    "rototo/schema-keyword-unread",
    "rototo/schema-required-undeclared",
    "rototo/variable-ownership-shape",
    "rototo/workspace-name-deceptive",
    "rototo/workspace-path-misnamed",
    "rototo/workspace-path-unread",
];

/// The reference does not report what it leaves out.
fn nothing_reads(difference: &Difference<'_>) -> bool {
    matches!(difference, Difference::Finding { rule, theirs: 0, .. } if OWN_RULES.contains(rule))
}

/// Returns the intended difference that explains `difference`.
pub fn explain(difference: &Difference<'_>) -> Option<&'static KnownDifference> {
    MEANT.iter().find(|meant| (meant.applies)(difference))
}
