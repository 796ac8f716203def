//! Landlock: which files a confined worker can open. Everything that is not listed here is out of reach:
//! data, results, other plugins of the user, `/proc`, temporary files. Nothing can be written.
//!
//! | allowed, read only | why |
//! |---|---|
//! | the plugin's copy in the cache | it is opened after this |
//! | folders of system libraries, `/etc/ld.so.cache` | what plugins are linked to |
//! | files named `*.so` or `*.so.*` in the folders of `LD_LIBRARY_PATH` | the same, LibTorch for example |
//! | `/sys/devices/system/cpu`, `/proc/cpuinfo` | matrix products choose their blocks, and with them their rounding, by the caches of the processor |
//! | `/dev/null` (written too), `/dev/zero`, `/dev/random`, `/dev/urandom` | habits of libraries |
//! | what `--allow-read` names | the user's word |
//!
//! With a GPU also what NVIDIA's driver library opens: the devices below `/dev/nvidia*` (read, written and
//! steered), `/proc/driver/nvidia`, `/proc/devices`, `/proc/self`, `/proc/meminfo`, the description of the
//! bus in `/sys`, and the libraries in `/usr/local/nvidia` and `/usr/local/cuda`. Its cache of compiled kernels
//! in the user's home is out of reach: kernels are compiled anew in each worker.
//!
//! Names, sizes and dates of files are not hidden by landlock: `stat` works everywhere.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use std::path::{Path, PathBuf};

use super::Confinement;

/// Without this version there is no sandbox: all later additions guard ways that the filter of system
/// calls closes too.
const NEEDED: ABI = ABI::V1;
/// Used where the kernel has it.
const KNOWN: ABI = ABI::V6;

const LIBRARIES: [&str; 6] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"];
const MACHINE: [&str; 5] =
    ["/sys/devices/system/cpu", "/proc/cpuinfo", "/dev/zero", "/dev/random", "/dev/urandom"];
const GPU_READ: [&str; 10] = [
    // Where containers and toolkits put libraries that the cache of the loader names.
    "/usr/local/nvidia",
    "/usr/local/cuda",
    "/proc/driver/nvidia",
    "/proc/devices",
    "/proc/self",
    "/proc/meminfo",
    "/sys/bus/pci/devices",
    "/sys/devices",
    "/sys/module/nvidia",
    "/etc/nvidia",
];

/// Whether the kernel can do this, or why not.
pub fn check() -> Result<(), String> {
    let made = ruleset().map(drop);
    made.map_err(|error| {
        format!("landlock, which guards files ({error}; Linux 5.13 or newer has it)")
    })
}

/// Restricts the calling thread and all that it starts.
pub fn restrict(plugin: &Path, to: &Confinement) -> Result<(), String> {
    let name = plugin.display();
    let file = PathFd::new(plugin).map_err(|error| format!("{name} cannot be allowed: {error}"))?;
    apply(file, to).map_err(|error| format!("landlock: {error}"))
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()
}

fn apply(plugin: PathFd, to: &Confinement) -> Result<(), RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut rules = ruleset()?
        .add_rule(PathBeneath::new(plugin, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(LIBRARIES.iter().chain(&MACHINE), read))?
        .add_rules(path_beneath_rules(to.libraries.iter().flat_map(|f| libraries_in(f)), read))?
        .add_rules(path_beneath_rules(&to.read, read))?
        .add_rules(path_beneath_rules(["/dev/null"], device))?;
    if to.gpu {
        let steered = device | AccessFs::ReadDir | AccessFs::IoctlDev;
        rules = rules
            .add_rules(path_beneath_rules(GPU_READ, read))?
            .add_rules(path_beneath_rules(gpu_devices(Path::new("/dev")), steered))?;
    }
    rules.restrict_self().map(drop)
}

/// The shared libraries in a folder; none where it cannot be read.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".so") || name.contains(".so.")
    };
    entries.map(|entry| entry.path()).filter(is_library).collect()
}

/// `/dev/nvidia0`, `/dev/nvidiactl`, `/dev/nvidia-uvm`, `/dev/nvidia-caps/` and their like.
fn gpu_devices(devices: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(devices).into_iter().flatten().flatten();
    let is_gpu = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"nvidia");
    entries.filter(|entry| is_gpu(&entry.file_name())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_gpus_go_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-caps", "nvme0n1", "null", "dri"];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        let mut found = gpu_devices(folder.path());
        found.sort();
        let expected = ["nvidia-caps", "nvidia-uvm", "nvidia0", "nvidiactl"];
        assert_eq!(found, expected.map(|name| folder.path().join(name)));
        assert!(gpu_devices(Path::new("/nowhere")).is_empty());
    }
}
