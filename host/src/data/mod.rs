//! Data sets as they lie in memory: u8 images and labels, in file order. Nothing here knows of
//! experiences, class orders or augmentation; that is [`crate::stream`] and [`crate::augment`].

mod cifar;
mod digits;
mod error;
mod folder;
mod idx;
mod images;
mod mapped;
mod mnist;
mod unpacked;

use std::path::{Path, PathBuf};

pub use digits::forget as forget_digits;
pub use error::DataError;
pub use folder::{FolderOptions, load_folder, load_folder_in};
pub use images::Images;

/// Names that [`load`] knows.
pub const NAMES: &[&str] =
    &["digits", "fmnist", "mnist", "cifar10", "cifar100", "cifar10-subset", "tinyimagenet"];

/// Shape of one image, stored channel by channel and row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl ImageShape {
    /// Pixels of one image over all channels.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Labelled images in file order.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// `[n, channels, height, width]`, row-major.
    pub images: Images,
    /// One label below `classes` per image.
    pub labels: Vec<u32>,
    pub shape: ImageShape,
    pub classes: usize,
}

impl std::fmt::Display for ImageShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.height, self.width)
    }
}

impl Dataset {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of one image.
    pub fn image(&self, index: u32) -> &[u8] {
        let length = self.shape.len();
        &self.images[index as usize * length..][..length]
    }
}

/// The training and the test part of a data set.
#[derive(Clone, Debug)]
pub struct DataPair {
    pub name: String,
    pub train: Dataset,
    pub test: Dataset,
    /// The largest pixel value; `pixel / scale` lies in 0..=1.
    pub scale: f32,
}

/// Loads a data set by name. `digits` is compiled in; the others are read from `data_dir`.
///
/// # Errors
/// An unknown name, a missing file, or a damaged one.
pub fn load(name: &str, data_dir: Option<&Path>) -> Result<DataPair, DataError> {
    let folder = || data_dir.ok_or_else(|| DataError::NoFolder { name: name.to_owned() });
    match name {
        "digits" => digits::load(),
        "mnist" | "fmnist" => mnist::load(name, folder()?),
        "cifar10" => cifar::CIFAR10.load(folder()?),
        "cifar100" => cifar::CIFAR100.load(folder()?),
        "cifar10-subset" => cifar::CIFAR10_SUBSET.load(folder()?),
        "tinyimagenet" => folder::load_tiny(folder()?),
        _ => Err(DataError::Unknown { name: name.to_owned() }),
    }
}

/// The first place that holds a file of the data set `name`, under one of these endings.
fn find(
    name: &str,
    folders: &[PathBuf],
    file: &str,
    endings: &[&str],
) -> Result<PathBuf, DataError> {
    let names: Vec<String> = endings.iter().map(|ending| format!("{file}{ending}")).collect();
    let looked: Vec<PathBuf> =
        folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).collect();
    match looked.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(DataError::Missing { name: name.into(), file: file.into(), looked }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = load("cifer", None).unwrap_err().to_string();
        assert!(message.starts_with("unknown data set `cifer`; known are digits, fmnist, mnist, "));
    }

    #[test]
    fn data_on_disk_needs_a_folder() {
        let message = load("mnist", None).unwrap_err().to_string();
        assert!(message.contains("--data-dir") && message.contains("PERDURA_DATA"), "{message}");
    }
}
