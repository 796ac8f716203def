//! What can be wrong with a data set. Each message names the file, what was expected, what was
//! found and the way out.

use std::path::{Path, PathBuf};

use super::ImageShape;

/// A data set could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("unknown data set `{name}`; known are {}", super::NAMES.join(", "))]
    Unknown { name: String },

    #[error(
        "the data set `{name}` is read from disk and no folder is given; name the folder \
         that holds it with --data-dir or PERDURA_DATA{}",
        fetch(name)
    )]
    NoFolder { name: String },

    #[error(
        "no file {file}; looked for {}; put it there, or name another folder with --data-dir \
         or PERDURA_DATA{}",
        list(looked),
        fetch(name)
    )]
    Missing { name: String, file: String, looked: Vec<PathBuf> },

    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error("cannot write {}; decoded images are kept there", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error(
        "{}: expected an image of {expected} like the first one, found one of {found}; ask for one \
         size with the parameter `size`, as in size=84", path.display()
    )]
    OtherSize { path: PathBuf, expected: ImageShape, found: ImageShape },

    #[error("{}: expected {expected}, found {found}; {remedy}", path.display())]
    Damaged { path: PathBuf, expected: String, found: String, remedy: String },
}

impl DataError {
    /// A file whose content is not what it should be; fetching it again is the way out.
    pub(super) fn damaged(
        path: &Path,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> DataError {
        DataError::Damaged {
            path: path.to_owned(),
            expected: expected.into(),
            found: found.into(),
            remedy: "the file is damaged or not what its name says: fetch it again".into(),
        }
    }
}

/// How to get the data set, where that is known.
fn fetch(name: &str) -> String {
    match crate::fetch::SETS.iter().any(|set| set.name == name) {
        true => format!("; `perdura data fetch {name}` downloads it"),
        false => String::new(),
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}
