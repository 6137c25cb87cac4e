//! A real sshd on loopback, which runs as any user.
//!
//! It is that of this machine, or Debian's, which is downloaded once into the project's cache (`$ROTOTO_CACHE_DIR`, or
//! `~/.cache/rototo`). As root, sshd needs a user of its own, which exists only in the /etc/passwd that it sees.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Debian's packages with the programs and their libraries.
const PACKAGES: [&str; 3] = ["openssh-server", "libwrap0", "libnss-wrapper"];

pub struct Sshd {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Sshd {
    pub fn start() -> Self {
        Self::start_for(None)
    }

    /// Starts a server with a certificate for `name`, which [`Self::authority`] has signed.
    pub fn start_certified(name: &str) -> Self {
        Self::start_for(Some(name))
    }

    fn start_for(certified: Option<&str>) -> Self {
        let root = packages();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        new_key(&at("host"));
        new_key(&at("identity"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let certificate = certified.map(|name| {
            certify(&at("authority"), name, &at("host.pub"));
            format!("HostCertificate {}\n", at("host-cert.pub").display())
        });
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             PasswordAuthentication no\nUsePAM no\n{}",
            at("host").display(),
            at("identity.pub").display(),
            certificate.unwrap_or_default(),
        );
        fs::write(at("config"), settings).unwrap();
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        fs::write(at("passwd"), format!("{passwd}sshd:x:65534:65534::/nonexistent:/usr/sbin/nologin\n")).unwrap();
        let mut command = Command::new(root.join("usr/sbin/sshd"));
        command.args(["-D", "-e", "-f"]).arg(at("config")).stderr(Stdio::piped()).stdin(Stdio::null());
        if let Some(libraries) = libraries(&root) {
            // The chroot directory of sshd, which an installed package would have made.
            let _ = fs::create_dir_all("/run/sshd");
            command.env("LD_LIBRARY_PATH", libraries).env("LD_PRELOAD", "libnss_wrapper.so");
            command.env("NSS_WRAPPER_PASSWD", at("passwd")).env("NSS_WRAPPER_GROUP", "/etc/group");
        }
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("Server listening") {
            assert!(log.read_line(&mut said).unwrap() > 0, "sshd does not start: {said}");
        }
        // The output is read to the end, as sshd stops at a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, port, directory }
    }

    /// Returns the source of `repository` with this fragment.
    pub fn source(&self, repository: &Path, fragment: &str) -> String {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        format!("git+ssh://{user}@127.0.0.1:{}{}#{fragment}", self.port, repository.display())
    }

    pub fn identity(&self) -> String {
        fs::read_to_string(self.directory.path().join("identity")).unwrap()
    }

    pub fn known_hosts(&self) -> String {
        self.known_as(&self.host_key())
    }

    /// Returns the public key of the server.
    pub fn host_key(&self) -> String {
        fs::read_to_string(self.directory.path().join("host.pub")).unwrap()
    }

    /// Returns a public key that is not that of the server.
    pub fn other_key(&self) -> String {
        let other = self.directory.path().join("other");
        if !other.exists() {
            new_key(&other);
        }
        fs::read_to_string(other.with_extension("pub")).unwrap()
    }

    /// Returns the public key that has signed the certificate of the server.
    pub fn authority(&self) -> String {
        fs::read_to_string(self.directory.path().join("authority.pub")).unwrap()
    }

    /// Returns known_hosts as `ssh-keygen -H` writes it: nobody reads the names of the hosts there.
    pub fn hashed(&self, known_hosts: &str) -> String {
        let path = self.directory.path().join("hashed");
        fs::write(&path, known_hosts).unwrap();
        let done = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&path).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        fs::read_to_string(path).unwrap()
    }

    /// Returns the known_hosts of a client that has seen another key of the server.
    pub fn known_otherwise(&self) -> String {
        self.known_as(&self.other_key())
    }

    /// Makes a key that the server does not know.
    pub fn foreign_identity(&self) -> String {
        let foreign = self.directory.path().join("foreign");
        new_key(&foreign);
        fs::read_to_string(foreign).unwrap()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn known_as(&self, key: &str) -> String {
        format!("[127.0.0.1]:{} {key}", self.port)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn new_key(path: &Path) {
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path).status();
    assert!(made.unwrap().success());
}

/// Signs the key of a host with a new authority.
fn certify(authority: &Path, name: &str, host: &Path) {
    new_key(authority);
    let signing =
        Command::new("ssh-keygen").args(["-q", "-h", "-I", "test", "-n", name, "-s"]).arg(authority).arg(host).status();
    assert!(signing.unwrap().success());
}

/// Returns the directory with `usr/sbin/sshd`: this machine's, or that of the cache.
fn packages() -> PathBuf {
    if Path::new("/usr/sbin/sshd").exists() && Path::new("/run/sshd").exists() {
        return PathBuf::from("/");
    }
    let cache = match (std::env::var_os("ROTOTO_CACHE_DIR"), std::env::home_dir()) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, home) => home.expect("a home directory or ROTOTO_CACHE_DIR").join(".cache/rototo"),
    };
    let root = cache.join("openssh-server");
    fs::create_dir_all(&cache).unwrap();
    // Several tests may start at once.
    let lock = File::create(cache.join("openssh-server.lock")).unwrap();
    lock.lock().unwrap();
    if !root.exists() {
        let unpacked = tempfile::tempdir_in(&cache).unwrap();
        fetch(unpacked.path());
        fs::rename(unpacked.path().join("root"), &root).unwrap();
    }
    root
}

fn fetch(directory: &Path) {
    let run = |command: &mut Command| {
        let output = command.current_dir(directory).output();
        let output = output.expect("sshd is not installed, and apt-get and dpkg to fetch it aren't either");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "sshd is not installed and can't be fetched, {command:?}: {said}");
    };
    let download = || {
        let mut command = Command::new("apt-get");
        command.arg("download").args(PACKAGES).current_dir(directory);
        command
    };
    // A fresh machine has no package lists, or old ones.
    if !download().output().is_ok_and(|output| output.status.success()) {
        run(Command::new("apt-get").args(["update", "--quiet"]));
        run(&mut download());
    }
    for file in
        fs::read_dir(directory).unwrap().flatten().filter(|file| file.path().extension().is_some_and(|e| e == "deb"))
    {
        run(Command::new("dpkg").arg("-x").arg(file.path()).arg("root"));
    }
}

/// Returns the directory of the downloaded libraries; `None` if sshd is that of this machine.
fn libraries(root: &Path) -> Option<PathBuf> {
    let directories = fs::read_dir(root.join("usr/lib")).ok()?.flatten().map(|entry| entry.path());
    directories.into_iter().find(|directory| directory.join("libnss_wrapper.so").exists())
}
