//! Pixels of many images, one after another: in memory, or a stretch of a mapped file. Readers see
//! bytes and need not know which.

use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::Mmap;

/// Bytes of images. A copy of mapped ones is free.
#[derive(Clone, Debug)]
pub struct Images(Storage);

#[derive(Clone, Debug)]
enum Storage {
    Owned(Vec<u8>),
    Mapped { map: Arc<Mmap>, range: Range<usize> },
}

impl Images {
    /// A stretch of a mapped file.
    ///
    /// # Panics
    /// When the stretch is not within the file.
    pub(super) fn mapped(map: Arc<Mmap>, range: Range<usize>) -> Images {
        assert!(range.start <= range.end && range.end <= map.len(), "{range:?} of {}", map.len());
        Images(Storage::Mapped { map, range })
    }
}

impl Deref for Images {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Storage::Owned(bytes) => bytes,
            Storage::Mapped { map, range } => &map[range.clone()],
        }
    }
}

impl From<Vec<u8>> for Images {
    fn from(bytes: Vec<u8>) -> Images {
        Images(Storage::Owned(bytes))
    }
}

impl FromIterator<u8> for Images {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Images {
        Vec::from_iter(bytes).into()
    }
}
