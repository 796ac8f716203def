//! What a worker gives up before it opens a plugin: the difference between the tiers `process` and `sandbox`.
//!
//! Files go by landlock (`files.rs`), system calls by a seccomp filter (`calls.rs`). Both are for life, need
//! no privilege and are inherited by every thread the plugin starts. [`super`]'s `THREATS.md` says what that
//! keeps out and what it does not; a path or a call that a learner needs is added here, with its reason.

mod calls;
mod files;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a confined worker may reach apart from its plugin, the system's libraries and a few devices.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// Folders whose shared libraries it may open, but nothing else in them.
    pub libraries: Vec<PathBuf>,
    /// Further files and folders that it may read.
    pub read: Vec<PathBuf>,
    /// Whether it may use the GPUs of the machine.
    pub gpu: bool,
}

impl Confinement {
    /// For a learner on `device`, with the folders of libraries that the user's own environment names
    /// (`LD_LIBRARY_PATH`; cargo adds its target folder, in which the host's program lies too).
    ///
    /// `further` are files and folders that the user allows by name. Nothing a plugin says adds to these.
    pub fn new(device: &str, further: &[PathBuf]) -> Self {
        let variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let libraries = std::env::split_paths(&variable).filter(|path| path.is_absolute());
        let (libraries, read) = (libraries.collect(), further.to_vec());
        Confinement { libraries, read, gpu: is_gpu(device) }
    }
}

/// Whether a device is a GPU: `libtorch:cuda:0` and its like.
pub fn is_gpu(device: &str) -> bool {
    device.contains("cuda")
}

/// The protections of the tier `sandbox` that this system lacks, each with the reason; empty where it has
/// them all.
pub fn lacking() -> Vec<String> {
    [files::check(), calls::check()].into_iter().filter_map(Result::err).collect()
}

/// Confines this process. Afterwards it can read `plugin` and what `to` allows, and little else.
///
/// The process must have one thread: landlock holds for the caller and for threads that it starts.
pub fn confine(plugin: &Path, to: &Confinement) -> Result<(), String> {
    files::restrict(plugin, to)?;
    drop_capabilities()?;
    // Last: the filter forbids the calls that the lines above need.
    calls::restrict(to)
}

/// A worker of the superuser is not one itself: some calls that are allowed to everybody do more for it.
fn drop_capabilities() -> Result<(), String> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets)
        .map_err(|error| format!("capabilities could not be dropped: {error}"))
}
