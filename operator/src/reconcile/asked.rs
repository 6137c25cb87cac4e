//! The annotations by which people steer: what each asks for, and the user that it names.

use jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::names::ANNOTATION_USER;
use rototo_api::workspace::RototoWorkspace;

/// The user of a request that the API server has not verified.
const UNVERIFIED: &str = "unverified";

/// What one annotation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// The request, without the user.
    pub(super) text: &'a str,
    user: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Reads an annotation of the workspace, if it has that.
    pub(super) fn in_annotation(workspace: &'a RototoWorkspace, annotation: &str) -> Option<Self> {
        workspace.annotations().get(annotation).map(|value| Self::read(value))
    }

    fn read(value: &'a str) -> Self {
        match value.split_once(ANNOTATION_USER) {
            Some((text, user)) => Self { text, user: Some(user) },
            None => Self { text: value, user: None },
        }
    }

    /// Returns the user, if the API server has verified users since `verified`. A request about something that is not older
    /// than that was not written before.
    pub(super) fn by(&self, verified: Option<Timestamp>, about: Option<Timestamp>) -> String {
        let is_verified = verified.is_some_and(|since| about.is_none_or(|about| about >= since));
        self.user.filter(|_| is_verified).unwrap_or(UNVERIFIED).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_everything_after_the_first_separator() {
        for (value, text, user) in [
            ("4d123d6", "4d123d6", None),
            ("4d123d6 user=alice", "4d123d6", Some("alice")),
            ("hold 4d123d6 of=1 user=CN=Alice Example", "hold 4d123d6 of=1", Some("CN=Alice Example")),
            ("hold 4d123d6 user=bob user=alice", "hold 4d123d6", Some("bob user=alice")),
            ("hold 4d123d6\tuser=bob", "hold 4d123d6\tuser=bob", None),
        ] {
            assert_eq!(Asked::read(value), Asked { text, user }, "{value}");
        }
    }

    #[test]
    fn a_user_is_shown_only_where_the_request_can_not_be_older_than_the_verification() {
        let (asked, at) = (Asked::read("hold 4d123d6 user=alice"), |second| Timestamp::from_second(second).ok());
        assert_eq!(asked.by(None, at(5)), "unverified");
        assert_eq!(asked.by(at(6), at(5)), "unverified", "it may have been written before");
        assert_eq!((asked.by(at(5), at(5)), asked.by(at(5), None)), ("alice".to_owned(), "alice".to_owned()));
        assert_eq!(Asked::read("4d123d6").by(at(5), at(6)), "unverified");
    }
}
