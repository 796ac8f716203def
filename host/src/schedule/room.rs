//! How many runs fit on this machine at the same time: `--jobs auto`. Learners with one thread are the
//! common case, and many of them side by side finish more experiments an hour than few with many threads.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Memory reserved for a run that names no limit of its own. A run of an MLP on MNIST takes 60 to 100 MiB,
/// one of a narrow ResNet-18 on CIFAR-10 about 400 MiB.
pub const RUN_BYTES: u64 = 512 << 20;

/// Memory of a GPU reserved for a run: what CUDA takes for a process, and a ResNet-18 of 64 channels with its
/// batches. An estimate: no GPU was at hand to measure it on.
pub const GPU_RUN_BYTES: u64 = 4 << 30;

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

/// Runs at the same time that a device's GPU has free memory for, by its driver's own tool, which counts GPUs
/// whatever `CUDA_VISIBLE_DEVICES` hides; `None` where the device is no GPU, or the tool does not say.
pub fn gpu_runs(device: &str) -> Option<usize> {
    let number = gpu_number(device)?;
    let words = ["--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", number];
    let said = Command::new("nvidia-smi").args(words).output().ok()?;
    fitting(&String::from_utf8_lossy(&said.stdout))
}

/// `0` of `libtorch:cuda:0+bf16`.
fn gpu_number(device: &str) -> Option<&str> {
    let (_, behind) = device.split_once("cuda:")?;
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    Some(&behind[..end]).filter(|number| !number.is_empty())
}

/// Runs that fit into so many free mebibytes, at least one.
fn fitting(said: &str) -> Option<usize> {
    let free = said.lines().next()?.trim().parse::<u64>().ok()?.checked_mul(1 << 20)?;
    usize::try_from((free / GPU_RUN_BYTES).max(1)).ok()
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
    fn a_gpu_bounds_by_its_free_memory() {
        let number = |device| gpu_number(device);
        assert_eq!([number("libtorch:cuda:0+bf16"), number("cuda:12")], [Some("0"), Some("12")]);
        assert_eq!([number("flex"), number("libtorch"), number("cuda:")], [None; 3]);
        assert_eq!([fitting("81559\n"), fitting("100\n")], [Some(19), Some(1)]);
        assert_eq!([fitting("No devices were found\n"), fitting("")], [None; 2]);
        assert_eq!(gpu_runs("flex"), None);
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
