//! Removes from this process, for good, every permission with which a script could do harm if it escaped from Lua.

use rustix::process::{Resource, Rlimit, setrlimit};

/// The most memory: 16 MiB for Lua, and some for the program, a request, and a result.
const MEMORY: u64 = 256 * 1024 * 1024;

/// The most seconds of processor time for all requests of one workspace.
const SECONDS: u64 = 30;

/// Takes the abilities of this process away: it can open no file or socket, start no process, and write no file; memory
/// and time are limited. On Linux, it may only make the system calls that computing and the two pipes need.
pub(super) fn confine() -> Result<(), String> {
    let limits = [
        (Resource::Nofile, 0),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Cpu, SECONDS),
        #[cfg(target_os = "linux")]
        (Resource::Nproc, 0),
        #[cfg(target_os = "linux")]
        (Resource::As, MEMORY),
    ];
    for (resource, most) in limits {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| format!("{resource:?}: {error}"))?;
    }
    #[cfg(target_os = "linux")]
    filter::apply()?;
    Ok(())
}

#[cfg(target_os = "linux")]
mod filter {
    use std::collections::BTreeMap;

    use seccompiler::SeccompCmpArgLen::Dword;
    use seccompiler::SeccompCmpOp::Eq;
    use seccompiler::apply_filter;
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    };

    /// The system calls for memory, time, randomness, and signals.
    const ALLOWED: &[libc::c_long] = &[
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];

    /// Reading is permitted for requests, writing for results, and mapping for memory, each with the argument that
    /// restricts it. Everything else that this process inherited is out of reach.
    const ALLOWED_WITH: &[(libc::c_long, u8, u64)] =
        &[(libc::SYS_read, 0, 0), (libc::SYS_write, 0, 1), (libc::SYS_mmap, 4, 0xFFFF_FFFF)];

    /// Applies the filter of system calls. All others fail as if they were not permitted.
    pub(super) fn apply() -> Result<(), String> {
        // On other architectures, the limits above must suffice.
        let Ok(machine) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(()) };
        let not_permitted = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let program = rules().and_then(|allowed| {
            let filter = SeccompFilter::new(allowed, not_permitted, SeccompAction::Allow, machine)?;
            BpfProgram::try_from(filter)
        });
        let program = program.map_err(|error| error.to_string())?;
        apply_filter(&program).map_err(|error| error.to_string())
    }

    fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        for (call, argument, value) in ALLOWED_WITH {
            let rule = SeccompRule::new(vec![SeccompCondition::new(*argument, Dword, Eq, *value)?])?;
            rules.insert(*call, vec![rule]);
        }
        Ok(rules)
    }
}
