//! Memory that host and worker share: one sealed memfd per direction, mapped as far as it is used.
//!
//! The file has one size for life, larger than any message; a page costs memory once it is written.
//! So growing is a matter of each side's mapping alone, and a peer cannot shrink the file under us,
//! which would be a SIGBUS.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// Size of an area, and with it the largest message.
pub const AREA_BYTES: u64 = 16 << 30;

/// The smallest mapping: enough for the steps of small models without ever growing.
const MAP_BYTES_MIN: usize = 1 << 20;

/// Whether this side fills an area or reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Writer,
    Reader,
}

/// One direction of shared memory, seen from one side.
pub struct Area {
    file: OwnedFd,
    role: Role,
    size_bytes: usize,
    map: Option<Mapping>,
}

impl Area {
    /// A new area, sealed against any change of its size.
    pub fn create(name: &str, role: Role) -> io::Result<Area> {
        let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        // A shell's `ulimit -f` would end the host with SIGXFSZ here.
        let limit_bytes = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        ftruncate(&file, AREA_BYTES.min(limit_bytes))?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Area::open(file, role)
    }

    /// The other side's area.
    pub fn open(file: OwnedFd, role: Role) -> io::Result<Area> {
        let size_bytes = fstat(&file)?.st_size as usize;
        Ok(Area { file, role, size_bytes, map: None })
    }

    /// A second, independent mapping of the same memory.
    pub fn again(&self) -> io::Result<Area> {
        Area::open(self.file.try_clone()?, self.role)
    }

    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Copies `bytes` to `offset`.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        assert!(self.role == Role::Writer, "only the writer of an area writes");
        let map = self.reach(offset, bytes.len())?;
        // SAFETY: `reach` mapped the range, writable for a writer. `bytes` lies elsewhere: this process
        // never lends slices of a mapping it writes.
        unsafe {
            let target = map.start.as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
        Ok(())
    }

    /// The bytes of a message the other side has announced.
    pub fn read(&mut self, offset: usize, len: usize) -> io::Result<&[u8]> {
        assert!(self.role == Role::Reader, "only the reader of an area reads");
        if len == 0 {
            return Ok(&[]);
        }
        let map = self.reach(offset, len)?;
        // SAFETY: `reach` mapped the range, and the mapping stays until `self` is used again. The writer
        // leaves an announced message alone until it is answered. A worker that breaks this rule changes
        // numbers under the host's copy, no more: any bytes are valid numbers, and all lengths came
        // through the socket.
        Ok(unsafe { std::slice::from_raw_parts(map.start.as_ptr().add(offset), len) })
    }

    /// Maps at least the bytes up to `offset + len`.
    fn reach(&mut self, offset: usize, len: usize) -> io::Result<&Mapping> {
        let end = offset.checked_add(len).filter(|&end| end <= self.size_bytes);
        let Some(end) = end else {
            let size = self.size_bytes;
            let text = format!("{len} bytes at {offset} exceed the shared memory of {size} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        match &self.map {
            Some(map) if map.len >= end => {}
            _ => {
                let len = end.max(MAP_BYTES_MIN).next_power_of_two().min(self.size_bytes);
                // The old mapping goes first: two at once could exceed a limit on address space.
                self.map = None;
                self.map = Some(Mapping::new(&self.file, len, self.role)?);
            }
        }
        Ok(self.map.as_ref().expect("mapped above"))
    }
}

struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and has one owner here.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(file: &OwnedFd, len: usize, role: Role) -> io::Result<Mapping> {
        let access = match role {
            Role::Writer => ProtFlags::READ | ProtFlags::WRITE,
            // A plugin that writes into its inputs faults instead of changing them.
            Role::Reader => ProtFlags::READ,
        };
        // SAFETY: the kernel chooses the place, so no existing memory is replaced.
        let start = unsafe { mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what `new` mapped, and slices of it borrow the owning area.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Area, Area) {
        let writer = Area::create("perdura-test", Role::Writer).unwrap();
        let file = writer.file().try_clone_to_owned().unwrap();
        (writer, Area::open(file, Role::Reader).unwrap())
    }

    #[test]
    fn grows_to_64_mib_and_keeps_what_was_written() {
        let (mut writer, mut reader) = pair();
        writer.write(0, b"first").unwrap();
        assert_eq!(reader.read(0, 5).unwrap(), b"first");
        let large = vec![7u8; 64 << 20];
        writer.write(4096, &large).unwrap();
        assert!(reader.read(4096, large.len()).unwrap() == large);
        assert_eq!(reader.read(0, 5).unwrap(), b"first");
        assert_eq!(reader.read(0, 1).unwrap().as_ptr() as usize % 64, 0);
    }

    #[test]
    fn refuses_what_lies_outside() {
        let (mut writer, mut reader) = pair();
        let size = writer.size_bytes();
        assert!(writer.write(size, &[1]).is_err());
        assert!(reader.read(usize::MAX, 2).is_err());
        let text = reader.read(size - 1, 2).unwrap_err().to_string();
        assert!(text.contains("exceed the shared memory"), "{text}");
    }

    #[test]
    fn the_size_is_sealed() {
        let (writer, _) = pair();
        assert!(ftruncate(writer.file(), 0).is_err());
        assert!(ftruncate(writer.file(), AREA_BYTES * 2).is_err());
    }
}
