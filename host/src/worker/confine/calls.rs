//! Seccomp: which system calls a confined worker can make. Every other fails with `EPERM`, as if the user
//! lacked the right, so that libraries fall back instead of dying.
//!
//! Left out on purpose: new processes and programs (`fork`, `execve`), other processes (`ptrace`,
//! `process_vm_readv`, `pidfd_*`, `kill`), sockets and shared memory with names, locks on files (two workers
//! could talk through them), changes of the file system, resource limits, namespaces, the death signal, and
//! kernel interfaces with a history (`bpf`, `io_uring`, `userfaultfd`, `perf_event_open`, keys).

use libc::c_long;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};
use std::collections::BTreeMap;

use super::Confinement;

/// Memory of its own, libraries and code made at run time included.
const MEMORY: &[c_long] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
];

/// Threads: rayon's pools, OpenMP. `clone3` only reaches the first filter.
const THREADS: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
];

/// Panics, stack overflows, aborts.
const SIGNALS: &[c_long] = &[
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
];

/// Clocks, mostly for processors without them in user space.
const TIME: &[c_long] = &[
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrusage,
];

/// Files as far as landlock lets them be opened, and what is open already: the log, the socket.
const FILES: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fadvise64,
];

/// Waiting within the process, and the conversation with the host: frames are sent and received, but no
/// descriptors with them (`sendmsg`), and there are no other sockets.
const WAITING: &[c_long] = &[
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
];

/// Who and where am I, and chance.
const SELF: &[c_long] = &[
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getppid,
];

/// The same under the names that older architectures have besides.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[c_long] = &[
    libc::SYS_arch_prctl,
    libc::SYS_time,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_getrlimit,
    libc::SYS_getdents,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[c_long] = &[];

/// What NVIDIA's driver library does besides: it steers devices, pins memory and places it near a GPU.
const GPU: &[c_long] = &[
    libc::SYS_ioctl,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_mincore,
    libc::SYS_get_mempolicy,
    libc::SYS_mbind,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_sched_setaffinity,
];

/// Whether the kernel can do this, or why not.
pub fn check() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().any(|line| line.starts_with("Seccomp:")) {
        true => Ok(()),
        false => Err("seccomp, which guards system calls (the kernel was built without it)".into()),
    }
}

/// Restricts this process.
pub fn restrict(to: &Confinement) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| format!("seccomp: {error}");
    for filter in [absent(), allowed(to.gpu)] {
        let program = filter.map_err(|error| say(&error))?;
        apply_filter_all_threads(&program).map_err(|error| say(&error))?;
    }
    Ok(())
}

/// `clone3` does not exist: its flags lie in memory, where a filter cannot see them, and libraries
/// take `clone` instead.
fn absent() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    program(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))
}

fn allowed(gpu: bool) -> Result<BpfProgram, BackendError> {
    let mut rules = conditional()?;
    let lists = [MEMORY, THREADS, SIGNALS, TIME, FILES, WAITING, SELF, LEGACY];
    let further = if gpu { GPU } else { &[] };
    for &call in lists.into_iter().flatten().chain(further) {
        // An empty list of conditions allows the call whatever its arguments are.
        rules.insert(call, vec![]);
    }
    program(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

fn program(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, listed, architecture)?.try_into()
}

/// Calls that are allowed with some arguments only.
fn conditional() -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    let one_of = |argument: u8, values: &[u64]| -> Result<Vec<SeccompRule>, BackendError> {
        let rule = |&value: &u64| {
            SeccompRule::new(vec![SeccompCondition::new(argument, Dword, Eq, value)?])
        };
        values.iter().map(rule).collect()
    };
    let masked = |argument: u8, mask: u64, value: u64| -> Result<Vec<SeccompRule>, BackendError> {
        let condition = SeccompCondition::new(argument, Qword, MaskedEq(mask), value)?;
        Ok(vec![SeccompRule::new(vec![condition])?])
    };
    // Threads of this process, and no namespace.
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let thread = libc::CLONE_THREAD as u64;
    let threads = masked(0, thread | namespaces as u32 as u64, thread)?;
    // Older landlock does not see that a file which is opened for reading is emptied or made.
    let changing = (libc::O_CREAT | libc::O_TRUNC) as u64;
    let descriptors = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD];
    let descriptors = descriptors.into_iter().chain([libc::F_GETFL, libc::F_SETFL]);
    let descriptors: Vec<u64> = descriptors.map(|command| command as u64).collect();
    // Whether something is a terminal; descriptors that block or not.
    let terminal = [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONBIO, libc::FIOCLEX];
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA].map(|n| n as u64);
    let own = [u64::from(std::process::id())];
    let mut rules = BTreeMap::from([
        (libc::SYS_clone, threads),
        (libc::SYS_openat, masked(2, changing, 0)?),
        (libc::SYS_fcntl, one_of(1, &descriptors)?),
        (libc::SYS_ioctl, one_of(1, &terminal)?),
        (libc::SYS_prctl, one_of(0, &names)?),
        // An abort signals the process itself.
        (libc::SYS_tgkill, one_of(0, &own)?),
        (libc::SYS_kill, one_of(0, &own)?),
        // Limits can be read: the third argument, the new value, is a null pointer.
        (libc::SYS_prlimit64, masked(2, u64::MAX, 0)?),
    ]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, masked(1, changing, 0)?);
    Ok(rules)
}
