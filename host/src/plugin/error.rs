//! What can go wrong on the way from a method's name to an open plugin: one variant per stage and
//! cause. Every message says what happened to which file, what was expected, what was found and
//! what to do, in at most six lines; [`LoadError::code`] is the same for machines.

use std::io;
use std::path::{Path, PathBuf};

/// Why a plugin was not found or not loaded. Nothing of the host is harmed by any of these.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    // Search.
    #[error(
        "no plugin provides the method {method:?}{}\n  found: {}\n  searched: {}{}\n  \
         remedy: install its plugin there, or name its file with --plugin FILE",
        did_you_mean(nearest),
        listed(known, "no plugins at all"),
        listed(searched, "nowhere"),
        also_refused(refused)
    )]
    UnknownMethod {
        method: String,
        nearest: Option<String>,
        known: Vec<String>,
        searched: Vec<String>,
        /// Files that were refused, of which one may hold the method.
        refused: Vec<PathBuf>,
    },
    #[error(
        "the short name {method:?} fits several plugins\n  found: {}\n  \
         remedy: write the full id",
        listed(ids, "")
    )]
    AmbiguousName { method: String, ids: Vec<String> },
    #[error(
        "two different plugins carry the id {id}\n  first: {}\n  second: {}\n  \
         remedy: remove one of them, or choose one with --plugin FILE",
        first.display(), second.display()
    )]
    DuplicateId { id: String, first: PathBuf, second: PathBuf },

    // The file.
    #[error("plugin file does not exist: {}\n  remedy: check the path, or build the plugin first",
        path.display())]
    Missing { path: PathBuf },
    #[error("plugin file is not a regular file: {}\n  found: {found}\n  \
         remedy: name the lib*.so itself", path.display())]
    NotAFile { path: PathBuf, found: &'static str },
    #[error("plugin file cannot be read: {}\n  found: {cause}\n  remedy: {}",
        path.display(), unreadable_remedy(cause))]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("plugin file is empty: {}\n  expected: a shared library\n  \
         remedy: build or copy it again",
        path.display())]
    Empty { path: PathBuf },

    // ELF sanity.
    #[error("plugin file is not a shared library: {}\n  expected: ELF\n  found: {found}\n  \
         remedy: name the lib*.so that cargo built (crate-type = [\"cdylib\"])", path.display())]
    NotElf { path: PathBuf, found: String },
    #[error("plugin file was built for another machine: {}\n  expected: {expected}\n  \
         found: {found}\n  remedy: build the plugin on or for this machine", path.display())]
    WrongMachine { path: PathBuf, expected: String, found: String },
    #[error("plugin file is ELF but not a shared library: {}\n  expected: {expected}\n  \
         found: {found}\n  remedy: build the crate with crate-type = [\"cdylib\"]", path.display())]
    NotShared { path: PathBuf, expected: &'static str, found: String },
    #[error("plugin file is truncated: {}\n  expected: at least {expected_bytes} bytes \
         (end of {what})\n  found: {found_bytes} bytes\n  remedy: build or copy it again",
        path.display())]
    Truncated { path: PathBuf, what: String, expected_bytes: u64, found_bytes: u64 },
    #[error("plugin file is damaged: {}\n  found: {reason}\n  remedy: build or copy it again",
        path.display())]
    Damaged { path: PathBuf, reason: String },

    // Static manifest.
    #[error("not a Perdura plugin: {}\n  expected: an ELF section {}\n  found: none\n  \
         remedy: export the learner with perdura_sdk::export_learner!",
        path.display(), perdura_abi::manifest::SECTION)]
    NoManifest { path: PathBuf },
    #[error("the static manifest of the plugin cannot be understood: {}\n  expected: {expected}\n  \
         found: {found}\n  remedy: rebuild the plugin; export_learner! writes the manifest",
        path.display())]
    BadManifest { path: PathBuf, expected: String, found: String },

    // Worker file.
    #[error("not a worker file: {}\n  expected: {expected}\n  found: {found}\n  \
         remedy: see host/src/plugin/worker_file.rs for an example", path.display())]
    BadWorkerFile { path: PathBuf, expected: String, found: String },

    // ABI gate.
    #[error("plugin {id} was built for another version of the boundary: {}\n  \
         expected: ABI {expected}\n  found: ABI {found}\n  \
         remedy: rebuild the plugin with the SDK of this host (perdura plugins build)",
        path.display())]
    AbiMismatch { path: PathBuf, id: String, expected: String, found: String },
    #[error("plugin {id} was built with another abi_stable: {}\n  \
         expected: abi_stable {expected}\n  found: abi_stable {found}\n  \
         remedy: rebuild the plugin with the SDK of this host (perdura plugins build)",
        path.display())]
    AbiStableMismatch { path: PathBuf, id: String, expected: String, found: String },
    #[error("plugin {id} was built for another target: {}\n  expected: {expected}\n  \
         found: {found}\n  remedy: build the plugin on or for this machine", path.display())]
    TargetMismatch { path: PathBuf, id: String, expected: String, found: String },

    // Hash and cache.
    #[error("plugin file changed while it was being used: {}\n  expected: sha256 {expected}\n  \
         found: sha256 {found}\n  remedy: start again when the file is complete", path.display())]
    Changed { path: PathBuf, expected: String, found: String },
    #[error("the cache of plugins cannot be written: {}\n  found: {cause}\n  \
         remedy: set XDG_CACHE_HOME to a folder that can be written", path.display())]
    Cache { path: PathBuf, cause: io::Error },

    // Open.
    #[error("the system refused to open the plugin: {}\n  found: {reason}\n  \
         remedy: install the libraries it needs or name their folder in LD_LIBRARY_PATH, or \
         rebuild the plugin", path.display())]
    Open { path: PathBuf, reason: String },
    #[error("not a Perdura plugin: {}\n  expected: the symbol of a root module\n  \
         found: {reason}\n  remedy: export the learner with perdura_sdk::export_learner!",
        path.display())]
    NoRootModule { path: PathBuf, reason: String },
    #[error("the header of the plugin is not one of abi_stable {expected}: {}\n  found: {found}\n  \
         remedy: rebuild the plugin with the SDK of this host (perdura plugins build)",
        path.display())]
    Header { path: PathBuf, expected: String, found: String },
    #[error("the plugin's types differ from the host's: {}\n  found: {difference}\n  \
         remedy: rebuild the plugin with the SDK of this host (perdura plugins build)",
        path.display())]
    Layout { path: PathBuf, difference: String },
    #[error("the plugin could not be initialised: {}\n  found: {reason}\n  \
         remedy: report it to the plugin's authors", path.display())]
    Init { path: PathBuf, reason: String },

    // Description.
    #[error("the plugin could not describe itself: {}\n  found: {reason}\n  \
         remedy: report it to the plugin's authors", path.display())]
    Describe { path: PathBuf, reason: String },
    #[error("the two manifests of the plugin disagree: {}\n  expected: id {expected} (static)\n  \
         found: id {found} (described)\n  remedy: do not trust the file; rebuild it from source",
        path.display())]
    ManifestMismatch { path: PathBuf, expected: String, found: String },
}

impl LoadError {
    /// A short name of the cause that stays the same between versions.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::UnknownMethod { .. } => "unknown-method",
            LoadError::AmbiguousName { .. } => "ambiguous-name",
            LoadError::DuplicateId { .. } => "duplicate-id",
            LoadError::Missing { .. } => "missing",
            LoadError::NotAFile { .. } => "not-a-file",
            LoadError::Unreadable { .. } => "unreadable",
            LoadError::Empty { .. } => "empty",
            LoadError::NotElf { .. } => "not-elf",
            LoadError::WrongMachine { .. } => "wrong-machine",
            LoadError::NotShared { .. } => "not-shared",
            LoadError::Truncated { .. } => "truncated",
            LoadError::Damaged { .. } => "damaged",
            LoadError::NoManifest { .. } => "no-manifest",
            LoadError::BadManifest { .. } => "bad-manifest",
            LoadError::BadWorkerFile { .. } => "bad-worker-file",
            LoadError::AbiMismatch { .. } => "abi-mismatch",
            LoadError::AbiStableMismatch { .. } => "abi-stable-mismatch",
            LoadError::TargetMismatch { .. } => "target-mismatch",
            LoadError::Changed { .. } => "changed",
            LoadError::Cache { .. } => "cache",
            LoadError::Open { .. } => "open",
            LoadError::NoRootModule { .. } => "no-root-module",
            LoadError::Header { .. } => "header",
            LoadError::Layout { .. } => "layout",
            LoadError::Init { .. } => "init",
            LoadError::Describe { .. } => "describe",
            LoadError::ManifestMismatch { .. } => "manifest-mismatch",
        }
    }

    /// The id of a plugin that was understood well enough to know that it cannot be loaded here.
    pub fn id(&self) -> Option<&str> {
        match self {
            LoadError::AbiMismatch { id, .. }
            | LoadError::AbiStableMismatch { id, .. }
            | LoadError::TargetMismatch { id, .. } => Some(id),
            _ => None,
        }
    }

    /// An error of reading `path` in the form that fits its kind.
    pub(super) fn reading(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::NotFound => LoadError::Missing { path },
            _ => LoadError::Unreadable { path, cause },
        }
    }
}

fn unreadable_remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "give yourself the right to read it (chmod u+r)",
        _ => "check the disk it lies on, or copy it again",
    }
}

/// Joins a list of unknown length into one line.
fn listed(names: &[String], none: &str) -> String {
    const SHOWN_MAX: usize = 12;
    if names.is_empty() {
        return none.to_owned();
    }
    let shown = names.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

fn also_refused(refused: &[PathBuf]) -> String {
    let Some(first) = refused.first() else { return String::new() };
    let others = match refused.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    format!("\n  refused: {}{others} (perdura plugins list says why)", first.display())
}
