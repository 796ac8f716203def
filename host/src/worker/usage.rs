//! What a process has used so far, from `/proc`, and what one that has ended had used.

use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Time and memory of one process.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub pid: u32,
    /// User and system time of all its threads; in steps of 10 ms.
    pub cpu_seconds: f64,
    /// Largest resident size so far; shared pages count in full.
    pub resident_peak_bytes: u64,
    /// Proportional size now: pages shared with other processes count in part.
    pub pss_bytes: u64,
}

/// Linux reports times in ticks of this rate on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

impl Usage {
    /// Reads the usage of a living process; `None` where it is gone or a zombie.
    pub fn of(pid: u32) -> Option<Usage> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        Some(Usage {
            pid,
            cpu_seconds: cpu_seconds(&read("stat")?)?,
            resident_peak_bytes: kib_field(&read("status")?, "VmHWM:")?,
            pss_bytes: kib_field(&read("smaps_rollup")?, "Pss:")?,
        })
    }
}

/// User and system time of all threads of a living process, in steps of 10 ms; `None` where it is gone.
pub fn cpu_seconds_of(pid: u32) -> Option<f64> {
    cpu_seconds(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
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

/// Fields 14 and 15 of `/proc/pid/stat`. The name in field 2 may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn kib_field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_nasty_name() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 9 9 9";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(kib_field("VmPeak: 9 kB\nVmHWM:\t    12 kB\n", "VmHWM:"), Some(12_288));
    }

    #[test]
    fn this_process_uses_something_and_a_missing_one_nothing() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_peak_bytes > 1 << 20 && usage.pss_bytes > 0);
        assert!(Usage::of(u32::MAX).is_none());
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
