//! Whole files, written so that a reader sees the old content or the new one, never a part.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::RunError;

/// Files whose name starts like this are being written, or were when the machine stopped.
pub const TEMPORARY: &str = ".writing-";

/// Puts the bytes into `path`, replacing what was there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    put(temporary(path, bytes)?, path)
}

/// The same without waiting for the disk: readers see the old content or the new one, but when the
/// machine itself stops a part may be lost.
pub fn write_soon(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let mut file = create_for(path)?;
    file.write_all(bytes).map_err(RunError::io("write", path))?;
    file.persist(path).map(drop).map_err(|error| RunError::io("write", path)(error.error))
}

/// Gives a file of [`create_for`] its name, once all of it is on the disk.
pub fn put(file: NamedTempFile, path: &Path) -> Result<(), RunError> {
    file.as_file().sync_all().map_err(RunError::io("write", path))?;
    file.persist(path).map_err(|error| RunError::io("write", path)(error.error))?;
    sync_folder(path)
}

/// Puts the bytes into `path`; false, and nothing changed, if it exists.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, RunError> {
    let file = temporary(path, bytes)?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(path).map(|()| true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(RunError::io("write", path)(error.error)),
    }
}

pub fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    fs::read(path).map_err(RunError::io("read", path))
}

/// Pretty-printed JSON and a newline.
pub fn json_text(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("string keys serialise");
    text + "\n"
}

/// Reads a JSON file whose `format` must be `expected`. The format is looked at first, so that a
/// file of another version is named as such and not as damaged.
pub fn read_json<T: DeserializeOwned>(path: &Path, expected: u32) -> Result<T, RunError> {
    let bytes = read(path)?;
    let damaged = |error: serde_json::Error| RunError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(expected) => {
            Err(RunError::Format { path: path.to_owned(), found, expected })
        }
        _ => serde_json::from_slice(&bytes).map_err(damaged),
    }
}

/// A file beside `path` that goes away unless it is [`put`] there.
pub fn create_for(path: &Path) -> Result<NamedTempFile, RunError> {
    let folder = folder_of(path);
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        // Readable like any other file: the user's umask decides.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(RunError::io("write into", folder))
}

fn temporary(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, RunError> {
    let mut file = create_for(path)?;
    file.write_all(bytes).map_err(RunError::io("write", path))?;
    file.as_file().sync_all().map_err(RunError::io("write", path))?;
    Ok(file)
}

/// The new name itself must reach the disk, too.
fn sync_folder(path: &Path) -> Result<(), RunError> {
    let folder = folder_of(path);
    File::open(folder).and_then(|file| file.sync_all()).map_err(RunError::io("sync", folder))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap(), b"two");
        write_soon(&path, b"three").unwrap();
        assert_eq!(read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_file_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert!(write_new(&path, b"one").unwrap());
        assert!(!write_new(&path, b"two").unwrap());
        assert_eq!(read(&path).unwrap(), b"one");
    }

    #[test]
    fn errors_name_the_file() {
        let error = write(Path::new("/nowhere/at/all.json"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot write into /nowhere/at");
        let error = read(Path::new("/nowhere/at/all.json")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/at/all.json");
    }
}
