//! Pixels of large files, packed or not, written once into the user's cache and mapped afterwards. Unpacking
//! MNIST takes as long as some hundred training steps, and its pixels are most of the memory of a run.
//!
//! A cache is a convenience: where it cannot be written, pixels stay in this process's memory.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::mapped::map;
use super::{DataError, Images};

/// To be changed whenever what is kept changes.
const MAGIC: &[u8; 16] = b"perdura-pixels/1";
/// Magic and number of bytes; padded so that pixels begin on a cache line.
const HEADER_BYTES: usize = 64;
/// Less than this is not worth a file: it is unpacked in a few milliseconds.
const KEPT_BYTES_MIN: usize = 4 << 20;

/// The pixels of the files `sources`, one after the other, from the cache or by `unpack`.
pub(super) fn pixels(
    sources: &[PathBuf],
    unpack: impl FnOnce() -> Result<Vec<u8>, DataError>,
) -> Result<Images, DataError> {
    pixels_in(&crate::plugin::cache_folder("pixels"), sources, KEPT_BYTES_MIN, unpack)
}

fn pixels_in(
    cache: &Path,
    sources: &[PathBuf],
    kept_bytes_min: usize,
    unpack: impl FnOnce() -> Result<Vec<u8>, DataError>,
) -> Result<Images, DataError> {
    // A file that cannot be looked at is the business of `unpack`.
    let Ok(path) = place(cache, sources) else { return Ok(unpack()?.into()) };
    if let Some(images) = open(&path) {
        return Ok(images);
    }
    let pixels = unpack()?;
    if pixels.len() < kept_bytes_min {
        return Ok(pixels.into());
    }
    let kept = write(cache, &path, &pixels);
    if let Err(error) = &kept {
        tracing::warn!("pixels are not kept in {}: {error}", path.display());
    }
    Ok(kept.ok().and_then(|()| open(&path)).unwrap_or_else(|| pixels.into()))
}

/// Where the pixels of files lie: named after their paths, sizes and times of change.
fn place(cache: &Path, sources: &[PathBuf]) -> io::Result<PathBuf> {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    for source in sources {
        let found = std::fs::metadata(source)?;
        hash.update(std::path::absolute(source)?.as_os_str().as_encoded_bytes());
        for number in [found.size() as i64, found.mtime(), found.mtime_nsec()] {
            hash.update(number.to_le_bytes());
        }
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(cache.join(format!("{name}.pixels")))
}

fn write(cache: &Path, path: &Path, pixels: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(cache)?;
    let mut file = tempfile::NamedTempFile::new_in(cache)?;
    let mut header = MAGIC.to_vec();
    header.extend((pixels.len() as u64).to_le_bytes());
    header.resize(HEADER_BYTES, 0);
    file.write_all(&header)?;
    file.write_all(pixels)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// The file, if it is there and whole.
fn open(path: &Path) -> Option<Images> {
    let mapped = map(path).ok()?;
    let length = mapped.get(16..24)?.first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let whole = mapped.starts_with(MAGIC) && mapped.len() == HEADER_BYTES + length;
    whole.then(|| Images::mapped(Arc::new(mapped), HEADER_BYTES..HEADER_BYTES + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Result<Vec<u8>, DataError> {
        panic!("it was unpacked again")
    }

    #[test]
    fn pixels_are_unpacked_once() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, sources) = (folder.path().join("cache"), [folder.path().join("a.gz")]);
        std::fs::write(&sources[0], "packed").unwrap();
        let first = pixels_in(&cache, &sources, 1, || Ok(vec![1, 2, 3])).unwrap();
        let again = pixels_in(&cache, &sources, 1, never).unwrap();
        assert_eq!((&first[..], &again[..]), (&[1, 2, 3][..], &[1, 2, 3][..]));
    }

    #[test]
    fn another_file_of_that_name_is_unpacked_anew() {
        let folder = tempfile::tempdir().unwrap();
        let sources = [folder.path().join("a.gz")];
        std::fs::write(&sources[0], "packed").unwrap();
        let load = |pixels: Vec<u8>| pixels_in(folder.path(), &sources, 1, || Ok(pixels)).unwrap();
        assert_eq!(load(vec![1])[..], [1]);
        std::fs::write(&sources[0], "packed otherwise").unwrap();
        assert_eq!(load(vec![2])[..], [2]);
    }

    #[test]
    fn a_damaged_or_short_file_of_the_cache_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let sources = [folder.path().join("a.gz")];
        std::fs::write(&sources[0], "packed").unwrap();
        pixels_in(folder.path(), &sources, 1, || Ok(vec![7; 100])).unwrap();
        let kept = place(folder.path(), &sources).unwrap();
        let whole = std::fs::read(&kept).unwrap();
        for damaged in [&whole[..whole.len() - 1], &whole[1..], b""] {
            std::fs::write(&kept, damaged).unwrap();
            let images = pixels_in(folder.path(), &sources, 1, || Ok(vec![7; 100])).unwrap();
            assert_eq!(images[..], [7; 100]);
            assert_eq!(std::fs::read(&kept).unwrap(), whole, "it was mended");
        }
    }

    /// A folder that cannot be written, a small file, and an error of the file itself.
    #[test]
    fn without_a_cache_everything_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let sources = [folder.path().join("a.gz")];
        std::fs::write(&sources[0], "packed").unwrap();
        let unwritable = pixels_in(&sources[0], &sources, 1, || Ok(vec![1, 2])).unwrap();
        assert_eq!(unwritable[..], [1, 2]);
        let small = pixels_in(folder.path(), &sources, 10, || Ok(vec![1, 2])).unwrap();
        assert_eq!(small[..], [1, 2]);
        assert!(!place(folder.path(), &sources).unwrap().exists());
        let error = || DataError::damaged(&sources[0], "a", "b");
        assert!(pixels_in(folder.path(), &sources, 1, || Err(error())).is_err());
        let gone = [folder.path().join("gone.gz")];
        assert_eq!(pixels_in(folder.path(), &gone, 1, || Ok(vec![3])).unwrap()[..], [3]);
    }
}
