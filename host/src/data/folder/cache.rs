//! Decoded images in one file that is mapped afterwards: decoding happens once, later starts read
//! what they use, and runs at the same time share the memory. The file is named after a hash of
//! everything its content depends on, is written beside its place and moved there when it is whole,
//! and is never written again.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::Mmap;
use sha2::{Digest, Sha256};

use super::decode::read_image;
use super::listing::{ImageFile, Listing};
use super::{FolderOptions, shape_of_all};
use crate::data::mapped::map;
use crate::data::{DataError, ImageShape};

/// To be changed whenever pixels or layout change.
const MAGIC: &[u8; 16] = b"perdura-images/1";
/// Magic, channels, height, width, number of images; padded so that pixels begin on a cache line.
const HEADER_BYTES: usize = 64;

/// The images of a listing, training part first.
pub(super) struct Decoded {
    pub map: Arc<Mmap>,
    pub shape: ImageShape,
}

impl Decoded {
    /// Where the images of a range of samples lie in the map.
    pub(super) fn range(&self, first: usize, count: usize) -> std::ops::Range<usize> {
        let length = self.shape.len();
        HEADER_BYTES + first * length..HEADER_BYTES + (first + count) * length
    }
}

/// Maps the decoded images, after decoding them if that was not done before.
///
/// # Errors
/// An image that cannot be read or has another size than the others, or a cache that cannot be
/// written.
pub(super) fn decoded(
    cache: &Path,
    listing: &Listing,
    options: &FolderOptions,
) -> Result<Decoded, DataError> {
    let path = cache.join(format!("{}.images", key(listing, options)));
    let count = listing.train.len() + listing.test.len();
    if let Some(decoded) = open(&path, count) {
        return Ok(decoded);
    }
    let unwritable = |source| DataError::Unwritable { path: path.clone(), source };
    std::fs::create_dir_all(cache).map_err(unwritable)?;
    let mut file = tempfile::NamedTempFile::new_in(cache).map_err(unwritable)?;
    let files: Vec<&ImageFile> = listing.train.iter().chain(&listing.test).collect();
    let shape = shape_of_all(&files, options)?;
    tracing::info!(images = count, folder = %options.path.display(), "decoding once");
    file.write_all(&header(shape, count)).map_err(unwritable)?;
    write_images(file.as_file(), &files, shape, options, &unwritable)?;
    file.as_file().sync_all().map_err(unwritable)?;
    file.persist(&path).map_err(|error| unwritable(error.error))?;
    open(&path, count).ok_or_else(|| unwritable(io::Error::other("it cannot be mapped")))
}

/// Decodes with all cores, each a stretch of the files, straight into place. The error is that of
/// the first file that has one, however the work was shared out.
fn write_images(
    out: &File,
    files: &[&ImageFile],
    shape: ImageShape,
    options: &FolderOptions,
    unwritable: &(dyn Fn(io::Error) -> DataError + Sync),
) -> Result<(), DataError> {
    // The first stretch that has failed.
    let failed = AtomicUsize::new(usize::MAX);
    let write = |place: usize, file: &ImageFile| {
        let path = options.path.join(&file.path);
        let (found, pixels) = read_image(&path, options.channels, options.size)?;
        if found != shape {
            return Err(DataError::OtherSize { path, expected: shape, found });
        }
        let offset = HEADER_BYTES + place * shape.len();
        out.write_all_at(&pixels, offset as u64).map_err(unwritable)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = files.len().div_ceil(cores).max(1);
    let stretch = |number: usize, files: &[&ImageFile]| {
        for (place, file) in files.iter().enumerate() {
            // An earlier one than that goes on: it may still find the first error.
            if number > failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            write(number * share + place, file).inspect_err(|_| {
                failed.fetch_min(number, Ordering::Relaxed);
            })?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let stretches = files.chunks(share).enumerate();
        let threads: Vec<_> =
            stretches.map(|(number, files)| scope.spawn(move || stretch(number, files))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        threads.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
    })
}

/// The file, if it is there and whole.
fn open(path: &Path, count: usize) -> Option<Decoded> {
    let map = map(path).ok()?;
    let number = |place: usize| {
        let bytes = map.get(16 + 8 * place..)?.first_chunk::<8>()?;
        usize::try_from(u64::from_le_bytes(*bytes)).ok()
    };
    let shape = ImageShape { channels: number(0)?, height: number(1)?, width: number(2)? };
    let whole = map.starts_with(MAGIC)
        && number(3)? == count
        && map.len() == HEADER_BYTES + count * shape.len();
    whole.then(|| Decoded { map: Arc::new(map), shape })
}

fn header(shape: ImageShape, count: usize) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    for number in [shape.channels, shape.height, shape.width, count] {
        header.extend((number as u64).to_le_bytes());
    }
    header.resize(HEADER_BYTES, 0);
    header
}

/// A hash over files, their sizes and times of change, and what is done to them.
fn key(listing: &Listing, options: &FolderOptions) -> String {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    let (height, width) = options.size.unwrap_or((0, 0));
    for number in [options.channels, height, width, listing.train.len()] {
        hash.update((number as u64).to_le_bytes());
    }
    let root = std::path::absolute(&options.path).unwrap_or_else(|_| options.path.clone());
    text(&mut hash, &root);
    for file in listing.train.iter().chain(&listing.test) {
        text(&mut hash, &file.path);
        hash.update(file.bytes.to_le_bytes());
        hash.update(file.modified_ns.to_le_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(hash: &mut Sha256, path: &Path) {
    let bytes = path.as_os_str().as_encoded_bytes();
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
