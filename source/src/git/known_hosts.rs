//! Translates known_hosts for an ssh that gets an address in place of the host.
//!
//! Ssh knows a host at another port than 22 as `[host]:port`, and if there is no such line as `host`; the certificate of a
//! host is for `host` at any port. With a name of our own (`HostKeyAlias`) ssh looks for that name alone. So it gets the
//! name `host`, and the lines of `[host]:port` in that name.
//!
//! This accepts no key that ssh refuses. It refuses some that ssh accepts, where lines for the port and lines for the host
//! contradict each other: ssh looks for a certificate by the host also if there is a key for the port.

use std::fs;
use std::io;
use std::path::Path;

use tokio::process::Command;

use crate::error::GitFault;

use crate::git::confine::Confinement;
use crate::git::environment::Setup;
use crate::git::group::{GitExit, ProcessGroup};

/// The port of ssh that known_hosts does not name.
const SSH_PORT: u16 = 22;

/// Makes the lines of `known_hosts` in `file` those for the name `host` alone, as ssh uses them at this port.
pub(super) async fn translate(
    file: &Path,
    (host, port): (&str, u16),
    setup: Setup,
    confinement: &Confinement<'_>,
) -> Result<(), GitFault> {
    if port == SSH_PORT {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| GitFault::Other(format!("known_hosts could not be searched: {error}"));
    // Only a program of ssh finds the lines whose names are hashed.
    let mut command = Command::new("ssh-keygen");
    setup.pass_on(&mut command);
    command.args(["-q", "-F", &format!("[{host}]:{port}"), "-f"]).arg(file).current_dir("/");
    let mut search = ProcessGroup::start(&mut command, confinement).map_err(|fault| match fault {
        GitFault::NoGit => failed(&"ssh-keygen is not installed"),
        fault => fault,
    })?;
    let GitExit { status, stdout, is_whole, .. } = search.run(b"", false).await?;
    // It ends with 1 if there is no such line.
    if !is_whole || !matches!(status.code(), Some(0 | 1)) {
        return Err(failed(&format!("ssh-keygen ended with {status}")));
    }
    let rewrite = || -> io::Result<()> {
        let all = fs::read_to_string(file)?;
        fs::write(file, translated(&String::from_utf8_lossy(&stdout), &all, host))
    };
    rewrite().map_err(|error| failed(&error))
}

/// Returns the lines for the name `host`: those that were `found` for the port, and without a key among them `all`.
fn translated(found: &str, all: &str, host: &str) -> String {
    let renamed: String = found.lines().filter_map(|line| renamed(line, host)).collect();
    // A line with a marker is no key of the host.
    let has_key = found.lines().any(|line| !line.trim_start().starts_with('@'));
    if has_key { renamed } else { renamed + all }
}

/// Returns a line of known_hosts with another name of the host, and with its end.
fn renamed(line: &str, host: &str) -> Option<String> {
    let blank = [' ', '\t'];
    let line = line.trim();
    let (marker, names) = if line.starts_with('@') { line.split_once(blank)? } else { ("", line) };
    let (_, key) = names.trim_start().split_once(blank)?;
    Some(format!("{marker} {host} {}\n", key.trim_start()).trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_port_get_the_name_of_the_host() {
        for (found, expected) in [
            ("", "all\n"),
            ("[h]:1 ssh-rsa A c d\n", "h ssh-rsa A c d\n"),
            ("  [h]:1,x \t ssh-rsa A\n|1|a=|b= ssh-rsa B\n", "h ssh-rsa A\nh ssh-rsa B\n"),
            ("@revoked * ssh-rsa A\n", "@revoked h ssh-rsa A\nall\n"),
            ("@cert-authority\t[h]:*  ssh-rsa A\n", "@cert-authority h ssh-rsa A\nall\n"),
            ("@revoked * ssh-rsa A\n[h]:1 ssh-rsa B\n", "@revoked h ssh-rsa A\nh ssh-rsa B\n"),
        ] {
            assert_eq!(translated(found, "all\n", "h"), expected, "{found}");
        }
    }
}
