//! The file of a Unix socket: it may belong to another process, before this one binds it and at this one's end.

use std::fs::{self, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Binds a Unix socket whose file has these permissions from the first moment at which it is there.
///
/// Binding makes a file that others may connect to before its permissions are set, so it happens in a directory that only this
/// user can enter. The finished file then gets its place.
pub(super) fn bind_unix(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile)> {
    check_length(path)?;
    let Some(parent) = path.parent() else {
        return Err(Error::new(ErrorKind::InvalidInput, "the path names no file"));
    };
    // Short names, so that only the path of a file with a name of less than five bytes could be shorter. Dropping the
    // directory removes it, and the first name of the socket.
    let mut directory = tempfile::Builder::new();
    let directory = directory.prefix(".").rand_bytes(1).permissions(Permissions::from_mode(0o700));
    let directory = directory.tempdir_in(parent).map_err(|error| not_in(parent, &error))?;
    let new = directory.path().join("s");
    check_length(&new)?;
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(mode))?;
    let file = SocketFile { path: path.to_owned(), identity: identity(&new)? };
    remove_left_over(path)?;
    // Unlike `rename`, this replaces nothing that has come to this place since.
    fs::hard_link(&new, path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::new(ErrorKind::AddrInUse, "another process serves this socket"),
        _ => error,
    })?;
    Ok((listener, file))
}

/// Returns the error of a directory in which no file can be made, without the name of that file.
fn not_in(directory: &Path, error: &Error) -> Error {
    let (directory, kind) = (directory.display(), error.kind());
    let text = match kind {
        ErrorKind::NotFound => format!("the directory {directory} does not exist"),
        _ => format!("no file can be made in the directory {directory}: {kind}"),
    };
    Error::new(kind, text)
}

/// Refuses a path that the kernel does not take for a Unix socket.
fn check_length(path: &Path) -> Result<()> {
    let refused = |_| {
        let text =
            "the path is too long for a Unix socket, which takes 107 bytes on Linux: give one in a shorter directory";
        Error::new(ErrorKind::InvalidInput, text)
    };
    SocketAddr::from_pathname(path).map(drop).map_err(refused)
}

/// The file of a bound Unix socket.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The device and the inode, which no other file has while the socket is open.
    identity: (u64, u64),
}

impl SocketFile {
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
    use std::os::unix::net::UnixDatagram;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn the_file_of_a_socket_never_has_other_permissions_than_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let ended = AtomicBool::new(false);
        let seen = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let seen = || fs::symlink_metadata(&path).ok().map(|metadata| metadata.mode() & 0o777);
                let others = std::iter::from_fn(|| (!ended.load(Ordering::Relaxed)).then(seen));
                others.flatten().find(|mode| *mode != 0o600)
            });
            for _ in 0..2000 {
                let (_listener, file) = bind_unix(&path, 0o600).unwrap();
                file.remove();
            }
            ended.store(true, Ordering::Relaxed);
            watching.join().unwrap()
        });
        assert_eq!(seen, None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left over");
    }

    #[test]
    fn of_many_that_bind_one_path_one_serves_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        for _ in 0..50 {
            let bound: Vec<_> = thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(|| bind_unix(&path, 0o600))).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            let mut served = bound.into_iter().filter_map(Result::ok);
            let (listener, file) = served.next().unwrap();
            assert!(served.next().is_none());
            assert_eq!(file.identity, identity(&path).unwrap());
            let _peer = UnixStream::connect(&path).unwrap();
            listener.accept().unwrap();
            file.remove();
        }
    }

    #[test]
    fn the_file_of_a_socket_takes_the_place_of_one_that_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        fs::create_dir(folder.path().join(".0")).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = bind_unix(&path, 0o640).unwrap();
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o777, file.identity), (0o640, identity(&path).unwrap()));
        let _peer = UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        assert_eq!(bind_unix(&path, 0o640).err().unwrap().kind(), ErrorKind::AddrInUse);
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name != ".0" && name != "agent.sock").count(), 0);
    }

    #[test]
    fn an_error_of_the_directory_names_it_and_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, file) = (folder.path().join("missing"), folder.path().join("file"));
        fs::write(&file, "").unwrap();
        let error = |directory: &Path| bind_unix(&directory.join("agent.sock"), 0o600).err().unwrap().to_string();
        assert_eq!(error(&missing), format!("the directory {} does not exist", missing.display()));
        assert_eq!(error(&file), format!("no file can be made in the directory {}: not a directory", file.display()));
    }

    #[test]
    fn a_path_has_the_length_that_the_kernel_takes_and_a_longer_one_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = |length: usize| {
            let room = length - folder.path().as_os_str().len() - 1;
            folder.path().join("x".repeat(room))
        };
        bind_unix(&path(107), 0o600).unwrap();
        let error = bind_unix(&path(108), 0o600).err().unwrap();
        assert!(error.to_string().contains("too long for a Unix socket"), "{error}");
        // A short name in a long directory is no exception.
        let deep = path(102);
        fs::create_dir(&deep).unwrap();
        bind_unix(&deep.join("sock"), 0o600).unwrap();
        let error = bind_unix(&deep.join("socket"), 0o600).err().unwrap();
        assert!(error.to_string().contains("too long for a Unix socket"), "{error}");
    }

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
