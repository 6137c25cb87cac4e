//! The remedies of errors that do not name one themselves.

use rototo_engine::ResolveError;
use rototo_source::SourceError;

use crate::workspace::NotThere;
use crate::workspace::context::DottedKey;
use crate::workspace::unreadable::Unreadable;

/// Returns a remedy, in one line.
pub(crate) fn advice(error: &anyhow::Error) -> Option<String> {
    if let Some(error) = error.downcast_ref::<ResolveError>() {
        return of_resolution(error);
    }
    if let Some(error) = error.downcast_ref::<DottedKey>() {
        return Some(error.advice());
    }
    if let Some(unreadable) = error.downcast_ref::<Unreadable>() {
        return of_source(unreadable.error()).map(str::to_owned);
    }
    let missing = error.downcast_ref::<NotThere>().map(|_| "name the directory that holds rototo-workspace.toml");
    missing.map(str::to_owned)
}

fn of_resolution(error: &ResolveError) -> Option<String> {
    match error {
        ResolveError::MissingAttribute { attribute, .. } => Some(format!("add --context {attribute}=VALUE")),
        ResolveError::NotANumber { attribute, .. } => Some(format!("send a number, such as --context {attribute}=1")),
        ResolveError::ContextMismatch(_) => Some("schemas/context.schema.json says what a context holds".to_owned()),
        ResolveError::UnknownVariable(_) | ResolveError::UnknownQualifier(_) => {
            Some("`rototo show` lists what there is".to_owned())
        }
    }
}

/// Returns the remedy for an error of a source, by its code.
pub(crate) fn of_source(error: &SourceError) -> Option<&'static str> {
    Some(match error.code() {
        "no_directory" if error.extends_entry().is_some() => {
            "correct the entry of `extends`: it names the directory that holds rototo-workspace.toml"
        }
        "no_reference" => "correct the part after `#`; `git ls-remote` lists the branches and tags",
        "no_commit" => "push the commit, or name a branch or tag that holds it",
        "no_directory" => "correct the part after the colon: the directory that holds rototo-workspace.toml",
        "no_repository" => "correct the address, or log in to the host as `git clone` would have to",
        "no_archive" => "correct the address of the archive",
        "access_denied" => "log in with git's own credential helper; for an archive, give a --workspace-token",
        "unreachable" | "git_timed_out" | "http_timed_out" | "interrupted" | "throttled" => "try again",
        "not_git" => "open the address in a browser, and log in to the host with git's own credential helper",
        "foreign_owner" => "run `git config --global --add safe.directory` with its path, if you trust its owner",
        "no_git" => "install git, and see that it is in PATH",
        "host_not_trusted" => "add the host's certificate authority, or its key to known_hosts, if you trust it",
        "too_large" | "too_many_entries" | "transfer_too_large" => {
            "keep the workspace in a directory of its own, and name that"
        }
        _ => return None,
    })
}
