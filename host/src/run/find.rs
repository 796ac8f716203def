//! Where runs lie below a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::RunError;
use super::folder::PLAN;

/// Folders nested deeper than this are not searched: run folders lie four levels below the output
/// folder.
const DEPTH_MAX: usize = 8;

/// Folders of runs at and below `path`, in order of their names. Nothing is searched below the
/// folder of a run, and links are not followed.
///
/// # Errors
/// A folder that cannot be read.
pub fn find(path: &Path) -> Result<Vec<PathBuf>, RunError> {
    let mut found = Vec::new();
    search(path, DEPTH_MAX, &mut found)?;
    Ok(found)
}

/// Refuses a folder that is not there or cannot be read.
pub fn readable(path: &Path) -> Result<(), RunError> {
    fs::read_dir(path).map(drop).map_err(RunError::io("read", path))
}

fn search(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), RunError> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(RunError::io("read", path))? {
        let entry = entry.map_err(RunError::io("read", path))?;
        if entry.file_name() == PLAN {
            found.push(path.to_owned());
            return Ok(());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(entry.path());
        }
    }
    folders.sort();
    match depth {
        0 => Ok(()),
        depth => folders.iter().try_for_each(|folder| search(folder, depth - 1, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunFolder;
    use super::super::tests::plan;
    use super::*;

    #[test]
    fn runs_are_found_in_order_and_not_within_each_other() {
        let out = tempfile::tempdir().unwrap();
        let create = |seed| RunFolder::create(out.path(), &plan("perdura/er", seed)).unwrap();
        let (second, first) = (create(1), create(0));
        fs::create_dir_all(first.path().join("inner")).unwrap();
        fs::copy(first.path().join(PLAN), first.path().join("inner").join(PLAN)).unwrap();
        fs::write(out.path().join("notes.txt"), "").unwrap();
        let paths = [first.path().to_owned(), second.path().to_owned()];
        assert_eq!(find(out.path()).unwrap(), paths);
        assert_eq!(find(first.path()).unwrap(), paths[..1]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = find(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert_eq!(error, "cannot read /nowhere/at/all");
    }
}
