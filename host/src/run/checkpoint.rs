//! One checkpoint as a file: written in pieces, so that a large state is never held twice, and believed only
//! if its checksum fits.
//!
//! | bytes | what |
//! |---|---|
//! | one line | `perdura-checkpoint` and [`FORMAT`] |
//! | 8 | length of the head, little-endian |
//! | so many | the head: JSON with the content, and names and lengths of the sections |
//! | by the head | the sections, one after another |
//! | all further | the learner's saved state |
//! | 32 | SHA-256 of everything before |

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

use super::{RunError, files};

/// Changes when what is in a checkpoint does.
pub const FORMAT: u32 = 2;

const MAGIC: &str = "perdura-checkpoint";
const CHECKSUM_BYTES: u64 = 32;
/// A first line longer than this is not one of ours.
const LINE_BYTES_MAX: u64 = 64;
/// A damaged length must not become a request for all the memory there is.
const HEAD_BYTES_MAX: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Head<T> {
    sections: Vec<(String, u64)>,
    content: T,
}

/// A checkpoint that is being written. It has no name before [`finish`](CheckpointWriter::finish).
pub struct CheckpointWriter {
    path: PathBuf,
    file: NamedTempFile,
    hash: Sha256,
    bytes: u64,
    error: Option<io::Error>,
}

impl CheckpointWriter {
    /// Writes everything but the learner's state.
    pub(super) fn begin(
        path: &Path,
        content: &impl Serialize,
        sections: &[(String, &[u8])],
    ) -> Result<CheckpointWriter, RunError> {
        let file = files::create_for(path)?;
        let hash = Sha256::new();
        let mut writer =
            CheckpointWriter { path: path.to_owned(), file, hash, bytes: 0, error: None };
        let lengths = sections.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64));
        let head = Head { sections: lengths.collect(), content };
        let head = serde_json::to_vec(&head).expect("string keys serialise");
        writer.put(format!("{MAGIC} {FORMAT}\n").as_bytes());
        writer.put(&(head.len() as u64).to_le_bytes());
        writer.put(&head);
        sections.iter().for_each(|(_, bytes)| writer.put(bytes));
        Ok(writer)
    }

    /// Appends a piece of the learner's state. What goes wrong is told at the end: a learner that is saving
    /// is not to blame for a full disk.
    pub fn put(&mut self, piece: &[u8]) {
        if self.error.is_some() {
            return;
        }
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        self.error = self.file.write_all(piece).err();
    }

    /// The file that is written to, for a test that wants another one there.
    #[cfg(test)]
    pub(super) fn file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file its name. Returns its size in bytes.
    pub fn finish(mut self) -> Result<u64, RunError> {
        let checksum = std::mem::take(&mut self.hash).finalize();
        self.put(&checksum);
        if let Some(error) = self.error {
            return Err(RunError::io("write", self.path)(error));
        }
        files::put(self.file, &self.path)?;
        Ok(self.bytes)
    }
}

/// A checkpoint whose checksum fits.
pub struct Checkpoint<T> {
    pub content: T,
    /// By name.
    pub sections: BTreeMap<String, Vec<u8>>,
    file: File,
    state_bytes: u64,
}

impl<T> Checkpoint<T> {
    /// The learner's saved state.
    pub fn state(&mut self) -> impl Read + '_ {
        BufReader::new(&mut self.file).take(self.state_bytes)
    }
}

/// Reads a checkpoint, all but the learner's state.
///
/// # Errors
/// [`RunError::Format`] for one of another format, [`RunError::Damaged`] for one that is not as it was written.
pub(super) fn open<T: DeserializeOwned>(path: &Path) -> Result<Checkpoint<T>, RunError> {
    let io = |error| RunError::io("read", path)(error);
    let damaged = |reason: String| RunError::Damaged { path: path.to_owned(), reason };
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(io)?;
    let format = std::str::from_utf8(&line).ok().and_then(|l| l.trim_end().strip_prefix(MAGIC));
    let format = format.and_then(|number| number.trim_start().parse::<u64>().ok());
    match format {
        Some(found) if found != u64::from(FORMAT) => {
            return Err(RunError::Format { path: path.to_owned(), found, expected: FORMAT });
        }
        Some(_) => {}
        None => return Err(damaged("it does not begin as a checkpoint does".into())),
    }
    let begin = line.len() as u64;
    if !checksum_fits(&mut reader, len).map_err(io)? {
        return Err(damaged("its checksum does not fit".into()));
    }
    reader.seek(SeekFrom::Start(begin)).map_err(io)?;
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > HEAD_BYTES_MAX.min(len) {
        return Err(damaged(format!("its head has {length} bytes")));
    }
    let mut head = vec![0; length as usize];
    reader.read_exact(&mut head).map_err(io)?;
    let head: Head<T> = serde_json::from_slice(&head).map_err(|e| damaged(e.to_string()))?;
    let before = begin + 8 + length;
    let listed = head.sections.iter().try_fold(before, |sum, (_, bytes)| sum.checked_add(*bytes));
    let rest = len.checked_sub(CHECKSUM_BYTES).zip(listed).and_then(|(a, b)| a.checked_sub(b));
    let state_bytes = rest.ok_or_else(|| damaged("its sections are longer than it".into()))?;
    let mut sections = BTreeMap::new();
    for (name, bytes) in head.sections {
        let mut section = vec![0; bytes as usize];
        reader.read_exact(&mut section).map_err(io)?;
        sections.insert(name, section);
    }
    let at = reader.stream_position().map_err(io)?;
    let mut file = reader.into_inner();
    file.seek(SeekFrom::Start(at)).map_err(io)?;
    Ok(Checkpoint { content: head.content, sections, file, state_bytes })
}

fn checksum_fits(reader: &mut BufReader<File>, len: u64) -> io::Result<bool> {
    let Some(body) = len.checked_sub(CHECKSUM_BYTES) else { return Ok(false) };
    reader.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let (mut left, mut piece) = (body, vec![0; 1 << 20]);
    while left > 0 {
        let most = (piece.len() as u64).min(left) as usize;
        let read = reader.read(&mut piece[..most])?;
        if read == 0 {
            return Ok(false);
        }
        hash.update(&piece[..read]);
        left -= read as u64;
    }
    let mut stored = [0; CHECKSUM_BYTES as usize];
    reader.read_exact(&mut stored)?;
    Ok(hash.finalize()[..] == stored)
}
