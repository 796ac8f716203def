//! What a process has used so far, by the kernel's count, and what one that has ended had used.

use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::time::Duration;

/// Time and memory of one process.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub pid: u32,
    /// User and system time of all its threads.
    pub cpu_seconds: f64,
    /// Largest resident size so far; shared pages count in full.
    pub resident_peak_bytes: u64,
    /// Proportional size now: pages shared with other processes count in part.
    pub pss_bytes: u64,
}

impl Usage {
    /// Reads the usage of a living process; `None` where it is gone or a zombie.
    pub fn of(pid: u32) -> Option<Usage> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        Some(Usage {
            pid,
            cpu_seconds: cpu_seconds_of(pid)?,
            resident_peak_bytes: kib_field(&read("status")?, "VmHWM:")?,
            pss_bytes: kib_field(&read("smaps_rollup")?, "Pss:")?,
        })
    }
}

/// User and system time of all threads of a process; `None` where it is gone.
pub fn cpu_seconds_of(pid: u32) -> Option<f64> {
    CpuClock::of(pid)?.read().map(|time| time.as_secs_f64())
}

/// The kernel's count of the CPU time of a process, to the nanosecond. Reading it takes less than a
/// microsecond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock(libc::clockid_t);

impl CpuClock {
    pub(crate) fn of(pid: u32) -> Option<CpuClock> {
        // To the kernel 0 is this process.
        let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0)?;
        let mut clock = 0;
        // SAFETY: the function writes one number where the pointer points.
        let failed = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
        (failed == 0).then_some(CpuClock(clock))
    }

    /// `None` where the process is gone.
    pub(crate) fn read(self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the function writes one `timespec` where the pointer points.
        let failed = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        let seconds = u64::try_from(time.tv_sec).ok()?;
        (failed == 0).then(|| Duration::new(seconds, time.tv_nsec as u32))
    }
}

/// Largest resident size of a child that has ended or is ending, which is still to be reaped afterwards.
///
/// Linux counts what the parent had when it started the child: a value that is not above this process's own
/// is none.
pub(crate) fn peak_of_ended(child: Pid) -> Option<u64> {
    let mut used = MaybeUninit::<libc::rusage>::zeroed();
    let (id, wait) = (child.as_raw_nonzero().get(), libc::WEXITED | libc::WNOWAIT);
    let nothing = null_mut::<libc::siginfo_t>();
    // SAFETY: the kernel's `waitid` takes these five arguments, one more than the C library's. It writes
    // one `rusage` where the last one points, for which there is room, and nothing where the third is null.
    // Before that all bytes are zero, which is a value of the type: it consists of numbers.
    let (failed, used) = unsafe {
        let waited =
            libc::syscall(libc::SYS_waitid, libc::P_PID, id, nothing, wait, used.as_mut_ptr());
        (waited != 0, used.assume_init())
    };
    let peak = u64::try_from(used.ru_maxrss).ok()? * 1024;
    let own = Usage::of(std::process::id())?.resident_peak_bytes;
    (!failed && peak > own).then_some(peak)
}

fn kib_field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        assert_eq!(kib_field("VmPeak: 9 kB\nVmHWM:\t    12 kB\n", "VmHWM:"), Some(12_288));
    }

    #[test]
    fn this_process_uses_something_and_a_missing_one_nothing() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_peak_bytes > 1 << 20 && usage.pss_bytes > 0);
        assert!(Usage::of(u32::MAX).is_none());
        assert!([0, u32::MAX].into_iter().all(|pid| cpu_seconds_of(pid).is_none()));
    }

    /// The count is that of the other process: it grows while that one works, as much as it works.
    #[test]
    fn another_process_is_counted() {
        let mut child =
            std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let (clock, begun) = (CpuClock::of(child.id()).unwrap(), std::time::Instant::now());
        while clock.read().unwrap() < Duration::from_millis(20) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no CPU time is counted");
        }
        assert!(clock.read().unwrap() <= begun.elapsed() + Duration::from_millis(20));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(clock.read().is_none(), "it is gone");
    }

    #[test]
    fn what_a_child_had_is_known_until_it_is_reaped() {
        let own = Usage::of(std::process::id()).unwrap().resident_peak_bytes;
        let bytes = own + (64 << 20);
        // `tail` keeps all of one line that does not end.
        let hungry = format!("head -c {bytes} /dev/zero | tail -c {bytes} > /dev/null");
        for (words, more) in [("exit 3", false), (hungry.as_str(), true)] {
            let mut child = std::process::Command::new("sh").args(["-c", words]).spawn().unwrap();
            let peak = peak_of_ended(Pid::from_child(&child));
            assert_eq!(peak.is_some_and(|peak| peak > bytes), more, "{peak:?}");
            assert_eq!(child.wait().unwrap().code(), Some(if more { 0 } else { 3 }));
            assert_eq!(peak_of_ended(Pid::from_child(&child)), None);
        }
    }
}
