//! Why an index could not be used.

use std::path::{Path, PathBuf};

use crate::run::RunError;

/// The index could not be read or written. The runs themselves are as they were.
#[derive(thiserror::Error, Debug)]
pub enum IndexError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(
        "the index {} cannot be used; it may be deleted, `perdura runs reindex` makes it again",
        .path.display()
    )]
    Sql { path: PathBuf, source: rusqlite::Error },
    #[error("the damaged index {} cannot be moved aside: delete it", .path.display())]
    Aside { path: PathBuf, source: std::io::Error },
    #[error("--{option} `{found}`: expected {expected}")]
    Filter { option: &'static str, found: String, expected: &'static str },
}

impl IndexError {
    /// For `map_err`: what SQLite said of the index of this output folder.
    pub(super) fn of(out: &Path) -> impl FnOnce(rusqlite::Error) -> IndexError {
        let path = out.join(super::FILE);
        move |source| IndexError::Sql { path, source }
    }
}
