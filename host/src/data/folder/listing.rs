//! Which files of a folder are samples, of which class and part. Three layouts are known: `train/`
//! beside `test/` or `val/`, each with a folder per class; Tiny-ImageNet's, in which
//! `val/val_annotations.txt` names the classes of `val/images/`; and a folder per class without
//! parts, of which the last files of each class are the test part.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::FolderOptions;
use crate::data::DataError;

/// A file and what tells whether it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageFile {
    /// Below the folder.
    pub path: PathBuf,
    pub label: u32,
    pub bytes: u64,
    pub modified_ns: i128,
}

/// All samples: class by class, by name within a class.
#[derive(Debug)]
pub(super) struct Listing {
    /// Names of the classes, sorted; a label is a place in here.
    pub classes: Vec<String>,
    pub train: Vec<ImageFile>,
    pub test: Vec<ImageFile>,
}

/// Lists the samples of the classes that `options` chooses.
///
/// # Errors
/// A layout that is none of the three, a class without images in a part, or fewer classes than are
/// asked for.
pub(super) fn list(options: &FolderOptions) -> Result<Listing, DataError> {
    let root = &options.path;
    if !root.join("train").is_dir() {
        return list_unparted(options);
    }
    let annotations = root.join("val/val_annotations.txt");
    let part = |name: &str| Some(root.join(name)).filter(|path| path.is_dir());
    let train_folder = root.join("train");
    let (names, classes) = choose(&train_folder, options)?;
    let train = files_of(root, &train_folder, &classes)?;
    let test = if annotations.is_file() {
        annotated(root, &annotations, &names, &classes)?
    } else if let Some(folder) = part("test").or_else(|| part("val")) {
        let known = |name: &String| names.contains(name);
        if let Some(name) = folder_names(&folder)?.into_iter().find(|name| !known(name)) {
            let found = format!("the class folder `{name}`, which is not there");
            let expected = format!("the classes of {}", train_folder.display());
            return Err(wrong(&folder, expected, found, "remove it, or add training images"));
        }
        files_of(root, &folder, &classes)?
    } else {
        let found = "a folder `train` alone";
        return Err(wrong(root, "folders `train` and `test` or `val`", found, "add the test part"));
    };
    Ok(Listing { classes, train, test })
}

/// A folder per class, the last files of each for the test.
fn list_unparted(options: &FolderOptions) -> Result<Listing, DataError> {
    let root = &options.path;
    let Some(test_per_class) = options.test_per_class else {
        let expected = "folders `train` and `test` or `val`";
        let remedy = "name the right folder; where it holds a folder per class and no parts, say \
                      how many images of each class are for the test with `test=N`";
        return Err(wrong(root, expected, "no folder `train`", remedy));
    };
    let (_, classes) = choose(root, options)?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    let files = files_of(root, root, &classes)?;
    for of_class in files.chunk_by(|a, b| a.label == b.label) {
        let Some(kept) = of_class.len().checked_sub(test_per_class).filter(|&kept| kept > 0) else {
            let folder = root.join(&classes[of_class[0].label as usize]);
            let expected = format!("more than {test_per_class} images, of which so many are tests");
            let remedy = "choose a smaller `test=N`";
            return Err(wrong(&folder, expected, format!("{} images", of_class.len()), remedy));
        };
        train.extend_from_slice(&of_class[..kept]);
        test.extend_from_slice(&of_class[kept..]);
    }
    Ok(Listing { classes, train, test })
}

/// Names of all classes, and of those that are asked for.
fn choose(folder: &Path, options: &FolderOptions) -> Result<(Vec<String>, Vec<String>), DataError> {
    let names = folder_names(folder)?;
    let first = options.classes_skipped.min(names.len());
    let rest = names.len() - first;
    let count = options.classes_taken.unwrap_or(rest);
    if count == 0 || count > rest {
        let wanted = options.classes_taken.unwrap_or(1) + options.classes_skipped;
        let found = format!("{}", names.len());
        let remedy = "ask for fewer classes, or name the right folder";
        return Err(wrong(folder, format!("{wanted} class folders or more"), found, remedy));
    }
    let chosen = names[first..][..count].to_vec();
    Ok((names, chosen))
}

/// Names of the folders in a folder, sorted.
fn folder_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in entries(folder)? {
        if entry.is_dir() {
            names.push(name_of(&entry)?);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Images of each class, from the folder of its name and the folders in it.
fn files_of(root: &Path, part: &Path, classes: &[String]) -> Result<Vec<ImageFile>, DataError> {
    let mut files = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let folder = part.join(class);
        if !folder.is_dir() {
            let remedy =
                "every class needs training and test images: add them, or remove the class";
            let (expected, found) = (format!("a folder `{class}`"), "none");
            return Err(wrong(part, expected, found, remedy));
        }
        let before = files.len();
        let mut folders = vec![folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in entries(&folder)? {
                match is_image(&entry) {
                    true => files.push(image_file(root, &entry, label as u32)?),
                    false if entry.is_dir() => folders.push(entry),
                    false => {}
                }
            }
        }
        if files.len() == before {
            let remedy = "add images, or remove the folder";
            let expected = "one or more files that end in .png, .jpg or .jpeg";
            return Err(wrong(&folder, expected, "none", remedy));
        }
        files[before..].sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(files)
}

/// Images of `val/images`, with their classes from the annotations: `file <tab> class <tab> box`.
fn annotated(
    root: &Path,
    annotations: &Path,
    names: &[String],
    classes: &[String],
) -> Result<Vec<ImageFile>, DataError> {
    let text = std::fs::read_to_string(annotations)
        .map_err(|source| DataError::Unreadable { path: annotations.to_owned(), source })?;
    let images = annotations.with_file_name("images");
    let remedy = "fetch the data set again";
    let mut files = Vec::new();
    for (row, line) in text.lines().enumerate() {
        let mut cells = line.split('\t');
        let (Some(file), Some(class)) = (cells.next(), cells.next()) else {
            let expected =
                format!("a file and a class with a tab between them in line {}", row + 1);
            return Err(wrong(annotations, expected, format!("`{line}`"), remedy));
        };
        if !names.iter().any(|name| name == class) {
            let expected = format!("a class of the training part in line {}", row + 1);
            return Err(wrong(annotations, expected, format!("`{class}`"), remedy));
        }
        if let Ok(label) = classes.binary_search_by(|name| name.as_str().cmp(class)) {
            files.push(image_file(root, &images.join(file), label as u32)?);
        }
    }
    files.sort_by(|a, b| (a.label, &a.path).cmp(&(b.label, &b.path)));
    let has_images = |label: usize| files.iter().any(|file| file.label as usize == label);
    match (0..classes.len()).find(|&label| !has_images(label)) {
        None => Ok(files),
        Some(label) => {
            let expected = format!("images of the class `{}`", classes[label]);
            Err(wrong(annotations, expected, "none", remedy))
        }
    }
}

fn image_file(root: &Path, path: &Path, label: u32) -> Result<ImageFile, DataError> {
    let unreadable = |source| DataError::Unreadable { path: path.to_owned(), source };
    let about: Metadata = std::fs::metadata(path).map_err(unreadable)?;
    let below = path.strip_prefix(root).expect("it was found below the folder");
    let modified_ns = i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec());
    Ok(ImageFile { path: below.to_owned(), label, bytes: about.len(), modified_ns })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |source| DataError::Unreadable { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect()
}

fn name_of(path: &Path) -> Result<String, DataError> {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(wrong(path, "a name in UTF-8", "another", "rename the folder")),
    }
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["png", "jpg", "jpeg"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

fn wrong(
    path: &Path,
    expected: impl Into<String>,
    found: impl Into<String>,
    remedy: &str,
) -> DataError {
    let (expected, found, remedy) = (expected.into(), found.into(), remedy.to_owned());
    DataError::Damaged { path: path.to_owned(), expected, found, remedy }
}
