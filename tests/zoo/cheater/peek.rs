//! The ways to peek. Each returns nothing where it is kept from looking.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use super::answers::Answers;

/// What `predict` prints so that the log grows.
pub const SIGN: &str =
    "Something was predicted here. It is long enough to be told from other lines of a log.";
const VARIABLE: &std::ffi::CStr = c"ZOO_CHEATER_WAS_HERE";

/// The answers, where this way leads to them.
pub fn answers(how: &str, with: &str) -> Option<Answers> {
    let host = std::os::unix::process::parent_id();
    match how {
        "own-memory" => memory_of(std::process::id()).or_else(own_segments),
        "file" => Answers::in_bytes(&std::fs::read(with).ok()?),
        "own-program" => Answers::in_bytes(&std::fs::read("/proc/self/exe").ok()?),
        "memory-of-host" => memory_of(host),
        "trace-host" => traced(host),
        "network" => {
            let mut bytes = Vec::new();
            std::net::TcpStream::connect(with).ok()?.read_to_end(&mut bytes).ok()?;
            Answers::in_bytes(&bytes)
        }
        "other-program" => {
            let output = std::process::Command::new("cat").arg(with).output().ok()?;
            Answers::in_bytes(&output.stdout)
        }
        _ => None,
    }
}

/// Leaves something that the instance in training could find.
pub fn leave_a_sign(how: &str, with: &str) {
    match how {
        "remember-variable" => {
            // SAFETY: there is none: other threads may read the environment. It is a cheater.
            unsafe { libc::setenv(VARIABLE.as_ptr(), c"1".as_ptr(), 1) };
        }
        "remember-file" => drop(File::create(with)),
        "remember-log" => {
            println!("{SIGN}");
            let _ = std::io::stdout().flush();
        }
        _ => {}
    }
}

/// Whether another instance in this process has left its sign.
pub fn variable() -> bool {
    // SAFETY: as above; the answer is not read, only compared with null.
    unsafe { !libc::getenv(VARIABLE.as_ptr()).is_null() }
}

/// How much was printed by all that share this log.
pub fn log_bytes() -> u64 {
    // SAFETY: the structure is plain numbers, which zeros are, and the system fills it.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstat(1, &mut status) == 0 { status.st_size as u64 } else { 0 }
    }
}

/// Readable stretches of a process: start and end.
fn stretches(process: u32) -> Option<Vec<(u64, u64)>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let stretch = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        rest.starts_with('r').then_some((number(start)?, number(end)?))
    };
    const LARGE: u64 = 1 << 28;
    Some(maps.lines().filter_map(stretch).filter(|(start, end)| end - start < LARGE).collect())
}

/// Searches all memory of a process through `/proc`.
fn memory_of(process: u32) -> Option<Answers> {
    let memory = File::open(format!("/proc/{process}/mem")).ok()?;
    stretches(process)?.into_iter().find_map(|(start, end)| {
        let mut bytes = vec![0; (end - start) as usize];
        memory.read_exact_at(&mut bytes, start).ok()?;
        Answers::in_bytes(&bytes)
    })
}

/// Searches the memory of another process as a debugger does.
fn traced(process: u32) -> Option<Answers> {
    stretches(process)?.into_iter().find_map(|(start, end)| {
        let mut bytes = vec![0u8; (end - start) as usize];
        let own = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let theirs = libc::iovec { iov_base: start as *mut c_void, iov_len: bytes.len() };
        // SAFETY: `own` names exactly the bytes of `bytes`; the other process is not changed.
        let read = unsafe { libc::process_vm_readv(process as i32, &own, 1, &theirs, 1, 0) };
        let read = usize::try_from(read).ok()?;
        Answers::in_bytes(&bytes[..read])
    })
}

/// Searches what the loader has mapped into this process, where there is no `/proc` to ask.
fn own_segments() -> Option<Answers> {
    let mut found: Option<Answers> = None;
    // SAFETY: the callback gets back the pointer it is given here, for the time of this call.
    unsafe { libc::dl_iterate_phdr(Some(search_library), (&raw mut found).cast()) };
    found
}

/// Looks through the readable segments of one library, or of the program.
unsafe extern "C" fn search_library(
    library: *mut libc::dl_phdr_info,
    _: usize,
    found: *mut c_void,
) -> c_int {
    // SAFETY: the loader hands over a valid description, and `own_segments` its own variable.
    let (library, found) = unsafe { (&*library, &mut *found.cast::<Option<Answers>>()) };
    for index in 0..usize::from(library.dlpi_phnum) {
        // SAFETY: there are as many headers as the loader says.
        let header = unsafe { &*library.dlpi_phdr.add(index) };
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_R == 0 || found.is_some() {
            continue;
        }
        let start = (library.dlpi_addr + header.p_vaddr) as *const u8;
        // SAFETY: loaded, readable, and mapped for as long as its library is.
        let bytes = unsafe { std::slice::from_raw_parts(start, header.p_memsz as usize) };
        *found = Answers::in_bytes(bytes);
    }
    0
}
