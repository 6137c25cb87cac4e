//! Reads credentials from the keys of a Kubernetes Secret, and names the key that is missing or invalid.

use std::collections::BTreeMap;

use crate::credentials::parts::{ClientCertificate, CredentialParts, Login, Secret, SshIdentity};
use crate::credentials::repositories::Repositories;

/// Keys and values that are not credentials. The messages name keys, and never their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// None of the known keys is there.
    #[error(
        "it has none of the keys username + password, bearerToken, identity + known_hosts, ca.crt, or tls.crt + tls.key"
    )]
    Nothing,
    /// One key of a pair is missing.
    #[error("it has the key `{present}` and lacks `{missing}`: both are needed")]
    Half {
        /// The key that is there.
        present: &'static str,
        /// The key that is missing.
        missing: &'static str,
    },
    /// Two logins.
    #[error("it has both a password and a bearerToken: keep one of them")]
    TwoLogins,
    /// The value is empty, or white space.
    #[error("its key `{0}` is empty")]
    Empty(&'static str),
    /// The value is binary, or has line breaks inside.
    #[error("its key `{0}` is not one line of plain text")]
    NotOneLine(&'static str),
    /// The value is binary.
    #[error("its key `{0}` is not text")]
    NotText(&'static str),
    /// The value has no PEM block of the required kind, with its title and its end in lines of their own.
    #[error("its key `{key}` holds no PEM block `{block}`: store the file as it is, with its line breaks")]
    NotPem {
        /// The key.
        key: &'static str,
        /// The title of the required block.
        block: &'static str,
    },
    /// The private key is protected by a passphrase.
    #[error(
        "its key `{0}` is protected by a passphrase, which nobody can type here: store a copy without one (`ssh-keygen -p \
         -N '' -f FILE`, `openssl pkey -in FILE`)"
    )]
    Passphrase(&'static str),
    /// A line of `repositories` is no address.
    #[error(
        "line {0} of its key `repositories` is not an address of repositories: write https://HOST/OWNER or ssh://HOST/OWNER, \
         one a line"
    )]
    Repositories(usize),
}

/// Reads the credentials from the keys of a Secret.
pub(super) fn read(secret: &BTreeMap<String, Vec<u8>>) -> Result<CredentialParts, InvalidCredentials> {
    let keys = SecretKeys(secret);
    let basic = keys.login()?;
    let bearer = keys.get("bearerToken", SecretKeys::line)?;
    let ssh = keys.pair("identity", "known_hosts", SecretKeys::text)?;
    // Cert-manager writes an empty one where the issuer names no authority.
    let has_empty_ca = secret.get("ca.crt").is_some_and(|bytes| is_blank(bytes));
    let ca = if has_empty_ca { None } else { keys.get("ca.crt", SecretKeys::certificate)? };
    let certificate = keys.pair("tls.crt", "tls.key", SecretKeys::text)?;
    let login = match (basic, bearer) {
        (Some(_), Some(_)) => return Err(InvalidCredentials::TwoLogins),
        (Some((username, password)), None) => Some(Login::Basic { username, password }),
        (None, Some(token)) => Some(Login::Bearer(token)),
        (None, None) => None,
    };
    if let Some((key, _)) = &ssh {
        require_block(key, "identity", "PRIVATE KEY")?;
        require_open(key, "identity")?;
    }
    if let Some((certificate, key)) = &certificate {
        require_block(certificate, "tls.crt", "CERTIFICATE")?;
        require_block(key, "tls.key", "PRIVATE KEY")?;
        require_open(key, "tls.key")?;
    }
    let parts = CredentialParts {
        login,
        ssh: ssh.map(|(key, known_hosts)| SshIdentity { key, known_hosts }),
        ca,
        client_certificate: certificate.map(|(certificate, key)| ClientCertificate { certificate, key }),
        repositories: keys.repositories()?,
    };
    match parts.is_empty() {
        true if has_empty_ca => Err(InvalidCredentials::Empty("ca.crt")),
        true => Err(InvalidCredentials::Nothing),
        false => Ok(parts),
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.trim_ascii().is_empty()
}

/// The keys of a Secret, with a reader for each form of value.
struct SecretKeys<'a>(&'a BTreeMap<String, Vec<u8>>);

type Read<'a> = fn(&SecretKeys<'a>, &'static str, &[u8]) -> Result<Secret, InvalidCredentials>;

impl<'a> SecretKeys<'a> {
    fn get(&self, key: &'static str, read: Read<'a>) -> Result<Option<Secret>, InvalidCredentials> {
        self.0.get(key).map(|bytes| read(self, key, bytes)).transpose()
    }

    fn pair(
        &self,
        first: &'static str,
        second: &'static str,
        read: Read<'a>,
    ) -> Result<Option<(Secret, Secret)>, InvalidCredentials> {
        match (self.get(first, read)?, self.get(second, read)?) {
            (Some(first), Some(second)) => Ok(Some((first, second))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(InvalidCredentials::Half { present: first, missing: second }),
            (None, Some(_)) => Err(InvalidCredentials::Half { present: second, missing: first }),
        }
    }

    /// Reads user and password. Some hosts take a token as the password of nobody. The password of an identity is no
    /// login: Flux keeps the passphrase there.
    fn login(&self) -> Result<Option<(Secret, Secret)>, InvalidCredentials> {
        if self.0.contains_key("identity") && !self.0.contains_key("username") {
            return Ok(None);
        }
        let nobody = self.0.get("username").is_some_and(|user| is_blank(user))
            && self.0.get("password").is_some_and(|p| !is_blank(p));
        if !nobody {
            return self.pair("username", "password", SecretKeys::line);
        }
        let password = self.get("password", SecretKeys::line)?;
        Ok(password.map(|password| (Secret::new(String::new()), password)))
    }

    /// Reads the repositories of other owners that the credentials are for.
    fn repositories(&self) -> Result<Vec<Repositories>, InvalidCredentials> {
        let Some(bytes) = self.0.get("repositories") else { return Ok(Vec::new()) };
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidCredentials::NotText("repositories"))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parsed = lines
            .map(|(index, line)| Repositories::parse(line.trim()).ok_or(InvalidCredentials::Repositories(index + 1)));
        parsed.collect()
    }

    /// Reads one line. A line break at its end is what `echo` left there; one inside would begin another header.
    fn line(&self, key: &'static str, bytes: &[u8]) -> Result<Secret, InvalidCredentials> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidCredentials::NotOneLine(key))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(InvalidCredentials::Empty(key));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidCredentials::NotOneLine(key));
        }
        Ok(Secret::new(text.to_owned()))
    }

    /// Reads a file of lines, in the form in which ssh reads it: without the carriage returns of Windows, and with an end
    /// of the last line.
    fn text(&self, key: &'static str, bytes: &[u8]) -> Result<Secret, InvalidCredentials> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidCredentials::NotText(key))?;
        if text.trim().is_empty() {
            return Err(InvalidCredentials::Empty(key));
        }
        Ok(Secret::new(format!("{}\n", text.replace('\r', "").trim_end())))
    }

    fn certificate(&self, key: &'static str, bytes: &[u8]) -> Result<Secret, InvalidCredentials> {
        let text = self.text(key, bytes)?;
        require_block(&text, key, "CERTIFICATE")?;
        Ok(text)
    }
}

/// Refuses a text without a PEM block whose title ends in `block`. The title has a line of its own, and so has the end: a
/// parser of PEM that misses one shows what it has read, and that is the key.
fn require_block(text: &Secret, key: &'static str, block: &'static str) -> Result<(), InvalidCredentials> {
    let mut lines = text.reveal().lines().map(str::trim);
    let begun = lines.find_map(|line| title(line, "-----BEGIN ").filter(|title| title.ends_with(block)));
    let is_whole = begun.is_some_and(|begun| lines.any(|line| title(line, "-----END ") == Some(begun)));
    if is_whole { Ok(()) } else { Err(InvalidCredentials::NotPem { key, block }) }
}

/// Returns the title in a line that begins or ends a PEM block.
fn title<'a>(line: &'a str, edge: &str) -> Option<&'a str> {
    line.strip_prefix(edge)?.strip_suffix("-----").filter(|title| !title.contains("-----"))
}

/// Refuses a private key that only a passphrase opens.
fn require_open(text: &Secret, key: &'static str) -> Result<(), InvalidCredentials> {
    // The beginning of the base64 of each key in OpenSSH's own form, and of one whose cipher is `none`.
    const OPENSSH: &str = "b3BlbnNzaC1rZXktdjEA";
    const OPENSSH_OPEN: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
    let is_protected = text.reveal().lines().map(str::trim).any(|line| {
        let is_title = line.starts_with("-----BEGIN ") || line.starts_with("Proc-Type:");
        (is_title && line.contains("ENCRYPTED")) || (line.starts_with(OPENSSH) && !line.starts_with(OPENSSH_OPEN))
    });
    if is_protected { Err(InvalidCredentials::Passphrase(key)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;

    const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n";

    fn from(keys: &[(&str, &str)]) -> Result<Credentials, InvalidCredentials> {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        Credentials::from_keys(&keys)
    }

    #[test]
    fn each_kind_is_read_and_none_is_shown() {
        for (keys, shown) in [
            (&[("username", "hunter2"), ("password", "hunter2\n")][..], "user and password"),
            (&[("bearerToken", "hunter2")], "bearer token"),
            (&[("identity", KEY), ("known_hosts", "hunter2 ssh-ed25519 hunter2")], "ssh identity"),
            (&[("ca.crt", CERTIFICATE), ("other", "hunter2")], "certificate authority"),
            (&[("tls.crt", CERTIFICATE), ("tls.key", KEY)], "client certificate"),
        ] {
            let credentials = from(keys).unwrap();
            assert_eq!(format!("{credentials:?}"), format!("Credentials {{ {shown} }}"));
            assert!(!credentials.is_empty());
        }
    }

    #[test]
    fn a_missing_or_invalid_value_is_named_by_its_key_alone() {
        for (keys, expected) in [
            (&[][..], "it has none of the keys"),
            (&[("other", "hunter2")], "it has none of the keys"),
            (&[("username", "hunter2")], "has the key `username` and lacks `password`"),
            (&[("identity", KEY)], "has the key `identity` and lacks `known_hosts`"),
            (&[("tls.key", KEY)], "has the key `tls.key` and lacks `tls.crt`"),
            (&[("username", "hunter2"), ("password", "hunter2"), ("bearerToken", "hunter2")], "both a password and a"),
            (&[("bearerToken", "\n")], "`bearerToken` is empty"),
            (&[("bearerToken", "hunter2\nCookie: hunter2")], "`bearerToken` is not one line"),
            (&[("ca.crt", "hunter2")], "`ca.crt` holds no PEM block `CERTIFICATE`"),
            (&[("identity", "hunter2"), ("known_hosts", "x")], "`identity` holds no PEM block `PRIVATE KEY`"),
        ] {
            let error = from(keys).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }

    /// The parsers of PEM show the lines that they don't understand, and here such a line is the whole key.
    #[test]
    fn a_file_that_lost_its_line_breaks_is_named_by_its_key_alone() {
        let certificate = CERTIFICATE.trim_end();
        for line_break in [" ", "\\n", "", "\r"] {
            let [key, one_line] = [KEY, certificate].map(|whole| whole.replace('\n', line_break));
            for (name, keys) in [
                ("identity", &[("identity", &*key), ("known_hosts", "h x y")][..]),
                ("tls.key", &[("tls.crt", certificate), ("tls.key", &key)]),
                ("tls.crt", &[("tls.crt", &one_line), ("tls.key", KEY)]),
                ("ca.crt", &[("ca.crt", &one_line)]),
            ] {
                let error = from(keys).unwrap_err().to_string();
                assert!(error.contains(&format!("`{name}` holds no PEM block")), "{error}");
                assert!(error.contains("line breaks") && !error.contains("hunter2"), "{error}");
            }
        }
        for cut in [
            KEY.rsplit_once('\n').unwrap().0,
            &*KEY.replace("END OPENSSH", "END RSA"),
            &KEY.replace("BEGIN", "-----BEGIN"),
        ] {
            assert!(from(&[("identity", cut), ("known_hosts", "h x y")]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_key_ends_with_a_line_break() {
        let credentials = from(&[("identity", KEY), ("known_hosts", "h ssh-ed25519 x")]).unwrap();
        assert_eq!(credentials.ssh().unwrap().key.reveal(), format!("{KEY}\n"));
    }

    #[test]
    fn a_file_of_windows_is_read_as_the_same_file() {
        let credentials = from(&[("identity", KEY), ("known_hosts", "h ssh-ed25519 x\ni ssh-rsa y")]).unwrap();
        let windows = |text: &str| text.replace('\n', "\r\n") + "\r\n";
        let (key, known_hosts) = (windows(KEY), windows("h ssh-ed25519 x\ni ssh-rsa y"));
        assert!(from(&[("identity", &key), ("known_hosts", &known_hosts)]).unwrap() == credentials);
    }

    #[test]
    fn a_token_may_be_the_password_of_nobody() {
        let credentials = from(&[("username", "\n"), ("password", "hunter2")]).unwrap();
        let Some(Login::Basic { username, password }) = credentials.login() else { panic!("no login") };
        assert_eq!((username.reveal(), password.reveal()), ("", "hunter2"));
        let error = from(&[("username", ""), ("password", "")]).unwrap_err();
        assert_eq!(error, InvalidCredentials::Empty("username"));
    }

    #[test]
    fn a_key_with_a_passphrase_is_named_with_what_to_do() {
        let key = |title: &str, body: &str| {
            format!("-----BEGIN {title}PRIVATE KEY-----\n{body}\n-----END {title}PRIVATE KEY-----")
        };
        let open = key("OPENSSH ", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ");
        assert!(from(&[("identity", &open), ("known_hosts", "h x y")]).is_ok());
        for closed in [
            key("OPENSSH ", "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0"),
            key("ENCRYPTED ", "MIIFHDBOBgkqhkiG"),
            key("RSA ", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0\n\nAAAA"),
        ] {
            let error = from(&[("identity", &closed), ("known_hosts", "h x y")]).unwrap_err();
            assert_eq!(error, InvalidCredentials::Passphrase("identity"));
            assert!(error.to_string().contains("ssh-keygen -p"), "{error}");
            let error = from(&[("tls.crt", CERTIFICATE), ("tls.key", &closed)]).unwrap_err();
            assert_eq!(error, InvalidCredentials::Passphrase("tls.key"));
        }
    }

    /// Flux keeps the passphrase of an identity as its password.
    #[test]
    fn the_password_of_an_identity_is_its_passphrase() {
        let closed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2\n-----END ENCRYPTED PRIVATE KEY-----";
        let keys = |key| [("identity", key), ("identity.pub", "x"), ("known_hosts", "h x y"), ("password", "hunter2")];
        assert_eq!(from(&keys(closed)).unwrap_err(), InvalidCredentials::Passphrase("identity"));
        assert_eq!(format!("{:?}", from(&keys(KEY)).unwrap()), "Credentials { ssh identity }");
    }

    /// Cert-manager writes an empty `ca.crt` where the issuer names no authority.
    #[test]
    fn an_empty_authority_beside_other_credentials_is_none() {
        for blank in ["", "\n"] {
            let keys = [("tls.crt", CERTIFICATE), ("tls.key", KEY), ("ca.crt", blank)];
            assert_eq!(format!("{:?}", from(&keys).unwrap()), "Credentials { client certificate }");
            assert_eq!(from(&[("ca.crt", blank), ("other", "x")]).unwrap_err(), InvalidCredentials::Empty("ca.crt"));
        }
    }

    #[test]
    fn other_credentials_have_another_name() {
        let of = |keys: &[(&str, &str)]| from(keys).unwrap().digest();
        assert_eq!(of(&[("bearerToken", "ab")]), of(&[("bearerToken", "ab\n")]));
        assert_ne!(of(&[("bearerToken", "ab")]), of(&[("bearerToken", "ac")]));
        assert_ne!(of(&[("username", "a"), ("password", "bc")]), of(&[("username", "ab"), ("password", "c")]));
    }
}
