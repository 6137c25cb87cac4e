//! The rules of the commands: those of findings that lint itself does not have.

use rototo_engine::lint::{Custom, CustomRule};
use rototo_engine::{Diagnostic, Entity, Location, Severity, Stage};

use crate::workspace::unreadable::UNREADABLE;

/// A finding about a whole workspace is shown at its manifest, as a code host shows nothing at a directory.
pub(super) const MANIFEST: &str = "rototo-workspace.toml";

/// The beginning of the rules that `rototo test` reports of tests.
const OF_TESTS: &str = "rototo/test-";

/// A rule of a command.
#[derive(Clone, Copy)]
pub(crate) struct CommandRule {
    id: &'static str,
    severity: Severity,
    title: &'static str,
    pub(crate) help: &'static str,
}

/// The rules of the commands, in order of their names. A finding of [`UNREADABLE`] has the help for its own fault.
const RULES: [CommandRule; 5] = [
    CommandRule {
        id: "rototo/expired",
        severity: Severity::Warning,
        title: "a variable or a rule has expired",
        help: "remove it, or give it a later date",
    },
    CommandRule {
        id: UNREADABLE,
        severity: Severity::Error,
        title: "the source can't be read",
        help: "correct the address, or get access to it: the message names the fault",
    },
    CommandRule {
        id: "rototo/test-failed",
        severity: Severity::Error,
        title: "the workspace decides otherwise than a test expects",
        help: "change the rules, or the expected result if the new decision is meant",
    },
    CommandRule {
        id: "rototo/test-invalid",
        severity: Severity::Error,
        title: "a test can't be read, or asks for something that the workspace does not have",
        help: "write the test as docs/format.md has it, with ids and value keys of this workspace",
    },
    TEST_MISSING,
];

/// The rule of a workspace without tests.
pub(crate) const TEST_MISSING: CommandRule = CommandRule {
    id: "rototo/test-missing",
    severity: Severity::Error,
    title: "the workspace has no tests",
    help: "write tests/NAME.toml, or let `rototo fixtures SOURCE --tests --out tests` write the first",
};

/// Returns the rule of a command by its id.
pub(crate) fn rule(id: &str) -> Option<&'static CommandRule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// Returns whether a rule is about tests, which run only if there is no other finding.
pub(super) fn is_of_tests(id: &str) -> bool {
    id.starts_with(OF_TESTS)
}

/// Returns the custom rules of a workspace with those of the commands, so that both are selected and shown alike.
pub(crate) fn with_custom(mut custom: Custom) -> Custom {
    custom.rules.extend(RULES.iter().map(|rule| (rule.id.to_owned(), rule.as_custom())));
    custom
}

impl CommandRule {
    /// Returns a finding about the whole workspace.
    pub(crate) fn finding(&self) -> Diagnostic {
        Diagnostic {
            rule: self.id.into(),
            severity: self.severity,
            stage: Stage::Discover,
            entity: Entity::Workspace,
            message: self.title.to_owned(),
            help: Some(self.help.to_owned()),
            location: Location { path: MANIFEST.to_owned(), range: None },
            related: Vec::new(),
            key: None,
            title: self.title.into(),
            fix: None,
        }
    }

    fn as_custom(&self) -> CustomRule {
        let Self { id, severity, title, help } = *self;
        CustomRule { id: id.to_owned(), severity, title: title.to_owned(), help: help.to_owned() }
    }
}
