//! What can go wrong with a download.

use std::path::{Path, PathBuf};

/// A data set could not be fetched. What was good before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("unknown data set `{name}`{hint}; `perdura data fetch` knows {known}")]
    Unknown { name: String, hint: String, known: String },

    #[error(
        "no mirror gave a good {file}:\n{}\nwhat was received is kept and continued by the next \
         try; another mirror can be named with --mirror", problems.join("\n")
    )]
    NoMirror { file: String, problems: Vec<String> },

    #[error("another `perdura data fetch` is writing {}; wait for it", path.display())]
    Busy { path: PathBuf },

    #[error("{}: {problem}; {remedy}", path.display())]
    Archive { path: PathBuf, problem: String, remedy: &'static str },

    #[error(
        "{} is there already and is not good ({problem}); move it away, then fetch again",
        path.display()
    )]
    InTheWay { path: PathBuf, problem: String },

    #[error("{}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl FetchError {
    /// For `map_err` on what is done with the file at `path`.
    pub(super) fn at(path: &Path) -> impl Fn(std::io::Error) -> FetchError {
        let path = path.to_owned();
        move |source| FetchError::File { path: path.clone(), source }
    }
}
