//! The machine: processor, memory, GPUs, what it has for runs side by side, and what its kernel has for
//! the sandbox.

use std::path::Path;

use super::{Finding, good, lacking};
use crate::run::Machine;
use crate::schedule::{RUN_BYTES, Room};

/// What kernels of matrix products choose by.
const INSTRUCTIONS: [(&str, &str); 3] = [
    ("avx512f", "AVX-512: the fastest kernels of the device flex"),
    ("fma", "AVX2 with FMA: about half as fast as AVX-512"),
    ("asimd", "NEON"),
];

pub fn machine() -> Vec<Finding> {
    let Machine { cpu, cores, system } = Machine::here();
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let room = Room::here();
    let memory = room.memory_bytes.map_or("unknown".into(), |b| format!("{} free", mebibytes(b)));
    vec![
        good("system", system),
        good("processor", format!("{cpu}, {cores} cores for this process")),
        good("instructions", instructions(&cpu_info)),
        good("memory", memory),
        gpus(Path::new("/dev")),
    ]
}

/// Runs side by side, as `--jobs auto` counts them.
pub fn runs(threads: usize) -> Vec<Finding> {
    let room = Room::here();
    let runs = room.runs(threads, RUN_BYTES);
    let found = format!(
        "{runs} at a time with {threads} thread{} and {} each (--jobs auto)",
        if threads == 1 { "" } else { "s" },
        mebibytes(RUN_BYTES)
    );
    let starved = runs * threads < room.cores && room.runs(threads, 0) > runs;
    let budget = match starved {
        true => lacking("side by side", found, "free memory, or give --jobs a number"),
        false => good("side by side", found),
    };
    let bytes = "results are the same bytes with one thread only (--threads)";
    vec![budget, good("threads", format!("{threads} for each learner; {bytes}"))]
}

/// `missing` are the protections that the kernel lacks.
pub fn sandbox(missing: &[String]) -> Vec<Finding> {
    if missing.is_empty() {
        return vec![good("tier", "sandbox: landlock and seccomp are there")];
    }
    let remedy =
        "a newer kernel; until then learners run in plain processes, and results are marked";
    missing.iter().map(|what| lacking("tier", format!("no {what}"), remedy)).collect()
}

fn instructions(cpu_info: &str) -> String {
    let has = |flag: &str| cpu_info.split_whitespace().any(|word| word == flag);
    let known = INSTRUCTIONS.iter().find(|(flag, _)| has(flag));
    known.map_or("none that kernels are written for: slow", |(_, about)| about).into()
}

/// Whether a GPU can be seen.
pub fn has_gpu() -> bool {
    count_gpus(Path::new("/dev")) > 0
}

/// NVIDIA's device files, which a driver makes.
fn count_gpus(devices: &Path) -> usize {
    let entries = std::fs::read_dir(devices).into_iter().flatten().flatten();
    let is_gpu = |name: &str| {
        let number = name.strip_prefix("nvidia");
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    entries.filter(|e| is_gpu(&e.file_name().to_string_lossy())).count()
}

fn gpus(devices: &Path) -> Finding {
    match count_gpus(devices) {
        0 => {
            lacking("GPUs", "none that can be seen", "install NVIDIA's driver, where there is one")
        }
        count => good("GPUs", format!("{count} of NVIDIA")),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn the_best_instructions_are_named() {
        assert!(instructions("flags : sse2 fma avx512f").starts_with("AVX-512"));
        assert!(instructions("flags : sse2 fma").starts_with("AVX2"));
        assert!(instructions("flags : sse2 fmax").ends_with("slow"));
    }

    #[test]
    fn gpus_are_counted_by_their_device_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(gpus(folder.path()).state, State::Lacking);
        for name in ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(gpus(folder.path()).found, "2 of NVIDIA");
    }

    #[test]
    fn a_kernel_without_protections_is_told() {
        assert_eq!(sandbox(&[])[0].state, State::Good);
        let told = sandbox(&["landlock, which guards files".into()]);
        assert_eq!((told.len(), told[0].state), (1, State::Lacking));
        assert_eq!(told[0].found, "no landlock, which guards files");
    }

    #[test]
    fn runs_are_those_of_jobs_auto() {
        let expected = format!("{} at a time with 1 thread and", Room::here().runs(1, RUN_BYTES));
        assert!(runs(1)[0].found.starts_with(&expected), "{}", runs(1)[0].found);
    }
}
