//! Files of pixels that this program has written once and maps afterwards: runs at the same time share
//! their memory, and a start reads what it uses.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file of a cache: one that was moved to its place when it was complete, and that no code opens for
/// writing afterwards. Others must not be mapped by this.
pub(super) fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: nobody changes the bytes while they are mapped: the file is in a folder of the user's
    // cache, it is moved there when it is complete, and no code opens it for writing afterwards.
    unsafe { Mmap::map(&file) }
}
