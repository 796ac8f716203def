//! The loader: from a method's name to an open plugin.
//!
//! 1. [`SearchPath`] says where plugins are looked for; [`SearchPath::resolve`] picks one file.
//! 2. [`inspect`] reads the file once and checks it without running a byte of it: ELF sanity (a
//!    truncated library would kill the host), the static manifest, the ABI gate, the hash.
//! 3. [`Cache`] holds a copy named after the hash; only copies are opened, because overwriting a
//!    library that is open would kill the host too.
//! 4. [`open()`] maps the copy, compares the layout of all types that cross the boundary and
//!    initialises the root module.
//! 5. [`OpenPlugin::describe`] asks the plugin about itself; [`describe_cached`] has a child
//!    process do it once per content.
//!
//! Beside these: [`trust`] says which file may carry which id, and a `NAME.toml` names a learner in another
//! language ([`is_worker_file`]).
//!
//! Each stage has its own errors in [`LoadError`]. Steps 1 to 3 never run foreign code.
//!
//! ```no_run
//! use perdura::plugin::{SearchPath, open};
//!
//! let found = SearchPath::from_env(&[]).resolve("er")?;
//! let plugin = open(&found)?;
//! println!("{} from {}", plugin.describe()?.summary, plugin.path.display());
//! # Ok::<(), perdura::plugin::LoadError>(())
//! ```
#![deny(unsafe_code)]

use object::read::{ReadCache, ReadRef};
use perdura_abi::manifest::StaticManifest;
use perdura_abi::table::PluginRootRef;
use std::path::{Path, PathBuf};

mod cache;
mod describe;
mod elf;
mod error;
mod gate;
mod manifest;
#[allow(unsafe_code)]
mod open;
mod search;
#[cfg(test)]
pub(crate) mod testing;
pub mod trust;
mod worker_file;

pub use cache::{Cache, GoodCopy, sha256_of};
pub(crate) use cache::{cache_folder, write_whole};
pub use describe::{describe_cached, describe_cached_in};
pub use error::LoadError;
pub use manifest::{is_valid_id, is_valid_part};
pub use search::{PATH_VARIABLE, Refused, Scan, SearchPath, user_folder};
pub use worker_file::{is_worker_file, spawn_options, spawn_options_again};

/// A file that can be loaded as far as its bytes tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub path: PathBuf,
    pub manifest: StaticManifest,
    /// Of the whole file, in lower-case hexadecimal.
    pub sha256: String,
}

impl Found {
    /// Refuses a file that is not the one another process has seen.
    pub fn expect_sha256(self, expected: &str) -> Result<Self, LoadError> {
        if self.sha256 != expected {
            let (path, expected, found) = (self.path, expected.to_owned(), self.sha256);
            return Err(LoadError::Changed { path, expected, found });
        }
        Ok(self)
    }
}

/// A plugin that is mapped into this process and stays there until the process ends.
#[derive(Clone)]
pub struct OpenPlugin {
    pub root: PluginRootRef,
    pub manifest: StaticManifest,
    pub sha256: String,
    /// The file it was found in, not the copy that is mapped.
    pub path: PathBuf,
}

/// Reads and checks a file without running any of it.
pub fn inspect(path: &Path) -> Result<Found, LoadError> {
    if is_worker_file(path) {
        return worker_file::inspect(path);
    }
    let bytes = read(path)?;
    let manifest = check(path, &bytes[..])?;
    Ok(Found { path: path.to_owned(), manifest, sha256: sha256_of(&bytes) })
}

/// The checks of [`inspect`] without the hash.
fn inspect_unhashed(path: &Path) -> Result<StaticManifest, LoadError> {
    if is_worker_file(path) {
        return Ok(worker_file::inspect(path)?.manifest);
    }
    is_file(path)?;
    let file = std::fs::File::open(path).map_err(|error| LoadError::reading(path, error))?;
    check(path, &ReadCache::new(file))
}

/// `bytes` lie in memory, or in the file and are read as far as they are wanted.
fn check<'a>(path: &Path, bytes: impl ReadRef<'a>) -> Result<StaticManifest, LoadError> {
    let manifest = manifest::read(path, &elf::check(path, bytes)?)?;
    gate::check(path, &manifest)?;
    Ok(manifest)
}

/// Opens a plugin. Within a process all plugins of one content opened this way share their statics.
pub fn open(found: &Found) -> Result<OpenPlugin, LoadError> {
    open_copy(found, &Cache::from_env().copy(found)?)
}

/// Opens a file that the cache has made and checked, for a worker: nothing is read or hashed again.
pub fn open_checked(copy: &Path) -> Result<PluginRootRef, LoadError> {
    open::root_module(copy, copy)
}

/// Opens a plugin as a library of its own, with statics that no other learner touches.
pub fn open_private_copy(found: &Found) -> Result<OpenPlugin, LoadError> {
    open_copy(found, &Cache::from_env().private_copy(found)?)
}

/// Opens a copy that the cache has made of `found`.
fn open_copy(found: &Found, copy: &Path) -> Result<OpenPlugin, LoadError> {
    let root = open::root_module(copy, &found.path)?;
    let Found { path, manifest, sha256 } = found.clone();
    Ok(OpenPlugin { root, manifest, sha256, path })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    is_file(path)?;
    std::fs::read(path).map_err(|error| LoadError::reading(path, error))
}

fn is_file(path: &Path) -> Result<(), LoadError> {
    let metadata = std::fs::metadata(path).map_err(|error| LoadError::reading(path, error))?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a device, pipe or socket" };
        return Err(LoadError::NotAFile { path: path.into(), found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::testing::{Library, code, library_bytes, manifest_of};
    use super::*;

    #[test]
    fn good_file_passes_all_static_checks() {
        let Some(library) = Library::of_id("lab/er") else { return };
        let found = inspect(&library.path).unwrap();
        assert_eq!(found.manifest, manifest_of("lab/er"));
        assert_eq!(found.sha256, sha256_of(&library.bytes()));
        let other = found.clone().expect_sha256("00");
        assert_eq!(code(other), "changed");
        let sha256 = found.sha256.clone();
        assert!(found.expect_sha256(&sha256).is_ok());
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(code(inspect(folder.path())), "not-a-file");
        assert_eq!(code(inspect(Path::new("/dev/zero"))), "not-a-file");
        assert_eq!(code(inspect(&folder.path().join("libx.so"))), "missing");
        assert_eq!(code(inspect(&folder.path().join("libx.so/y"))), "missing");
    }

    /// Address 0 of this process's memory: a regular file that cannot be read, whoever asks.
    #[test]
    fn a_file_that_cannot_be_read_is_refused() {
        let error = inspect(Path::new("/proc/self/mem")).unwrap_err();
        assert_eq!(error.code(), "unreadable");
        assert!(error.to_string().contains("remedy: check the disk it lies on"), "{error}");
    }

    #[test]
    fn each_stage_has_its_code_and_a_short_message() {
        let Some(good) = library_bytes(&manifest_of("lab/er")) else { return };
        let Some(plain) = Library::without_manifest() else { return };
        let mut foreign_abi = manifest_of("lab/er");
        foreign_abi.abi = "2.0".into();
        let marker = b"\"id\"";
        let at = good.windows(marker.len()).position(|bytes| bytes == marker).unwrap();
        let mut damaged = good.clone();
        damaged[at] = b'?';
        let cases = [
            ("empty", Vec::new()),
            ("not-elf", b"text, and more of it than a header is long: ".repeat(3)),
            ("truncated", good[..good.len() / 2].to_vec()),
            ("no-manifest", plain.bytes()),
            ("bad-manifest", damaged),
            ("abi-mismatch", library_bytes(&foreign_abi).unwrap()),
        ];
        let folder = tempfile::tempdir().unwrap();
        for (expected, bytes) in cases {
            let path = folder.path().join(format!("lib{expected}.so"));
            std::fs::write(&path, bytes).unwrap();
            let error = inspect(&path).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.code(), expected, "{text}");
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            assert!(text.contains("remedy: ") && text.lines().count() <= 6, "{text}");
        }
    }

    #[test]
    fn overwriting_the_file_in_place_leaves_the_copy() {
        let Some(library) = Library::of_id("lab/er") else { return };
        let folder = tempfile::tempdir().unwrap();
        let (cache, found) = (Cache::at(folder.path()), inspect(&library.path).unwrap());
        let copy = cache.copy(&found).unwrap();
        assert_eq!(code(open_copy(&found, &copy)), "no-root-module");
        std::fs::write(&library.path, vec![0; library.bytes().len()]).unwrap();
        assert_eq!(code(open_copy(&found, &copy)), "no-root-module");
        assert_eq!(inspect(&copy).unwrap().sha256, found.sha256);
    }
}
