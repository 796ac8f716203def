//! Everything that can go wrong with the files of a run.

use std::io;
use std::path::PathBuf;

/// A file or folder of a run could not be written or read.
#[derive(thiserror::Error, Debug)]
pub enum RunError {
    /// The folder belongs to a run already; nothing was changed.
    #[error(
        "{} already holds a run: remove the folder to repeat the run, \
         or choose another one with `--out`",
        .0.display()
    )]
    Occupied(PathBuf),
    /// The folder exists and holds something that is not a run; nothing was changed.
    #[error(
        "{} is in the way: the folder for this run holds `{found}`, which is not part of a run; \
         move it away, or choose another folder with `--out`",
        .folder.display()
    )]
    Foreign { folder: PathBuf, found: String },
    /// Another process writes into the folder.
    #[error(
        "{} is being written by another process: wait until it has ended, or end it first",
        .0.display()
    )]
    Busy(PathBuf),
    #[error("{} has ended: there is nothing to take up", .0.display())]
    Ended(PathBuf),
    /// What a run continues from was made by another plan.
    #[error(
        "{} is not the plan of the checkpoints beside it: {}; put it back as it was, or make a run \
         of its own of it",
        .path.display(), .differences.join("; ")
    )]
    PlanChanged { path: PathBuf, differences: Vec<String> },
    #[error("{} is not the folder of a run: it has no plan.json", .0.display())]
    NotARun(PathBuf),
    #[error("{} holds no run: expected folders with a plan.json at or below it", .0.display())]
    NoRuns(PathBuf),
    #[error("`{0}` is no tag: expected 1 to 64 of a-z, A-Z, 0-9, `-`, `_`, `.`")]
    Tag(String),
    #[error("cannot {action} {}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged or was edited: {reason}", .path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "{} has format {found}, this build reads format {expected}: use the build that wrote it",
        .path.display()
    )]
    Format { path: PathBuf, found: u64, expected: u32 },
    #[error(
        "view name `{0}` cannot be part of a file name: expected 1 to 64 of a-z, A-Z, 0-9, \
         `-`, `_`; rename the view in the plugin"
    )]
    ViewName(String),
    #[error(
        "predictions of view `{view}` have {found} values in `{column}`, expected {expected} \
         as in `sample`"
    )]
    Ragged { view: String, column: &'static str, found: usize, expected: usize },
}

impl RunError {
    /// Whether the disk, or the user's share of it, had no room left.
    pub fn is_disk_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, RunError::Io { source, .. } if full.contains(&source.kind()))
    }

    /// For `map_err`: an input or output error with what was tried, on what.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> RunError {
        let path = path.into();
        move |source| RunError::Io { action, path, source }
    }
}
