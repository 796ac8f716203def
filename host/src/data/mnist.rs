//! MNIST and Fashion-MNIST in their published files: four IDX files, plain or `.gz`, in
//! `<data_dir>/<name>`; those of MNIST also in `<data_dir>` itself. The files of both have equal
//! names, so Fashion-MNIST is looked for in its own folder alone.

use std::path::{Path, PathBuf};

use super::{DataError, DataPair, Dataset, ImageShape, find, idx, unpacked};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const CLASSES: usize = 10;

/// Reads both parts of `mnist` or `fmnist`.
pub(super) fn load(name: &str, data_dir: &Path) -> Result<DataPair, DataError> {
    let mut folders = vec![data_dir.join(name)];
    folders.extend((name == "mnist").then(|| data_dir.to_owned()));
    Ok(DataPair {
        name: name.into(),
        train: load_part(name, &folders, "train")?,
        test: load_part(name, &folders, "t10k")?,
        scale: 255.0,
    })
}

fn load_part(name: &str, folders: &[PathBuf], part: &str) -> Result<Dataset, DataError> {
    // Plain before packed.
    let find = |file: &str| find(name, folders, file, &["", ".gz"]);
    let images_path = find(&format!("{part}-images-idx3-ubyte"))?;
    let labels_path = find(&format!("{part}-labels-idx1-ubyte"))?;
    let unpack = || idx::read_images(&images_path, SHAPE.height, SHAPE.width);
    let images = unpacked::pixels(std::slice::from_ref(&images_path), unpack)?;
    let count = images.len() / SHAPE.len();
    let labels = idx::read_labels(&labels_path, CLASSES)?;
    if labels.len() != count {
        return Err(DataError::Damaged {
            path: labels_path,
            expected: format!("{} labels, one per image of {}", count, images_path.display()),
            found: format!("{} labels", labels.len()),
            remedy: "the two files do not belong together: fetch both again".into(),
        });
    }
    Ok(Dataset { images, labels, shape: SHAPE, classes: CLASSES })
}

#[cfg(test)]
mod tests;
