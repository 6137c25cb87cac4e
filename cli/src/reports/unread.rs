//! A workspace that was not read, as findings like any other, so that code hosts and scripts read one shape.

use rototo_engine::{Diagnostic, Parsed};
use rototo_source::SourceError;

use crate::workspace;
use crate::workspace::NotThere;
use crate::workspace::unreadable::Unreadable;

/// A workspace that was not read.
pub(crate) struct UnreadWorkspace {
    /// Its name for programs.
    pub(crate) name: String,
    /// Its directory in its repository.
    pub(crate) directory: String,
    /// The reasons.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl UnreadWorkspace {
    /// Returns the findings about an error of reading a workspace, with the remedies of `help`; the error, if it is about
    /// no source.
    pub(crate) fn of(
        error: anyhow::Error,
        help: impl Fn(&SourceError) -> Option<&'static str>,
    ) -> anyhow::Result<Self> {
        let error = match error.downcast::<NotThere>() {
            Ok(missing) => return Ok(Self::not_there(missing)),
            Err(error) => error,
        };
        let Some(unreadable) = error.downcast_ref::<Unreadable>() else { return Err(error) };
        Ok(Self {
            name: unreadable.full_name(),
            directory: unreadable.directory_in_repository(),
            diagnostics: vec![unreadable.finding(help(unreadable.error()))],
        })
    }

    /// Reports a missing directory by the rule of a workspace that is not there.
    fn not_there(NotThere { at, reason }: NotThere) -> Self {
        let mut diagnostics = workspace::lint(&Parsed::default()).diagnostics;
        for diagnostic in &mut diagnostics {
            diagnostic.message.clone_from(&reason);
            diagnostic.location.path.clone_from(&at);
        }
        Self { name: at, directory: String::new(), diagnostics }
    }
}
