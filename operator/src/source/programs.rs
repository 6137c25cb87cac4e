//! The programs of this machine that sources need: git for each repository, ssh for those over ssh, and gpgv for OpenPGP
//! signatures.
//!
//! The operator waits at its start for a git that runs, so that one in a broken image never becomes the leader. Other
//! missing programs are only logged: most installs do not need them, and the status of a workspace that does names them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tracing::{info, warn};

/// The time within which a program has to print its version.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// The names of this system's users.
const USERS: &str = "/etc/passwd";
/// Further names. In the project's image this is a link to a file below /tmp, as its root may be read-only.
const EXTRA_USERS: &str = "/var/lib/extrausers/passwd";

/// The reason why the operator can't work without a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operator needs the program `{program}`, which can't be run: {reason}")]
pub(crate) struct MissingProgram {
    program: &'static str,
    reason: String,
}

/// Finds git, without which no repository can be read.
pub(crate) async fn find_git() -> Result<(), MissingProgram> {
    let version = version("git", "--version").await?;
    info!(program = "git", version, "found a program");
    Ok(())
}

/// Finds the programs that only some sources need.
pub(crate) async fn find_others() {
    for (program, argument, need) in [
        ("ssh", "-V", "without it no source over ssh can be read"),
        ("gpgv", "--version", "without it no OpenPGP signature can be verified"),
    ] {
        match version(program, argument).await {
            Ok(version) => info!(program, version, "found a program"),
            Err(MissingProgram { reason, .. }) => warn!(program, reason, need, "a program can't be run"),
        }
    }
}

/// Gives this process's user a name, if it has none: ssh ends at once for a user without a name. This changes nothing
/// outside the project's image.
pub(crate) fn name_this_user() {
    let user = rustix::process::getuid().as_raw();
    let known = fs::read_to_string(USERS).is_ok_and(|users| is_named(&users, user));
    let is_link = fs::symlink_metadata(EXTRA_USERS).is_ok_and(|file| file.is_symlink());
    if known || !is_link {
        return;
    }
    match write_name(Path::new(EXTRA_USERS), user) {
        Ok(()) => info!(user, "the user id has no entry in /etc/passwd, and got one for ssh"),
        Err(error) => {
            warn!(user, %error, "the user id has no entry in /etc/passwd, and none could be added: sources over ssh can't be read")
        }
    }
}

/// Writes an entry for `user`. Its group is not that of the process: the library that reads the file skips the groups of
/// the system.
fn write_name(users: &Path, user: u32) -> std::io::Result<()> {
    fs::write(users, format!("rototo:x:{user}:65532:rototo:/tmp:/bin/sh\n"))
}

/// Returns whether `users`, in the format of /etc/passwd, has an entry for `user`.
fn is_named(users: &str, user: u32) -> bool {
    users.lines().any(|line| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(user))
}

/// Returns the first line that a program prints about itself.
async fn version(program: &'static str, argument: &str) -> Result<String, MissingProgram> {
    let missing = |reason: String| MissingProgram { program, reason };
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).current_dir("/").env("LC_ALL", "C").kill_on_drop(true);
    let output = tokio::time::timeout(ANSWERS_WITHIN, command.output());
    let output = output.await.map_err(|_| missing(format!("it did not end within {ANSWERS_WITHIN:?}")))?;
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing("it is in no directory of PATH".to_owned()),
        _ => missing(error.to_string()),
    })?;
    // Git prints to stdout, and ssh to stderr.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default().trim().chars().filter(|c| !c.is_control()).take(200).collect();
    if output.status.success() { Ok(line) } else { Err(missing(format!("{}, {line}", output.status))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_shows_its_version() {
        let version = version("git", "--version").await.unwrap();
        assert!(version.starts_with("git version "), "{version}");
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_the_reason() {
        let error = version("rototo-absent", "--version").await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the operator needs the program `rototo-absent`, which can't be run: it is in no directory of PATH"
        );
        let error = version("git", "--no-such-option").await.unwrap_err().to_string();
        assert!(error.contains("exit status: 129") && error.contains("no-such-option"), "{error}");
    }

    #[test]
    fn a_user_is_named_by_its_number_alone() {
        let users = "root:x:0:0:root:/root:/bin/sh\nrototo:x:65532:65532:rototo:/tmp:/bin/sh\nbroken\n";
        assert!(is_named(users, 0) && is_named(users, 65532));
        assert!(!is_named(users, 6553) && !is_named(users, 12345));
    }

    #[test]
    fn the_name_of_a_user_is_written_through_the_link_and_can_be_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let (link, file) = (directory.path().join("passwd"), directory.path().join("target"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for user in [12345, 1_000_680_000] {
            write_name(&link, user).unwrap();
            assert!(is_named(&fs::read_to_string(&file).unwrap(), user));
        }
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
    }
}
