//! MNIST in its published files: four IDX files, plain or `.gz`, in `<data_dir>/mnist` or
//! `<data_dir>`.

use std::path::{Path, PathBuf};

use super::{DataError, DataPair, Dataset, ImageShape, idx};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 28, width: 28 };
const CLASSES: usize = 10;

/// Reads both parts.
pub(super) fn load(data_dir: &Path) -> Result<DataPair, DataError> {
    Ok(DataPair {
        name: "mnist".into(),
        train: load_part(data_dir, "train")?,
        test: load_part(data_dir, "t10k")?,
        scale: 255.0,
    })
}

fn load_part(data_dir: &Path, part: &str) -> Result<Dataset, DataError> {
    let images_path = find(data_dir, &format!("{part}-images-idx3-ubyte"))?;
    let labels_path = find(data_dir, &format!("{part}-labels-idx1-ubyte"))?;
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
fn find(data_dir: &Path, name: &str) -> Result<PathBuf, DataError> {
    let packed = format!("{name}.gz");
    let folders = [data_dir.join("mnist"), data_dir.to_owned()];
    let looked: Vec<PathBuf> =
        folders.iter().flat_map(|folder| [folder.join(name), folder.join(&packed)]).collect();
    match looked.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(DataError::Missing { file: name.to_owned(), looked }),
    }
}

#[cfg(test)]
mod tests;
