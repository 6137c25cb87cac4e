//! Takes from this process, for good, whatever a script could do harm with if it got out of Lua.

use rustix::process::{Resource, Rlimit, setrlimit};

/// The most memory: 16 MiB for Lua, some for the program, a question, and an answer.
const MEMORY: u64 = 256 * 1024 * 1024;

/// The most seconds on a processor, for all that one workspace asks.
const SECONDS: u64 = 30;

/// No file or socket can be opened from here on, no process started, no file written; memory and time are bounded. On
/// Linux only those calls to the kernel are left that computing and the two pipes need.
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

    /// What memory, time, chance, and signals take.
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

    /// Reading is for questions, writing for answers, and mapping for memory; each with the argument that says so. Whatever
    /// else this process was started with is out of reach.
    const ALLOWED_WITH: &[(libc::c_long, u8, u64)] =
        &[(libc::SYS_read, 0, 0), (libc::SYS_write, 0, 1), (libc::SYS_mmap, 4, 0xFFFF_FFFF)];

    /// Everything else fails as if it were not permitted.
    pub(super) fn apply() -> Result<(), String> {
        // Other machines keep to the limits above.
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
