//! The content-addressed cache. A library that is overwritten while it is mapped kills the process,
//! so the host only ever opens a copy that is named after its own content and never written again.
//! Descriptions are kept beside the copies.

use sha2::{Digest, Sha256};
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::Found;
use super::error::LoadError;

/// How long an unused copy is kept.
const UNUSED_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How the name of a report ends. Reports are small and are never made again by themselves: they stay.
const REPORT_ENDING: &str = ".check.json";

/// A folder of copies. It may be deleted at any time; plugins that are open stay open.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// A cache in `dir`, which is created when it is needed.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Cache { dir: dir.into() }
    }

    /// The cache in [`cache_folder`].
    pub fn from_env() -> Self {
        Cache::at(cache_folder("plugins"))
    }

    /// The copy of `found`, made now unless a good one is there.
    ///
    /// Fails with `Changed` when the original is needed and no longer what was found.
    pub fn copy(&self, found: &Found) -> Result<PathBuf, LoadError> {
        self.ensure(found, &format!("{}.so", found.sha256))
    }

    /// As [`copy`](Cache::copy), for who has asked before: while the copy lies there as it did, its content
    /// is not read again.
    pub fn good_copy(
        &self,
        found: &Found,
        earlier: Option<GoodCopy>,
    ) -> Result<GoodCopy, LoadError> {
        let untouched =
            |good: &GoodCopy| good.stamp.is_some() && good.stamp == Stamp::of(&good.path);
        if let Some(good) = earlier.filter(untouched) {
            return Ok(good);
        }
        let path = self.copy(found)?;
        let stamp = Stamp::of(&path);
        Ok(GoodCopy { path, stamp })
    }

    /// Another copy, distinct from every other copy this process has asked for, so that the system
    /// maps it as another library with statics of its own.
    pub fn private_copy(&self, found: &Found) -> Result<PathBuf, LoadError> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.ensure(found, &format!("{}-{number}.so", found.sha256))
    }

    /// Text kept under the hash `sha256`, if it is there and readable.
    pub(super) fn description(&self, sha256: &str) -> Option<String> {
        std::fs::read_to_string(self.description_path(sha256)).ok()
    }

    pub(super) fn store_description(&self, sha256: &str, json: &str) -> Result<(), LoadError> {
        self.write(&self.description_path(sha256), json.as_bytes()).map(|_| ())
    }

    /// The report of a check of the file with this hash, if there is one.
    pub(crate) fn report(&self, sha256: &str) -> Option<String> {
        std::fs::read_to_string(self.report_path(sha256)).ok()
    }

    /// Keeps a report in the place of an earlier one.
    pub(crate) fn store_report(&self, sha256: &str, json: &str) -> Result<PathBuf, LoadError> {
        self.write(&self.report_path(sha256), json.as_bytes())
    }

    fn report_path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}{REPORT_ENDING}"))
    }

    fn description_path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.description.json"))
    }

    fn ensure(&self, found: &Found, name: &str) -> Result<PathBuf, LoadError> {
        let path = self.dir.join(name);
        if path == found.path {
            // Found in the cache itself: a worker is handed the copy and has just hashed it.
            return Ok(path);
        }
        if sha256_of_file(&path).is_ok_and(|sha256| sha256 == found.sha256) {
            mark_used(&path);
            return absolute(&path);
        }
        let bytes =
            std::fs::read(&found.path).map_err(|error| LoadError::reading(&found.path, error))?;
        let sha256 = sha256_of(&bytes);
        if sha256 != found.sha256 {
            let (path, expected) = (found.path.clone(), found.sha256.clone());
            return Err(LoadError::Changed { path, expected, found: sha256 });
        }
        self.write(&path, &bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<PathBuf, LoadError> {
        let failed = |cause| LoadError::Cache { path: path.to_owned(), cause };
        create_private(&self.dir).map_err(failed)?;
        write_whole(path, bytes).map_err(failed)?;
        self.remove_unused();
        absolute(path)
    }

    /// Removes what no process has asked for in a long time; a plugin under development would
    /// otherwise leave a copy of every build. What cannot be removed stays.
    fn remove_unused(&self) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        let is_report = |entry: &std::fs::DirEntry| {
            entry.file_name().to_string_lossy().ends_with(REPORT_ENDING)
        };
        for entry in entries.flatten().filter(|entry| !is_report(entry)) {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let unused = modified.ok().and_then(|time| time.elapsed().ok());
            if unused.is_some_and(|unused| unused > UNUSED_MAX) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Failing costs no more than a copy that is made again later.
fn mark_used(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Writes a file so that other processes see either the old one or the whole new one. Others may
/// read it as far as the umask allows.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let readable = Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// The first of `$XDG_CACHE_HOME/perdura/NAME`, `~/.cache/perdura/NAME` and a folder of this user among
/// the temporary files that can be created.
pub(crate) fn cache_folder(name: &str) -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let temporary = std::env::temp_dir().join(format!("perdura-{user}")).join(name);
    let home = super::search::home_folder("XDG_CACHE_HOME", ".cache");
    let candidates = home.map(|home| home.join("perdura").join(name)).into_iter();
    let usable = |dir: &PathBuf| create_private(dir).is_ok();
    candidates.chain([temporary.clone()]).find(usable).unwrap_or(temporary)
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same of a file, which is never in memory as a whole.
fn sha256_of_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => hash.update(&piece[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A copy whose content was found good.
#[derive(Clone, Debug)]
pub struct GoodCopy {
    pub path: PathBuf,
    /// How it lay there then.
    stamp: Option<Stamp>,
}

/// Device, number, size, and times of change of a file: while they stay, nobody has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Stamp {
    /// `None` where the file cannot be looked at.
    fn of(path: &Path) -> Option<Stamp> {
        let m = std::fs::metadata(path).ok()?;
        let (device, inode, size) = (m.dev() as i64, m.ino() as i64, m.size() as i64);
        let times = [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()];
        Some(Stamp([device, inode, size, times[0], times[1], times[2], times[3]]))
    }
}

/// Creates a folder that only this user can write, or accepts one that belongs to this user: what
/// lies in it is going to be run.
fn create_private(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir)?);
    if owner != rustix::process::getuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the folder belongs to user {owner}"),
        ));
    }
    // Also tells a read-only file system from one that can be written.
    tempfile::tempfile_in(dir).map(|_| ())
}

/// The system opens a name without a slash from its own folders, so the path must be absolute.
fn absolute(path: &Path) -> Result<PathBuf, LoadError> {
    std::path::absolute(path).map_err(|cause| LoadError::Cache { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::{code, manifest_of};

    struct Setup {
        folder: tempfile::TempDir,
        cache: Cache,
        found: Found,
    }

    /// A file of text stands for a library: the cache does not look inside.
    fn setup() -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liber.so");
        std::fs::write(&path, "first").unwrap();
        let found = Found { path, manifest: manifest_of("lab/er"), sha256: sha256_of(b"first") };
        Setup { cache: Cache::at(folder.path().join("a/b")), folder, found }
    }

    #[test]
    fn sha256_of_known_text() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(b"abc"), expected);
    }

    #[test]
    fn copy_survives_overwriting_the_original() {
        let Setup { cache, found, folder: _folder } = setup();
        let copy = cache.copy(&found).unwrap();
        assert_eq!(copy.file_name().unwrap().to_str().unwrap(), format!("{}.so", found.sha256));
        std::fs::write(&found.path, "second").unwrap();
        assert_eq!(std::fs::read(&copy).unwrap(), b"first");
        assert_eq!(cache.copy(&found).unwrap(), copy);
        std::fs::remove_file(&found.path).unwrap();
        assert_eq!(cache.copy(&found).unwrap(), copy);
    }

    /// Content is not looked at while the file is untouched, and is as soon as it is not.
    #[test]
    fn a_good_copy_is_read_again_when_it_was_touched() {
        let Setup { cache, found, folder: _folder } = setup();
        let good = cache.good_copy(&found, None).unwrap();
        // Its hash would be another: it is not taken.
        let other = Found { sha256: sha256_of(b"other"), ..found.clone() };
        assert_eq!(cache.good_copy(&other, Some(good.clone())).unwrap().path, good.path);
        let mut bytes = std::fs::OpenOptions::new().append(true).open(&good.path).unwrap();
        bytes.write_all(b" and more").unwrap();
        let mended = cache.good_copy(&found, Some(good.clone())).unwrap();
        assert_eq!(mended.path, good.path);
        assert_eq!(std::fs::read(&mended.path).unwrap(), b"first");
    }

    #[test]
    fn damaged_copy_is_made_again_or_refused() {
        let Setup { cache, found, folder: _folder } = setup();
        let copy = cache.copy(&found).unwrap();
        std::fs::write(&copy, "forged").unwrap();
        assert_eq!(std::fs::read(cache.copy(&found).unwrap()).unwrap(), b"first");
        std::fs::write(&copy, "forged").unwrap();
        std::fs::write(&found.path, "second").unwrap();
        assert_eq!(code(cache.copy(&found)), "changed");
    }

    #[test]
    fn copies_nobody_uses_are_removed() {
        let Setup { cache, found, folder } = setup();
        let copy = cache.copy(&found).unwrap();
        let long_ago = SystemTime::now() - UNUSED_MAX - Duration::from_secs(60);
        let old = copy.with_file_name("old.so");
        std::fs::write(&old, "old").unwrap();
        for path in [&copy, &old] {
            File::open(path).unwrap().set_modified(long_ago).unwrap();
        }
        // A use counts as well as a write.
        assert_eq!(cache.copy(&found).unwrap(), copy);
        let second = folder.path().join("libsgd.so");
        std::fs::write(&second, "second").unwrap();
        let sha256 = sha256_of(b"second");
        cache.copy(&Found { path: second, sha256, ..found.clone() }).unwrap();
        assert!(copy.exists() && !old.exists());
    }

    #[test]
    fn private_copies_are_other_files() {
        let Setup { cache, found, folder: _folder } = setup();
        let (copy, first) = (cache.copy(&found).unwrap(), cache.private_copy(&found).unwrap());
        let second = cache.private_copy(&found).unwrap();
        assert!(first != second && first != copy && second != copy);
        let inode =
            |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        assert_ne!(inode(&first), inode(&second));
    }

    #[test]
    fn folder_that_cannot_be_written_is_an_error() {
        let Setup { folder, found, .. } = setup();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Cache::at(file.join("plugins")).copy(&found).unwrap_err();
        assert_eq!(error.code(), "cache");
        assert!(error.to_string().contains("XDG_CACHE_HOME"), "{error}");
    }
}
