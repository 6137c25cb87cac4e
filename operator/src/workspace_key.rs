//! The namespace and name of a workspace, by which every room finds what it has of it.

use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;

/// The namespace and name of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WorkspaceKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl WorkspaceKey {
    /// Returns the key of an object.
    pub(crate) fn of(workspace: &RototoWorkspace) -> Self {
        Self { namespace: workspace.namespace().unwrap_or_default(), name: workspace.name_any() }
    }

    /// Returns the key of these names, if the API server would accept them. Names of strangers are checked before
    /// anything else: they get into memory, logs, and requests to the API server.
    pub(crate) fn checked(namespace: String, name: String) -> Result<Self, InvalidName> {
        if !is_label(&namespace) {
            return Err(InvalidName::Namespace);
        }
        if name.len() > LONGEST_NAME || !name.split('.').all(is_label_of_any_length) {
            return Err(InvalidName::Workspace);
        }
        Ok(Self { namespace, name })
    }
}

/// The longest name of a namespace, in bytes.
const LONGEST_NAMESPACE: usize = 63;
/// The longest name of an object, in bytes.
const LONGEST_NAME: usize = 253;

/// A name that no object has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidName {
    /// The name of the namespace.
    #[error("a namespace has a name of at most {LONGEST_NAMESPACE} lower-case letters, digits, and `-`")]
    Namespace,
    /// The name of the workspace.
    #[error("a workspace has a name of at most {LONGEST_NAME} lower-case letters, digits, `-`, and `.`")]
    Workspace,
}

fn is_label(name: &str) -> bool {
    name.len() <= LONGEST_NAMESPACE && is_label_of_any_length(name)
}

fn is_label_of_any_length(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_api_server_would_accept_are_keys() {
        let check = |namespace: &str, name: &str, expected: Option<InvalidName>| {
            let found = WorkspaceKey::checked(namespace.to_owned(), name.to_owned());
            assert_eq!(found.err(), expected, "{namespace}/{name}");
        };
        let long = |length| "a".repeat(length);
        check("prod", "config", None);
        check("prod-2", "config.v1-a", None);
        check(&long(63), &long(253), None);
        for namespace in ["", "Prod", "a.b", "-a", "a-", "a/b", "ü", &long(64), &long(60_000)] {
            check(namespace, "config", Some(InvalidName::Namespace));
        }
        for name in ["", "Config", "a..b", ".a", "-a", "a_b", "../a", "a\nb", &long(254), &long(60_000)] {
            check("prod", name, Some(InvalidName::Workspace));
        }
    }
}
