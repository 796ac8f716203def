//! Data sets that are folders of PNG and JPEG files, a folder per class. Images are decoded once
//! into a file of the user's cache ([`cache`]), which is mapped from then on.

mod cache;
mod decode;
mod listing;
mod resize;

use std::path::{Path, PathBuf};

use super::{DataError, DataPair, Dataset, ImageShape, Images};
use decode::read_image;
use listing::ImageFile;

/// Number of classes, of training and of test images of Tiny-ImageNet.
const TINY_SIZES: (usize, usize, usize) = (200, 100_000, 10_000);

/// Which images of a folder are read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderOptions {
    /// Holds `train/` and `test/` or `val/`; with `test_per_class`, a folder per class.
    pub path: PathBuf,
    /// 1 for grey images, 3 for colour; grey images become colour images.
    pub channels: usize,
    /// Height and width that images are resized to; without, all must be of one size.
    pub size: Option<(usize, usize)>,
    /// Classes left out, the first by name.
    pub classes_skipped: usize,
    /// Classes read after those; `None` for all.
    pub classes_taken: Option<usize>,
    /// In a folder without parts: so many images of each class, the last, are the test part.
    pub test_per_class: Option<usize>,
}

impl FolderOptions {
    /// Colour images of one size, all classes.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FolderOptions {
            path: path.into(),
            channels: 3,
            size: None,
            classes_skipped: 0,
            classes_taken: None,
            test_per_class: None,
        }
    }
}

/// Loads a folder; labels follow the names of the classes, samples are sorted by class and name.
///
/// # Errors
/// A folder or image that is not as [`FolderOptions`] says.
pub fn load_folder(options: &FolderOptions) -> Result<DataPair, DataError> {
    load_folder_in(options, &cache_folder())
}

/// As [`load_folder`], with decoded images kept in `cache` in place of the user's cache.
///
/// # Errors
/// As for [`load_folder`], or a cache that cannot be written.
pub fn load_folder_in(options: &FolderOptions, cache: &Path) -> Result<DataPair, DataError> {
    let listing = listing::list(options)?;
    let decoded = cache::decoded(cache, &listing, options)?;
    let classes = listing.classes.len();
    let part = |files: &[ImageFile], first: usize| Dataset {
        images: Images::mapped(decoded.map.clone(), decoded.range(first, files.len())),
        labels: files.iter().map(|file| file.label).collect(),
        shape: decoded.shape,
        classes,
    };
    let name = options.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(DataPair {
        name,
        train: part(&listing.train, 0),
        test: part(&listing.test, listing.train.len()),
        scale: 255.0,
    })
}

/// Tiny-ImageNet as its archive unpacks: 200 classes, 64 x 64, the validation part as test.
pub(super) fn load_tiny(data_dir: &Path) -> Result<DataPair, DataError> {
    load_tiny_in(data_dir, &cache_folder())
}

fn load_tiny_in(data_dir: &Path, cache: &Path) -> Result<DataPair, DataError> {
    let path = data_dir.join("tiny-imagenet-200");
    if !path.is_dir() {
        let file = "tiny-imagenet-200".to_owned();
        return Err(DataError::Missing { name: "tinyimagenet".into(), file, looked: vec![path] });
    }
    let data = load_folder_in(&FolderOptions::new(&path), cache)?;
    let found = (data.train.classes, data.train.len(), data.test.len());
    let shape = ImageShape { channels: 3, height: 64, width: 64 };
    if found != TINY_SIZES || data.train.shape != shape {
        let say = |(classes, train, test), shape| {
            format!("{classes} classes, {train} training and {test} test images of {shape}")
        };
        let (expected, found) = (say(TINY_SIZES, shape), say(found, data.train.shape));
        return Err(DataError::damaged(&path, expected, found));
    }
    Ok(DataPair { name: "tinyimagenet".into(), ..data })
}

/// Where decoded images of this user are kept.
fn cache_folder() -> PathBuf {
    crate::plugin::cache_folder("images")
}

/// The shape all images must have: that of the first one.
fn shape_of_all(files: &[&ImageFile], options: &FolderOptions) -> Result<ImageShape, DataError> {
    let first = options.path.join(&files[0].path);
    read_image(&first, options.channels, options.size).map(|(shape, _)| shape)
}

#[cfg(test)]
mod tests;
