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
pub(super) enum Changes<'a> {
    /// All that this user may change.
    Anywhere,
    /// Those below this directory.
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
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, RestrictionStatus, Ruleset,
        RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
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
                .set_compatibility(CompatLevel::BestEffort)
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
                tracing::debug!(%error, ?resource, "a git process could not be limited");
            }
        }
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            limit(child, confinement);
        }
    }
}
