//! Runs what a layout contains: its root is unpacked, made read-only, and entered, as a container runtime does.
//!
//! This needs root, and mounts only in a namespace of its own. Every program runs as the user of the image, and again as
//! a user id that the image does not know, with group 0, as on OpenShift.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::content::{Image, USER};
use super::files::{Entry, Files};
use super::layout;
use super::platform::Platform;
use crate::cargo;
use crate::folder;

/// A user id that no image knows.
const UNKNOWN_USER: u32 = 12345;
/// The time within which a program has to start.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// Enters the root with a new view of the file system: `$1` is the root, `$2` its /tmp, `$3` the user; the rest is the
/// command.
const ENTER: &str = r#"
set -e
root=$1 tmp=$2 user=$3
shift 3
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount --bind "$tmp" "$root/tmp"
mount -o remount,bind,ro "$root"
exec /usr/sbin/chroot --userspec="$user:0" --groups=0 "$root" "$@"
"#;

/// Runs the programs of the image in `folder`, and fails with what does not work.
pub(crate) fn check(image: &Image, platform: Platform, folder: &Path) -> anyhow::Result<()> {
    if !platform.is_of_this_machine() {
        bail!("this machine does not run programs of {platform}: run `cargo xtask image --check` on one that does");
    }
    for user in [USER, UNKNOWN_USER] {
        let root = Root::unpack(image, platform, folder, user)?;
        root.check_start().with_context(|| format!("{} as user {user}", image.name))?;
        if !image.programs.is_empty() {
            root.check_git().with_context(|| format!("git in {} as user {user}", image.name))?;
        }
        eprintln!("  {} works as user {user}, with a read-only root", image.name);
    }
    Ok(())
}

/// An unpacked image, with a user who enters it.
struct Root<'a> {
    image: &'a Image,
    user: u32,
    path: PathBuf,
    // The directory that is /tmp inside.
    tmp: PathBuf,
    base: PathBuf,
}

impl Drop for Root<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

impl<'a> Root<'a> {
    fn unpack(image: &'a Image, platform: Platform, folder: &Path, user: u32) -> anyhow::Result<Self> {
        let base = folder.with_extension(format!("check-{}", std::process::id()));
        let root = Self { image, user, path: base.join("root"), tmp: base.join("tmp"), base };
        for folder in ["dev", "proc", "tmp"] {
            let folder = root.path.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::create_dir_all(&root.tmp).with_context(|| format!("create {}", root.tmp.display()))?;
        fs::set_permissions(&root.tmp, Permissions::from_mode(0o1777)).context("open /tmp to everybody")?;
        for layer in layout::layers(folder, platform)? {
            let files = Files::unpack(flate2::read::GzDecoder::new(layer.as_slice())).context("unpack a layer")?;
            for (path, entry) in files.iter() {
                write(&root.path.join(path), entry).with_context(|| format!("write {path}"))?;
            }
        }
        for folder in super::files::MERGED {
            symlink(format!("usr/{folder}"), root.path.join(folder)).with_context(|| format!("link /{folder}"))?;
        }
        Ok(root)
    }

    /// Returns a command that runs inside, with the environment of the image and nothing else.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--mount", "--", "/bin/sh", "-c", ENTER, "enter"]).arg(&self.path).arg(&self.tmp);
        command.arg(self.user.to_string()).arg(program).env_clear().env("PATH", "/usr/bin").env("HOME", "/tmp");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a program to its end, and returns whether it succeeded, and its output.
    fn run(&self, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<(bool, String)> {
        let mut command = self.command(program);
        command.args(arguments).envs(environment.iter().copied());
        let output = command.output().context("run unshare, which is part of Debian's package util-linux")?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).trim().to_owned()))
    }

    fn succeeds(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let (success, text) = self.run(program, arguments, &[])?;
        if !success {
            bail!("`{program} {}` failed: {text}", arguments.join(" "));
        }
        Ok(text)
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.succeeds("/usr/bin/git", arguments)
    }

    /// Starts the program of the image far enough to answer its probe.
    fn check_start(&self) -> anyhow::Result<()> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = port.context("find a free port")?.to_string();
        let mut command = self.command(&format!("/usr/bin/{}", self.image.name));
        match self.image.name {
            "rototo-operator" => {
                fs::write(self.tmp.join("kubeconfig"), KUBECONFIG).context("write a kubeconfig")?;
                command.args([
                    "--kubeconfig=/tmp/kubeconfig",
                    "--advertise-url=https://127.0.0.1",
                    "--data-dir=/tmp/data",
                ]);
                command.args(["--listen=127.0.0.1:0", &format!("--metrics-listen={address}")]);
                let log = self.started(command, &address, "has not started yet")?;
                for found in ["git version 2.", "OpenSSH_"] {
                    if !log.contains(found) {
                        bail!("its log does not name `{found}`: {log}");
                    }
                }
            }
            "rototo-agent" => {
                let config = cargo::root().join("examples/degradation-config");
                folder::copy(&config, &self.tmp.join("config"))?;
                command.args(["--source=/tmp/config", "--listen=127.0.0.1:0", "--listen=unix:/tmp/agent.sock"]);
                command.arg(format!("--probes-listen={address}"));
                self.started(command, &address, "200 OK")?;
            }
            _ => {
                let config = cargo::root().join("examples/degradation-config");
                folder::copy(&config, &self.tmp.join("config"))?;
                command.env("ROTOTO_WORKSPACE_SOURCE", "/tmp/config").env("LISTEN", &address);
                self.started(command, &address, "200 OK")?;
            }
        }
        Ok(())
    }

    /// Starts a server, waits until its readiness probe answers with `expected`, ends it, and returns its log.
    fn started(&self, mut command: Command, address: &str, expected: &str) -> anyhow::Result<String> {
        let log = self.base.join("log");
        command.stderr(fs::File::create(&log).context("create a log")?).stdout(Stdio::null());
        let mut child = Running(command.spawn().context("run unshare")?);
        let begun = Instant::now();
        let mut answer = String::new();
        while !answer.contains(expected) {
            let ended = child.0.try_wait().context("wait for the program")?;
            if ended.is_some() || begun.elapsed() > STARTS_WITHIN {
                let log = fs::read_to_string(&log).unwrap_or_default();
                bail!(
                    "it does not start ({ended:?}); its last answer to /readyz was `{answer}`, and its log is\n{log}"
                );
            }
            answer = readyz(address).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(child);
        fs::read_to_string(&log).context("read the log")
    }

    /// Does with git what the operator does, and checks the helpers that only run in this.
    fn check_git(&self) -> anyhow::Result<()> {
        self.succeeds("/usr/bin/gpgv", &["--version"])?;
        self.succeeds("/usr/bin/ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "/tmp/key"])?;
        self.git(&["init", "--quiet", "--bare", "/tmp/repository.git"])?;
        let inside = "--git-dir=/tmp/repository.git";
        let tree = self.git(&[inside, "mktree"])?;
        let identity = ["-c", "user.name=Check", "-c", "user.email=check@example.com"];
        let signing = ["-c", "gpg.format=ssh", "-c", "user.signingKey=/tmp/key.pub"];
        let commit = [&[inside], &identity[..], &signing[..], &["commit-tree", "-S", "-m", "Begin", &tree]].concat();
        let commit = self.git(&commit)?;
        self.git(&[inside, "update-ref", "refs/heads/main", &commit])?;

        let listed = self.git(&["ls-remote", "file:///tmp/repository.git", "refs/heads/main"])?;
        if !listed.starts_with(&commit) {
            bail!("`git ls-remote` of a file: address printed `{listed}`, not {commit}");
        }
        self.git(&["init", "--quiet", "--bare", "/tmp/copy.git"])?;
        let filter = ["fetch", "--quiet", "--depth=1", "--filter=blob:none", "file:///tmp/repository.git", &commit];
        self.git(&[&["--git-dir=/tmp/copy.git"], &filter[..]].concat())?;

        let key = fs::read_to_string(self.tmp.join("key.pub")).context("read the public key")?;
        fs::write(self.tmp.join("signers"), format!("check@example.com {key}")).context("write the allowed signers")?;
        let signers = "gpg.ssh.allowedSignersFile=/tmp/signers";
        self.git(&["--git-dir=/tmp/copy.git", "-c", signers, "verify-commit", &commit])?;

        // No server answers: what counts is that the helper runs, and how far it comes.
        let ssh = [("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"), ("LC_ALL", "C")];
        self.fails_to_connect("ssh://git@127.0.0.1:1/repository.git", &ssh, "Connection refused")?;
        self.fails_to_connect("https://127.0.0.1:1/repository.git", &[("LC_ALL", "C")], "onnect to")
    }

    fn fails_to_connect(&self, address: &str, environment: &[(&str, &str)], expected: &str) -> anyhow::Result<()> {
        let (_, text) = self.run("/usr/bin/git", &["ls-remote", address], environment)?;
        if !text.contains(expected) {
            bail!("`git ls-remote {address}`, where nothing listens, printed `{text}`, not `{expected}`");
        }
        Ok(())
    }
}

/// A process that is ended when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
"contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
"clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}],
"users": [{"name": "nobody", "user": {}}]}"#;

/// Asks the readiness probe, and returns the whole answer.
fn readyz(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn write(path: &Path, entry: &Entry) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match entry {
        Entry::Directory(mode) => {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(*mode))?;
        }
        Entry::File(mode, content) => {
            fs::write(path, content)?;
            fs::set_permissions(path, Permissions::from_mode(*mode))?;
        }
        Entry::Link(target) => symlink(target, path)?,
    }
    if !matches!(entry, Entry::Link(_)) {
        chown(path, Some(0), Some(0)).context("give a file to root: the check needs root")?;
    }
    Ok(())
}
