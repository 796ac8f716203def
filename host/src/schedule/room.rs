//! How many runs fit on this machine at the same time: `--jobs auto`. Learners with one thread are the
//! common case, and many of them side by side finish more experiments an hour than few with many threads.

use std::fs;
use std::path::Path;

/// Memory reserved for a run that names no limit of its own. A run of an MLP on MNIST takes 60 to 100 MiB,
/// one of a narrow ResNet-18 on CIFAR-10 about 400 MiB.
pub const RUN_BYTES: u64 = 512 << 20;

/// What the machine has for runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Cores this process may use.
    pub cores: usize,
    /// Memory that can be had without swapping; `None` where the system does not say.
    pub memory_bytes: Option<u64>,
}

impl Room {
    /// What is free now: of the machine, or of the control group where that is less.
    pub fn here() -> Room {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        let machine = available(&read("/proc/meminfo"));
        let group =
            left(&read("/sys/fs/cgroup/memory.max"), &read("/sys/fs/cgroup/memory.current"));
        Room { cores, memory_bytes: [machine, group].into_iter().flatten().min() }
    }

    /// Runs at the same time, at least one: each has `threads` cores and `run_bytes` of memory.
    pub fn runs(&self, threads: usize, run_bytes: u64) -> usize {
        let by_cores = self.cores / threads.max(1);
        let by_memory = self.memory_bytes.map_or(u64::MAX, |bytes| bytes / run_bytes.max(1));
        by_cores.min(usize::try_from(by_memory).unwrap_or(usize::MAX)).max(1)
    }
}

/// `MemAvailable` of `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// What a control group may still take; `None` where it has no limit (`max`) or is not there.
fn left(limit: &str, current: &str) -> Option<u64> {
    let limit: u64 = limit.trim().parse().ok()?;
    Some(limit.saturating_sub(current.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_memory_both_bound() {
        let room = Room { cores: 16, memory_bytes: Some(8 << 30) };
        assert_eq!(room.runs(1, 512 << 20), 16);
        assert_eq!(room.runs(4, 512 << 20), 4);
        assert_eq!(room.runs(1, 3 << 30), 2);
        assert_eq!(room.runs(3, 1 << 20), 5);
        assert_eq!(Room { memory_bytes: None, ..room }.runs(1, 3 << 30), 16);
    }

    #[test]
    fn one_run_always_fits() {
        let room = Room { cores: 1, memory_bytes: Some(1 << 20) };
        assert_eq!((room.runs(8, 1), room.runs(1, 1 << 40), room.runs(0, 0)), (1, 1, 1));
    }

    #[test]
    fn the_kernels_words_are_read() {
        assert_eq!(available("MemTotal: 99 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 99 kB\n"), None);
        assert_eq!(left("1000\n", "400\n"), Some(600));
        assert_eq!(
            (left("400", "1000"), left("max\n", "400\n"), left("", "")),
            (Some(0), None, None)
        );
        let room = Room::here();
        assert!(room.cores > 0 && room.memory_bytes.is_none_or(|bytes| bytes > 0));
    }
}
