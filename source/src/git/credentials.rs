//! Passes credentials to one run of git: by its environment, or in files that only this user can read and that are
//! removed after the run. They are never in arguments, and no run without a request to the host gets them.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use tempfile::TempDir;

use crate::credentials::Credentials;
use crate::credentials::{ClientCertificate, Login, SshIdentity};
use crate::egress::GitWay;
use crate::error::GitFault;
use crate::spec::{RemoteUrl, Scheme};

/// A setting of git and its value.
pub(super) type Setting = (String, String);

/// Ssh refuses unknown and changed host keys, and prompts nobody. Its log level stays: a lower one hides the banner of the
/// host, and also why the two could not agree, or who closed the connection.
const SSH: &str = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=15";

/// Answers git's prompt for user and password, and no other prompt.
const HELPER: &str =
    r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$ROTOTO_USERNAME" "$ROTOTO_PASSWORD"; }; f"#;

/// The settings and files of one run of git.
pub(super) struct GitKeyFiles {
    settings: Vec<Setting>,
    environment: Vec<(&'static str, String)>,
    known_hosts: Option<PathBuf>,
    // Removes the files when it is dropped.
    files: Option<TempDir>,
}

impl GitKeyFiles {
    /// Prepares the settings with which git opens `url`. Without credentials the user's own settings apply, and for ssh
    /// the user's own command, if there is one.
    pub(super) fn hand_over(
        credentials: &Credentials,
        url: &RemoteUrl,
        own_ssh: bool,
        way: &GitWay,
    ) -> Result<Self, GitFault> {
        let mut keys = Self { settings: Vec::new(), environment: Vec::new(), known_hosts: None, files: None };
        match url.scheme() {
            Scheme::Https => keys.for_https(credentials, url)?,
            Scheme::Ssh => keys.for_ssh(credentials, own_ssh, way)?,
            Scheme::File => {}
        }
        Ok(keys)
    }

    pub(super) fn settings(&self) -> impl Iterator<Item = Setting> {
        self.settings.iter().cloned()
    }

    /// Returns the file with the keys of the hosts. They are looked up under the name of the host, without a port, where
    /// ssh gets an address in place of that name.
    pub(super) fn known_hosts(&self) -> Option<&Path> {
        self.known_hosts.as_deref()
    }

    pub(super) fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.environment.iter().cloned()
    }

    fn for_https(&mut self, credentials: &Credentials, url: &RemoteUrl) -> Result<(), GitFault> {
        let host = format!("https://{}", url.host());
        if let Some(user) = url.user() {
            self.set(&format!("credential.{host}.username"), user);
        }
        if credentials.is_empty() {
            return Ok(());
        }
        if !credentials.opens_https() {
            return Err(GitFault::UnusableCredentials(
                "https wants username + password, bearerToken, ca.crt, or tls.crt + tls.key",
            ));
        }
        // No credential helper of this machine is asked, or gets the credentials.
        self.set("credential.helper", "");
        self.set("http.sslVerify", "true");
        match credentials.login() {
            // Git sends no password of nobody.
            Some(Login::Basic { username, password }) if username.reveal().is_empty() => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!(":{}", password.reveal()));
                self.header(&host, &format!("Basic {pair}"));
            }
            Some(Login::Basic { username, password }) => {
                self.set(&format!("credential.{host}.helper"), HELPER);
                self.set(&format!("credential.{host}.username"), username.reveal());
                self.environment.push(("ROTOTO_USERNAME", username.reveal().to_owned()));
                self.environment.push(("ROTOTO_PASSWORD", password.reveal().to_owned()));
            }
            Some(Login::Bearer(token)) => self.header(&host, &format!("Bearer {}", token.reveal())),
            None => {}
        }
        if let Some(ca) = credentials.ca() {
            let file = self.file("ca.crt", ca.reveal())?;
            self.set("http.sslCAInfo", &file.to_string_lossy());
        }
        if let Some(ClientCertificate { certificate, key }) = credentials.client_certificate() {
            let (certificate, key) = (self.file("tls.crt", certificate.reveal())?, self.file("tls.key", key.reveal())?);
            self.set("http.sslCert", &certificate.to_string_lossy());
            self.set("http.sslKey", &key.to_string_lossy());
            // Git would show it to every host that it is redirected to.
            self.set("http.followRedirects", "false");
        }
        Ok(())
    }

    /// Sends a header with each request to the host: for this host alone, also where the machine's own settings replace
    /// the address (`insteadOf`).
    fn header(&mut self, host: &str, authorization: &str) {
        self.set(&format!("http.{host}/.extraHeader"), &format!("Authorization: {authorization}"));
        // Git would send it to every address that it is redirected to.
        self.set("http.followRedirects", "false");
    }

    fn for_ssh(&mut self, credentials: &Credentials, own_ssh: bool, way: &GitWay) -> Result<(), GitFault> {
        let options = way.ssh_options();
        let command = match credentials.ssh() {
            None if own_ssh => return Ok(()),
            None if credentials.is_empty() => {
                // The files of this machine name the port.
                let name = way.ssh_host().map(|(host, port)| match port {
                    22 => named(host),
                    port => named(&format!("[{host}]:{port}")),
                });
                format!("{SSH}{options}{}", name.unwrap_or_default())
            }
            None => return Err(GitFault::UnusableCredentials("ssh wants identity + known_hosts")),
            Some(SshIdentity { key, known_hosts }) => {
                let key = quoted(&self.file("identity", key.reveal())?);
                let file = self.file("known_hosts", known_hosts.reveal())?;
                let known_hosts = quoted(&file);
                self.known_hosts = Some(file);
                let name = way.ssh_host().map(|(host, _)| named(host)).unwrap_or_default();
                // Ssh uses this key and these hosts alone: no agent, no other key, no file of this machine.
                format!(
                    "{SSH}{options}{name} -F none -i {key} -o IdentitiesOnly=yes -o IdentityAgent=none -o UpdateHostKeys=no \
                     -o UserKnownHostsFile={known_hosts} -o GlobalKnownHostsFile=/dev/null"
                )
            }
        };
        self.environment.push(("GIT_SSH_COMMAND", command));
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    fn file(&mut self, name: &str, content: &str) -> Result<PathBuf, GitFault> {
        let failed = |error: io::Error| GitFault::Other(format!("a file for git could not be written: {error}"));
        let directory = match self.files.take() {
            Some(directory) => directory,
            None => {
                let mine = Permissions::from_mode(0o700);
                tempfile::Builder::new().prefix("rototo-").permissions(mine).tempdir().map_err(failed)?
            }
        };
        let path = directory.path().join(name);
        self.files = Some(directory);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(content.as_bytes()).map_err(failed)?;
        Ok(path)
    }
}

/// Returns the option of ssh with the name under which it looks for the key of the host.
fn named(host: &str) -> String {
    format!(" -o HostKeyAlias='{host}'")
}

/// Quotes a path for the shell that starts ssh.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::Source;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n\
                       -----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n";

    fn handed(source: &str, keys: &[(&str, &str)]) -> Result<GitKeyFiles, GitFault> {
        let Source::Git(git) = source.parse().unwrap() else { panic!("{source}") };
        let keys: BTreeMap<_, _> =
            keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let credentials = if keys.is_empty() { Credentials::default() } else { Credentials::from_keys(&keys).unwrap() };
        GitKeyFiles::hand_over(&credentials.for_address(git.remote()), git.remote(), false, &GitWay::default())
    }

    #[test]
    fn no_credentials_leave_git_to_the_users_settings() {
        assert_eq!(handed("git+https://h/r.git", &[]).unwrap().settings().count(), 0);
        let ssh = handed("git+ssh://git@h/r.git", &[]).unwrap();
        assert_eq!(ssh.environment().collect::<Vec<_>>(), [("GIT_SSH_COMMAND", SSH.to_owned())]);
    }

    #[test]
    fn a_client_certificate_follows_no_redirect() {
        let keys = handed("git+https://h/r.git", &[("tls.crt", PEM), ("tls.key", PEM)]).unwrap();
        assert!(keys.settings().any(|setting| setting == ("http.followRedirects".to_owned(), "false".to_owned())));
    }

    #[test]
    fn files_are_for_this_user_alone_and_go_with_the_run() {
        let keys = handed("git+https://h/r.git", &[("tls.crt", PEM), ("tls.key", PEM), ("ca.crt", PEM)]).unwrap();
        let directory = keys.files.as_ref().unwrap().path().to_owned();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
        }
        drop(keys);
        assert!(!directory.exists());
    }

    #[test]
    fn credentials_of_another_kind_are_refused_with_the_kind_that_fits() {
        let error = handed("git+ssh://git@h/r.git", &[("bearerToken", "t")]).err().unwrap().to_string();
        assert!(error.contains("ssh wants identity + known_hosts"), "{error}");
        let ssh = [("identity", PEM), ("known_hosts", "h x y")];
        let error = handed("git+https://h/r.git", &ssh).err().unwrap().to_string();
        assert!(error.contains("https wants username + password"), "{error}");
    }
}
