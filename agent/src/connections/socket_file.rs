//! The file of a Unix socket: it may belong to another process, before this one binds it and at this one's end.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The file of a bound Unix socket.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The device and the inode, which no other file has while the socket is open.
    identity: (u64, u64),
}

impl SocketFile {
    /// Remembers the file of a socket that was just bound.
    pub(super) fn of(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, unless another process has put its own in its place. The socket must still be open.
    pub(super) fn remove(&self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // The next process removes a socket that is left over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Removes the socket of a process that has ended. One that somebody serves, or may serve, stays, and so does any other file.
pub(super) fn remove_left_over(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(Error::new(ErrorKind::AlreadyExists, "the file is no socket"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Error::new(ErrorKind::AddrInUse, "another process serves this socket")),
        // The kernel knows that nobody listens.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let text = format!("another process may serve this socket, which does not let this one connect: {error}");
            Err(Error::new(ErrorKind::AddrInUse, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use super::*;

    #[test]
    fn only_a_socket_at_which_nobody_listens_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        remove_left_over(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        remove_left_over(&path).unwrap();
        assert!(!path.exists());
        // As for a socket without permission, the error of connecting does not say that nobody is there.
        let _other = UnixDatagram::bind(&path).unwrap();
        let error = remove_left_over(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another process may serve this socket"), "{error}");
        assert!(path.exists());
    }
}
