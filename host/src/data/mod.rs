//! Data sets as they lie in memory: u8 images and labels, in file order. Nothing here knows of
//! experiences, class orders or augmentation; that is [`crate::stream`] and [`crate::augment`].

mod digits;
mod error;
mod idx;
mod mnist;

use std::path::Path;

pub use error::DataError;

/// Names that [`load`] knows.
pub const NAMES: &[&str] = &["digits", "fmnist", "mnist"];

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
    pub images: Vec<u8>,
    /// One label below `classes` per image.
    pub labels: Vec<u32>,
    pub shape: ImageShape,
    pub classes: usize,
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
        _ => Err(DataError::Unknown { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = load("cifer", None).unwrap_err().to_string();
        assert_eq!(message, "unknown data set `cifer`; known are digits, fmnist, mnist");
    }

    #[test]
    fn data_on_disk_needs_a_folder() {
        let message = load("mnist", None).unwrap_err().to_string();
        assert!(message.contains("--data-dir") && message.contains("PERDURA_DATA"), "{message}");
    }
}
