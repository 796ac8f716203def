//! MNIST and Fashion-MNIST in their published files: four IDX files, plain or `.gz`, in
//! `<data_dir>/<name>`; those of MNIST also in `<data_dir>` itself. The files of both have equal
//! names, so Fashion-MNIST is looked for in its own folder alone.

use std::path::{Path, PathBuf};

use super::{DataError, DataPair, Dataset, ImageShape, idx};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const CLASSES: usize = 10;

/// Reads both parts of `mnist` or `fmnist`.
pub(super) fn load(name: &str, data_dir: &Path) -> Result<DataPair, DataError> {
    let mut folders = vec![data_dir.join(name)];
    folders.extend((name == "mnist").then(|| data_dir.to_owned()));
    Ok(DataPair {
        name: name.into(),
        train: load_part(&folders, "train")?,
        test: load_part(&folders, "t10k")?,
        scale: 255.0,
    })
}

fn load_part(folders: &[PathBuf], part: &str) -> Result<Dataset, DataError> {
    let images_path = find(folders, &format!("{part}-images-idx3-ubyte"))?;
    let labels_path = find(folders, &format!("{part}-labels-idx1-ubyte"))?;
    let images = idx::read_images(&images_path, SHAPE.height, SHAPE.width)?;
    let labels = idx::read_labels(&labels_path, CLASSES)?;
    if labels.len() != images.count {
        return Err(DataError::Damaged {
            path: labels_path,
            expected: format!(
                "{} labels, one per image of {}",
                images.count,
                images_path.display()
            ),
            found: format!("{} labels", labels.len()),
            remedy: "the two files do not belong together: fetch both again".into(),
        });
    }
    Ok(Dataset { images: images.pixels, labels, shape: SHAPE, classes: CLASSES })
}

/// The first place that holds the file, plain before packed.
fn find(folders: &[PathBuf], name: &str) -> Result<PathBuf, DataError> {
    let packed = format!("{name}.gz");
    let looked: Vec<PathBuf> =
        folders.iter().flat_map(|folder| [folder.join(name), folder.join(&packed)]).collect();
    match looked.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(DataError::Missing { file: name.to_owned(), looked }),
    }
}

#[cfg(test)]
mod tests;
