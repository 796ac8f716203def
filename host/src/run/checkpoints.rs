//! The checkpoints of a run: `checkpoints/000017.checkpoint` and the one before it. A damaged one is put
//! aside, said aloud, and the one before it is taken.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, CheckpointWriter, open};
use super::{RunError, files};

/// How many are kept.
const KEPT: usize = 2;

/// The folder they lie in.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// Number of the next one.
    next: u64,
}

impl Checkpoints {
    /// Those below the folder of a run; there may be none.
    pub(super) fn below(run: &Path) -> Result<Checkpoints, RunError> {
        let mut checkpoints = Checkpoints { folder: run.join("checkpoints"), next: 1 };
        checkpoints.next = checkpoints.numbers()?.first().map_or(1, |newest| newest + 1);
        Ok(checkpoints)
    }

    pub fn is_empty(&self) -> Result<bool, RunError> {
        Ok(self.numbers()?.is_empty())
    }

    /// The newest that is as it was written. What is wrong with newer ones goes to `remark`.
    ///
    /// # Errors
    /// One of another format: it is named, not passed over. A file that cannot be read.
    pub fn newest<T: DeserializeOwned>(
        &self,
        remark: &mut dyn FnMut(String),
    ) -> Result<Option<Checkpoint<T>>, RunError> {
        for number in self.numbers()? {
            let path = self.path(number);
            match open(&path) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error @ RunError::Damaged { .. }) => {
                    remark(format!("{error}; the one before it is taken"));
                    let aside = path.with_extension("damaged");
                    fs::rename(&path, &aside).map_err(RunError::io("rename", &path))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Begins the next one; its name is free until it is finished.
    pub fn begin(
        &mut self,
        content: &impl Serialize,
        sections: &[(String, &[u8])],
    ) -> Result<CheckpointWriter, RunError> {
        fs::create_dir_all(&self.folder).map_err(RunError::io("create", &self.folder))?;
        let writer = CheckpointWriter::begin(&self.path(self.next), content, sections)?;
        self.next += 1;
        Ok(writer)
    }

    /// Removes all but the newest two, and what a killed process left half written.
    pub fn prune(&self) -> Result<(), RunError> {
        for number in self.numbers()?.into_iter().skip(KEPT) {
            let path = self.path(number);
            fs::remove_file(&path).map_err(RunError::io("remove", &path))?;
        }
        for path in self.entries()?.into_iter().filter(|path| is_temporary(path)) {
            fs::remove_file(&path).map_err(RunError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Removes all of them: a run that is finished needs none.
    pub fn remove(&self) -> Result<(), RunError> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(RunError::io("remove", &self.folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Newest first.
    fn numbers(&self) -> Result<Vec<u64>, RunError> {
        let number = |path: PathBuf| {
            let known = path.extension().is_some_and(|e| e == "checkpoint");
            path.file_stem()?.to_str()?.parse::<u64>().ok().filter(|_| known)
        };
        let mut numbers: Vec<u64> = self.entries()?.into_iter().filter_map(number).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    fn entries(&self) -> Result<Vec<PathBuf>, RunError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RunError::io("read", &self.folder)(error)),
        };
        let path = |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.path());
        entries.map(path).collect::<Result<_, _>>().map_err(RunError::io("read", &self.folder))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:06}.checkpoint"))
    }
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(files::TEMPORARY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// A checkpoint with this number as content, a section and a state of two pieces.
    fn write(checkpoints: &mut Checkpoints, content: u64) -> u64 {
        let sections = [("labels".to_owned(), &[1u8, 2, 3][..]), ("none".to_owned(), &[][..])];
        let mut writer = checkpoints.begin(&content, &sections).unwrap();
        writer.put(b"sta");
        writer.put(b"te");
        let bytes = writer.finish().unwrap();
        checkpoints.prune().unwrap();
        bytes
    }

    fn newest(checkpoints: &Checkpoints) -> (Option<u64>, Vec<String>) {
        let mut said = Vec::new();
        let found = checkpoints.newest::<u64>(&mut |remark| said.push(remark)).unwrap();
        (found.map(|checkpoint| checkpoint.content), said)
    }

    #[test]
    fn what_is_written_comes_back_and_two_are_kept() {
        let run = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::below(run.path()).unwrap();
        assert!(checkpoints.is_empty().unwrap());
        assert_eq!(newest(&checkpoints), (None, vec![]));
        let bytes = write(&mut checkpoints, 7);
        let size = fs::metadata(run.path().join("checkpoints/000001.checkpoint")).unwrap().len();
        assert_eq!(bytes, size);
        for content in 8..12 {
            write(&mut checkpoints, content);
        }
        assert_eq!(checkpoints.numbers().unwrap(), [5, 4]);

        let again = Checkpoints::below(run.path()).unwrap();
        assert_eq!(again.next, 6);
        let mut found = again.newest::<u64>(&mut |_| panic!("nothing is wrong")).unwrap().unwrap();
        assert_eq!((found.content, found.sections["labels"].as_slice()), (11, &[1, 2, 3][..]));
        assert!(found.sections["none"].is_empty());
        let mut state = String::new();
        found.state().read_to_string(&mut state).unwrap();
        assert_eq!(state, "state");
        again.remove().unwrap();
        again.remove().unwrap();
        assert!(again.is_empty().unwrap());
    }

    #[test]
    fn any_damage_is_noticed_and_the_one_before_is_taken() {
        let run = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::below(run.path()).unwrap();
        write(&mut checkpoints, 1);
        write(&mut checkpoints, 2);
        let path = run.path().join("checkpoints/000002.checkpoint");
        let good = fs::read(&path).unwrap();
        let mut damages: Vec<Vec<u8>> = (0..good.len()).map(|cut| good[..cut].to_vec()).collect();
        for byte in 0..good.len() {
            let mut flipped = good.clone();
            flipped[byte] ^= 1;
            // The number of the format stands in the first line: another one is another format.
            if byte != "perdura-checkpoint ".len() {
                damages.push(flipped);
            }
        }
        damages.push([&good[..], b"x"].concat());
        for damaged in damages {
            fs::write(&path, damaged).unwrap();
            let (content, said) = newest(&checkpoints);
            assert_eq!(content, Some(1));
            assert_eq!(said.len(), 1);
            assert!(said[0].contains("000002.checkpoint is damaged or was edited: "), "{said:?}");
            assert!(said[0].ends_with("; the one before it is taken"), "{said:?}");
            assert!(path.with_extension("damaged").exists() && !path.exists());
        }
        fs::write(run.path().join("checkpoints/000001.checkpoint"), "").unwrap();
        assert_eq!(newest(&checkpoints).0, None);
    }

    #[test]
    fn another_format_is_refused_by_name() {
        let run = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::below(run.path()).unwrap();
        write(&mut checkpoints, 1);
        let path = run.path().join("checkpoints/000001.checkpoint");
        let text = fs::read(&path).unwrap();
        let old = [b"perdura-checkpoint 0\n", &text["perdura-checkpoint 2\n".len()..]].concat();
        fs::write(&path, old).unwrap();
        let error = checkpoints.newest::<u64>(&mut |_| {}).err().unwrap().to_string();
        assert!(error.contains("000001.checkpoint has format 0, this build reads format 2"));
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let run = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::below(run.path()).unwrap();
        write(&mut checkpoints, 1);
        let left = run.path().join("checkpoints/.writing-x");
        fs::write(&left, "half").unwrap();
        write(&mut checkpoints, 2);
        assert!(!left.exists());
    }

    /// `/dev/full` takes nothing, as a full disk does.
    #[test]
    fn a_full_disk_leaves_the_ones_before_as_they_are() {
        let run = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::below(run.path()).unwrap();
        write(&mut checkpoints, 1);
        let mut writer = checkpoints.begin(&2u64, &[]).unwrap();
        *writer.file_mut() = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        writer.put(b"state");
        let error = writer.finish().unwrap_err();
        assert!(error.to_string().contains("cannot write"), "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("No space left on device"), "{source}");
        assert_eq!(newest(&checkpoints), (Some(1), vec![]));
        assert_eq!(fs::read_dir(run.path().join("checkpoints")).unwrap().count(), 1);
    }
}
