//! The errors of the start.

use std::io;

use crate::connections::address::Address;

/// The reason why the agent does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No source is named.
    #[error(
        "no workspace is named: give --source, or set ROTOTO_WORKSPACE_SOURCE, to a directory, a git address, or kubernetes://NAMESPACE/WORKSPACE"
    )]
    NoSource,
    /// Others than processes of this machine could connect, and nobody has said that they may.
    #[error(
        "the agent does not listen at {0}: everybody who reaches that address could evaluate every variable, over plain HTTP. Listen on loopback or a Unix socket, or give --allow-plain-http if that is intended"
    )]
    NotLocal(Address),
    /// An address can't be listened at.
    #[error("listening at {0} failed: {1}")]
    Listen(Address, io::Error),
    /// The kernel does not name the address of a socket.
    #[error("reading the address of a socket failed: {0}")]
    Address(io::Error),
    /// The workspace can't be followed.
    #[error(transparent)]
    Workspace(#[from] rototo::Error),
}
