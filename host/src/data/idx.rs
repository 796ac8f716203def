//! The IDX format: a big-endian header (magic number, then one length per axis) and bytes. Plain or
//! gzip, told apart by the content. Only the two kinds MNIST uses are read: u8 vectors and stacks
//! of u8 images.
//! Source: <http://yann.lecun.com/exdb/mnist/>.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::DataError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const LABELS_MAGIC: u32 = 0x0801;
const IMAGES_MAGIC: u32 = 0x0803;

/// Reads the pixels of a file of images that must be `height` x `width`.
pub(super) fn read_images(path: &Path, height: usize, width: usize) -> Result<Vec<u8>, DataError> {
    let mut file = IdxFile::open(path)?;
    file.expect_magic(IMAGES_MAGIC, "images")?;
    let count = file.read_length()?;
    let size = (file.read_length()?, file.read_length()?);
    if size != (height, width) {
        let found = format!("images of {} x {}", size.0, size.1);
        return Err(file.damaged(format!("images of {height} x {width} pixels"), found));
    }
    file.read_items(count, height * width, "images")
}

/// Reads a file of labels that must all lie below `classes`.
pub(super) fn read_labels(path: &Path, classes: usize) -> Result<Vec<u32>, DataError> {
    let mut file = IdxFile::open(path)?;
    file.expect_magic(LABELS_MAGIC, "labels")?;
    let count = file.read_length()?;
    let labels = file.read_items(count, 1, "labels")?;
    if let Some(row) = labels.iter().position(|&label| usize::from(label) >= classes) {
        let found = format!("label {} at position {row}", labels[row]);
        return Err(file.damaged(format!("labels from 0 to {}", classes - 1), found));
    }
    Ok(labels.into_iter().map(u32::from).collect())
}

struct IdxFile<'a> {
    path: &'a Path,
    bytes: Box<dyn Read>,
    gzip: bool,
}

impl<'a> IdxFile<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let unreadable = |source| DataError::Unreadable { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let gzip = file.fill_buf().map_err(unreadable)?.starts_with(&GZIP_MAGIC);
        let bytes: Box<dyn Read> =
            if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(IdxFile { path, bytes, gzip })
    }

    fn expect_magic(&mut self, magic: u32, kind: &str) -> Result<(), DataError> {
        let found = self.read_u32()?;
        if found != magic {
            let expected = format!("magic number {magic:#010x} of an IDX file of {kind}");
            return Err(self.damaged(expected, format!("{found:#010x}")));
        }
        Ok(())
    }

    fn read_length(&mut self) -> Result<usize, DataError> {
        Ok(self.read_u32()? as usize)
    }

    fn read_u32(&mut self) -> Result<u32, DataError> {
        let bytes = self.read_at_most(4)?;
        match bytes[..].try_into() {
            Ok(bytes) => Ok(u32::from_be_bytes(bytes)),
            Err(_) => Err(self.damaged("an IDX header", "the end of the file within it")),
        }
    }

    /// The body. Asks for one byte more than it should hold: that notices bytes left over, and
    /// makes the gzip reader check the sum at the end.
    fn read_items(&mut self, count: usize, size: usize, kind: &str) -> Result<Vec<u8>, DataError> {
        if count == 0 {
            return Err(self.damaged(format!("at least one of its {kind}"), "a count of 0"));
        }
        let length = count as u64 * size as u64;
        let body = self.read_at_most(length.saturating_add(1))?;
        let expected = || format!("{length} bytes for the {count} {kind} its header announces");
        match body.len() as u64 {
            found if found < length => Err(self.damaged(expected(), format!("{found} bytes"))),
            found if found > length => Err(self.damaged(expected(), "more bytes after them")),
            _ => Ok(body),
        }
    }

    /// Memory grows with what the file holds, not with what its header claims.
    fn read_at_most(&mut self, length: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        match (&mut self.bytes).take(length).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if self.gzip && is_damage(error.kind()) => {
                Err(self.damaged("a whole gzip stream", format!("damage in it ({error})")))
            }
            Err(source) => Err(DataError::Unreadable { path: self.path.to_owned(), source }),
        }
    }

    fn damaged(&self, expected: impl Into<String>, found: impl Into<String>) -> DataError {
        DataError::damaged(self.path, expected, found)
    }
}

/// Kinds of error by which the decoder says that the stream itself is wrong.
fn is_damage(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}
