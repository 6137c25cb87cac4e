//! The rules of the commands: those of findings that lint itself does not have.

use rototo_engine::diagnostic::FindingRule;
use rototo_engine::lint::{Custom, CustomRule, EXPIRED};
use rototo_engine::testing::{ATTRIBUTE_UNREAD, FAILED, INVALID};
use rototo_engine::{Diagnostic, Entity, Location, Severity, Stage};

use crate::workspace::MANIFEST;
use crate::workspace::unreadable::UNREADABLE;

/// The beginning of the rules that `rototo test` reports of tests.
const OF_TESTS: &str = "rototo/test-";

/// The rules of the commands, in order of their names.
const RULES: [&FindingRule; 6] = [&EXPIRED, &UNREADABLE, &ATTRIBUTE_UNREAD, &FAILED, &INVALID, &TEST_MISSING];

/// The rule of a workspace without tests.
pub(crate) const TEST_MISSING: FindingRule = FindingRule {
    id: "rototo/test-missing",
    severity: Severity::Error,
    stage: Stage::Discover,
    title: "the workspace has no tests",
    help: "write tests/NAME.toml, or let `rototo fixtures SOURCE --tests --out tests` write the first",
};

/// Returns the rule of a command by its id.
pub(crate) fn rule(id: &str) -> Option<&'static FindingRule> {
    RULES.into_iter().find(|rule| rule.id == id)
}

/// Returns whether a rule is about tests, which run only if there is no other finding.
pub(super) fn is_of_tests(id: &str) -> bool {
    id.starts_with(OF_TESTS)
}

/// Returns the custom rules of a workspace with those of the commands, so that both are selected and shown alike.
pub(crate) fn with_custom(mut custom: Custom) -> Custom {
    custom.rules.extend(RULES.iter().map(|rule| (rule.id.to_owned(), as_custom(rule))));
    custom
}

/// Returns the finding about a workspace without tests, at its manifest.
pub(crate) fn test_missing() -> Diagnostic {
    let location = Location { path: MANIFEST.to_owned(), range: None };
    TEST_MISSING.finding(Entity::Workspace, TEST_MISSING.title.to_owned(), location)
}

fn as_custom(rule: &FindingRule) -> CustomRule {
    let FindingRule { id, severity, title, help, .. } = *rule;
    CustomRule { id: id.to_owned(), severity, title: title.to_owned(), help: help.to_owned() }
}
