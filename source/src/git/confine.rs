//! Confines git and every program that it starts: memory, the size of files, core dumps, and with Landlock the files that
//! they may change.
//!
//! The number of processes has no limit of its own. Linux counts them by user, over all containers of a machine, so a limit
//! would end git because of its neighbours; and git starts a number of programs that no repository can change. The limit on
//! processes is that of the pod.

use std::io;
use std::path::Path;

use tokio::process::{Child, Command};

/// The limits of one run.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(super) struct Confinement<'a> {
    /// The most bytes of memory of each process.
    pub(super) memory: Option<u64>,
    /// The largest file that a process may write.
    pub(super) file_size: Option<u64>,
    /// The files that the processes may change.
    pub(super) changes: Changes<'a>,
}

/// The files that a run may change.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(super) enum Changes<'a> {
    /// All that this user may change.
    Anywhere,
    /// The files below this directory.
    Below(&'a Path),
    /// None.
    Nowhere,
}

/// Starts a program. Its confinement is inherited by every program that it starts.
pub(super) fn start(command: &mut Command, confinement: &Confinement<'_>) -> io::Result<Child> {
    let child = match confinement.changes {
        Changes::Anywhere => command.spawn()?,
        #[cfg(target_os = "linux")]
        Changes::Below(directory) => linux::start_restricted(command, Some(directory))?,
        #[cfg(target_os = "linux")]
        Changes::Nowhere => linux::start_restricted(command, None)?,
        #[cfg(not(target_os = "linux"))]
        Changes::Below(_) | Changes::Nowhere => command.spawn()?,
    };
    #[cfg(target_os = "linux")]
    if let Some(id) = child.id() {
        linux::limit(id, confinement);
    }
    Ok(child)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::Path;
    use std::sync::Once;

    use landlock::{
        ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
        RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    };
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    use tokio::process::{Child, Command};
    use tokio::runtime::Handle;

    use super::Confinement;

    /// The version of Landlock whose restrictions are asked for. An older kernel enforces what it knows.
    const VERSION: ABI = ABI::V6;

    /// Starts a program from a thread of its own that gives up what the program may not do. Only that thread and what it
    /// starts are restricted.
    pub(super) fn start_restricted(command: &mut Command, writable: Option<&Path>) -> io::Result<Child> {
        let runtime = Handle::current();
        std::thread::scope(|scope| {
            let start = || {
                let _entered = runtime.enter();
                report(restrict(writable)?.ruleset);
                command.spawn()
            };
            let thread = std::thread::Builder::new().name("git".to_owned()).spawn_scoped(scope, start)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts git ended")))
        })
    }

    /// Restricts this thread: it changes only files below `writable`, gains no privileges by a program that it starts,
    /// listens on no port, and signals no process that it has not started.
    fn restrict(writable: Option<&Path>) -> io::Result<RestrictionStatus> {
        let open = |path: &Path| PathFd::new(path).map_err(io::Error::other);
        let (root, nothing) = (open(Path::new("/"))?, open(Path::new("/dev/null"))?);
        let own = writable.map(open).transpose()?;
        let restrict = || -> Result<RestrictionStatus, RulesetError> {
            let mut ruleset = Ruleset::default()
                .handle_access(AccessFs::from_all(VERSION))?
                .handle_access(AccessNet::BindTcp)?
                .scope(Scope::from_all(VERSION))?
                .create()?
                .add_rule(PathBeneath::new(root, AccessFs::from_read(VERSION)))?
                .add_rule(PathBeneath::new(nothing, AccessFs::from_file(VERSION)))?;
            if let Some(own) = own {
                ruleset = ruleset.add_rule(PathBeneath::new(own, AccessFs::from_all(VERSION)))?;
            }
            ruleset.restrict_self()
        };
        restrict().map_err(io::Error::other)
    }

    /// Logs once that the kernel restricts less than what is asked for.
    fn report(status: RulesetStatus) {
        static ONCE: Once = Once::new();
        match status {
            RulesetStatus::FullyEnforced => {}
            RulesetStatus::PartiallyEnforced => {
                ONCE.call_once(|| {
                    tracing::debug!("this kernel's Landlock is old: git is confined as far as it can be")
                });
            }
            RulesetStatus::NotEnforced => {
                ONCE.call_once(|| tracing::info!("this kernel has no Landlock: git may change all files of its user"));
            }
        }
    }

    /// Sets the limits of a process that has started, and of those that it has started meanwhile.
    pub(super) fn limit(id: u32, confinement: &Confinement<'_>) {
        let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return };
        let limits =
            [(Resource::Data, confinement.memory), (Resource::Fsize, confinement.file_size), (Resource::Core, Some(0))];
        for (resource, most) in limits.into_iter().filter_map(|(resource, most)| Some((resource, most?))) {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            if let Err(error) = prlimit(Some(pid), resource, limit) {
                tracing::debug!(%error, ?resource, "the limits of a git process could not be set");
            }
        }
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            limit(child, confinement);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// Runs `script`, confined, and returns what it prints. A second shell runs it, as limits have to be inherited.
    async fn output(script: &str, changes: Changes<'_>) -> String {
        let mut command = Command::new("sh");
        // The shell waits for its input, so that the limits are set before it starts the other one.
        command.args(["-c", "read line; sh -c \"$0\"", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let confinement = Confinement { memory: Some(256 << 20), file_size: Some(1 << 20), changes };
        let mut child = start(command.stderr(Stdio::null()), &confinement).unwrap();
        drop(child.stdin.take());
        String::from_utf8(child.wait_with_output().await.unwrap().stdout).unwrap()
    }

    #[tokio::test]
    async fn every_program_inherits_the_limits() {
        let directory = tempfile::tempdir().unwrap();
        for changes in [Changes::Anywhere, Changes::Nowhere, Changes::Below(directory.path())] {
            let limits = output("cat /proc/self/limits", changes).await;
            let limit = |name: &str| -> Vec<String> {
                let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.split_whitespace().take(2).map(str::to_owned).collect()
            };
            assert_eq!(limit("Max data size"), ["268435456"; 2]);
            assert_eq!(limit("Max file size"), ["1048576"; 2]);
            assert_eq!(limit("Max core file size"), ["0"; 2]);
        }
    }

    #[tokio::test]
    async fn a_program_that_was_started_before_the_limits_gets_them_too() {
        use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
        let mut command = Command::new("sh");
        let inner = "echo ready; read line; cat /proc/self/limits";
        command.args(["-c", "sh -c \"$0\"; true", inner]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        stdout.read_line(&mut text).await.unwrap();
        let confinement = Confinement { memory: Some(256 << 20), file_size: None, changes: Changes::Anywhere };
        linux::limit(child.id().unwrap(), &confinement);
        drop(child.stdin.take());
        stdout.read_to_string(&mut text).await.unwrap();
        let line = text.lines().find(|line| line.starts_with("Max data size")).unwrap();
        assert!(line.contains(" 268435456 "), "{line}");
    }

    #[tokio::test]
    async fn a_restricted_program_gains_no_privileges_and_changes_only_its_own_files() {
        let privileges =
            |status: &str| status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:\t")?.parse().ok());
        let status = output("cat /proc/self/status", Changes::Nowhere).await;
        assert_eq!(privileges(&status), Some(1));
        let own = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        assert_eq!(privileges(&own), Some(0), "this thread itself is not restricted");

        let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let script = |directory: &Path| format!("echo > {}/written && echo written", directory.display());
        let change = async |directory: &Path| output(&script(directory), Changes::Below(mine.path())).await;
        assert_eq!(change(mine.path()).await, "written\n");
        assert_eq!(output("echo > /dev/null && echo written", Changes::Nowhere).await, "written\n");
        if has_landlock() {
            assert_eq!(change(other.path()).await, "");
            assert_eq!(output(&script(other.path()), Changes::Nowhere).await, "");
        }
        assert_eq!(output(&script(other.path()), Changes::Anywhere).await, "written\n");
    }

    /// Returns whether the kernel lists Landlock among its security modules, or in a container, enforces it.
    fn has_landlock() -> bool {
        use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
        let required = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        required.handle_access(AccessFs::from_all(ABI::V1)).is_ok_and(|ruleset| ruleset.create().is_ok())
    }
}
