//! What host and worker say to each other: protocol version 1. It is public: a learner in any language that
//! keeps to it is trained and scored like one in Rust. `tests/python/nearest_mean.py` is one in 150 lines; the
//! file beside it ([`crate::plugin::is_worker_file`]) tells the host how to start it. A change that such a
//! worker would notice gives the protocol a new version. A third of this file is that documentation.
//!
//! # Set-up
//! The host starts the worker as leader of a process group of its own, in an empty working directory,
//! with standard output and error going to a log file. **File descriptor 0 is a unix stream socket** whose
//! other end the host holds. The first thing on it are the eight bytes [`PRELUDE`], and with them come two
//! file descriptors (`SCM_RIGHTS`; in Python `socket.recv_fds(s, 8, 2)`):
//!
//! 1. the *inbox*: shared memory that the host writes and the worker maps read-only;
//! 2. the *outbox*: shared memory that the worker writes and the host reads.
//!
//! Both are sealed memfds of a fixed size that is larger than any message (`fstat` tells it); pages take
//! memory only once written, so map as much as the messages need, or use `pread` and `pwrite`. A worker should move the socket away
//! from descriptor 0, so that no library reads from it as if it were the standard input, ask for
//! `PR_SET_PDEATHSIG`, and then check that its parent is the process that made the socket (`SO_PEERCRED`).
//!
//! # Frames
//! All the rest are frames, in both directions alike. Numbers are little-endian.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u32 | magic, the bytes `PRDF` |
//! | 4 | u32 | kind, see [`Kind`] |
//! | 8 | u32 | number; its meaning depends on the kind |
//! | 12 | u32 | bytes of the JSON header |
//! | 16 | u32 | count of tensors |
//! | 20 | u32 | bytes of the tensor table |
//! | 24 | u64 | arena: its offset in the sender's shared memory, a multiple of 64 |
//! | 32 | u64 | arena: its length in bytes |
//! | 40 | u64 | in `Return` and `Fail`: nanoseconds from the arrival of the call to this frame, 0 if the worker does not say; else 0 |
//! | 48 | | the JSON header, then the tensor table |
//!
//! The tensor table has one entry per tensor: u32 element type (1 f32, 2 u8, 3 u32, 4 u64, 5 i64), u32
//! number of dimensions, u64 offset within the arena (a multiple of 64), u64 length in bytes, and the
//! dimensions as u64 each. Tensors are dense and row-major. A frame without tensors has an arena of zero
//! bytes. Limits: [`HEADER_BYTES_MAX`], [`TENSORS_MAX`], [`DIMENSIONS_MAX`].
//!
//! # Conversation
//! ```text
//! host                                          worker
//! Hello(version, {"plugin": path,           ->
//!       "confine": null or {...}})         <-   Hello(version, {"pid": n})   or Fail(0: not opened)
//! Create(0, CreateMsg)                      ->                               (or Describe(0))
//!                                          <-   Return
//! Call(operation, message)                  ->
//!                                          <-   HostCall(operation, message)     as often as it likes
//! HostAnswer | HostRefusal(error kind)      ->
//!                                          <-   Return(0, reply) | Fail(error kind)
//! ```
//! One call at a time; within it one request at a time. A worker whose version differs still answers
//! `Hello` with its own and then leaves. `Fail` and `HostRefusal` carry the number of an
//! [`perdura_abi::ErrorKind`] and the header `{"message": text, "location": text}`. Operations and the
//! headers of their messages are those of `perdura_abi`; the worker relays them unread. With `confine` the
//! worker gives up its rights ([`super::Confinement`]) before it runs anything of the plugin's; one that cannot
//! answers `Fail(0)`. `Return` of `Describe` has the plugin's description as its header
//! ([`perdura_abi::manifest::Description`]). End of file means leave: there is no farewell.
//!
//! # Who owns the shared memory when
//! The message of a call stays in the inbox until its `Return` or `Fail`. Answers to the worker's requests
//! lie behind it, each in the place of the one before. What the worker puts into the outbox is its own
//! again as soon as the host has sent the next frame.

use perdura_abi::buffer::{ALIGNMENT_BYTES, Slot};
use perdura_abi::table::{AbiError, ErrorKind};
use perdura_abi::{DType, TensorView};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Version of this protocol; only an equal one is understood.
pub const VERSION: u32 = 1;
/// Comes with the two descriptors, before the first frame.
pub const PRELUDE: &[u8; 8] = b"PERDURA\n";
/// Bytes of a frame before its JSON header.
pub const HEAD_BYTES: usize = 48;
/// Largest JSON header, and largest tensor table.
pub const HEADER_BYTES_MAX: usize = 16 << 20;
/// Most tensors in one message.
pub const TENSORS_MAX: usize = 1 << 16;
/// Most dimensions of one tensor.
pub const DIMENSIONS_MAX: usize = 16;
/// `Fail` number of a plugin that could not be opened; every other is an [`ErrorKind`].
pub const NOT_OPENED: u32 = 0;

const MAGIC: [u8; 4] = *b"PRDF";
const ENTRY_BYTES: usize = 24;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// Both ways. Number: protocol version.
    Hello = 1,
    /// To the worker.
    Create = 2,
    /// To the worker. Number: operation.
    Call = 3,
    /// To the host. Number: operation.
    HostCall = 4,
    /// To the worker.
    HostAnswer = 5,
    /// To the worker. Number: error kind.
    HostRefusal = 6,
    /// To the host.
    Return = 7,
    /// To the host. Number: error kind or [`NOT_OPENED`].
    Fail = 8,
    /// To the worker, instead of `Create`.
    Describe = 9,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        use Kind::*;
        let all = [Hello, Create, Call, HostCall, HostAnswer, HostRefusal, Return, Fail, Describe];
        all.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// Header of the host's `Hello`.
#[derive(Serialize, Deserialize)]
pub struct HostHello {
    /// The plugin file to open.
    pub plugin: std::path::PathBuf,
    /// What the worker keeps of its rights; everything where there is nothing here.
    #[serde(default)]
    pub confine: Option<super::Confinement>,
}

/// Header of the worker's `Hello`.
#[derive(Serialize, Deserialize)]
pub struct WorkerHello {
    pub pid: u32,
}

/// Header of `Fail` and `HostRefusal`.
#[derive(Serialize, Deserialize)]
struct ErrorHeader {
    message: String,
    #[serde(default)]
    location: String,
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: Kind,
    pub number: u32,
    pub header_bytes: usize,
    pub tensor_count: usize,
    pub table_bytes: usize,
    pub arena_offset: usize,
    pub arena_bytes: usize,
    /// What the worker says that the call took it; zero where it does not say.
    pub took: Duration,
}

/// The error of a `Fail` or `HostRefusal` frame as its JSON header.
pub fn error_header(error: &AbiError) -> Vec<u8> {
    let header =
        ErrorHeader { message: error.message.to_string(), location: error.location.to_string() };
    serde_json::to_vec(&header).expect("two strings are always JSON")
}

/// The error that a `Fail` or `HostRefusal` frame carries.
pub fn error_from(number: u32, header: &[u8]) -> AbiError {
    let parsed = serde_json::from_slice::<ErrorHeader>(header);
    let parsed = parsed.unwrap_or_else(|_| ErrorHeader {
        message: String::from_utf8_lossy(header).into_owned(),
        location: String::new(),
    });
    let mut error = AbiError::new(ErrorKind(number), parsed.message);
    error.location = parsed.location.into();
    error
}

/// Writes head, header and the table of `slots` into `out`, replacing its content.
pub fn encode(
    out: &mut Vec<u8>,
    (kind, number): (Kind, u32),
    header: &[u8],
    slots: &[Slot],
    (arena_offset, arena_bytes): (usize, usize),
    took: Duration,
) {
    let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let dimensions: usize = slots.iter().map(|slot| slot.shape.len()).sum();
    let table_bytes = slots.len() * ENTRY_BYTES + dimensions * 8;
    out.clear();
    out.extend_from_slice(&MAGIC);
    for word in [kind as u32, number, header.len() as u32, slots.len() as u32, table_bytes as u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for word in [arena_offset as u64, arena_bytes as u64, took_ns] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(header);
    for slot in slots {
        out.extend_from_slice(&slot.dtype.0.to_le_bytes());
        out.extend_from_slice(&(slot.shape.len() as u32).to_le_bytes());
        out.extend_from_slice(&(slot.offset_bytes as u64).to_le_bytes());
        out.extend_from_slice(&(slot.len_bytes as u64).to_le_bytes());
        slot.shape.iter().for_each(|d| out.extend_from_slice(&d.to_le_bytes()));
    }
}

/// Whether a message may be sent at all; the sender checks what the receiver will.
pub fn check_sendable(header: &[u8], slots: &[Slot]) -> Result<(), String> {
    let dimensions = slots.iter().map(|slot| slot.shape.len()).max().unwrap_or(0);
    check_limits(header.len(), slots.len(), 0)?;
    at_most(dimensions, DIMENSIONS_MAX, "dimensions of a tensor")
}

/// Reads the fixed part. `area_bytes` is the size of the sender's shared memory.
pub fn decode_head(bytes: &[u8; HEAD_BYTES], area_bytes: usize) -> Result<Head, String> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    if bytes[..4] != MAGIC {
        return Err(format!("a frame begins with {:02x?}, expected {MAGIC:02x?}", &bytes[..4]));
    }
    let kind = word(4);
    let kind = Kind::from_number(kind).ok_or_else(|| format!("unknown kind of frame {kind}"))?;
    let head = Head {
        kind,
        number: word(8),
        header_bytes: word(12) as usize,
        tensor_count: word(16) as usize,
        table_bytes: word(20) as usize,
        arena_offset: long(24) as usize,
        arena_bytes: long(32) as usize,
        took: Duration::from_nanos(long(40)),
    };
    check_limits(head.header_bytes, head.tensor_count, head.table_bytes)?;
    let end = head.arena_offset.checked_add(head.arena_bytes);
    if end.is_none_or(|end| end > area_bytes) || !head.arena_offset.is_multiple_of(ALIGNMENT_BYTES)
    {
        let (offset, len) = (head.arena_offset, head.arena_bytes);
        return Err(format!(
            "tensors are announced as {len} bytes at {offset} of a shared memory of {area_bytes}"
        ));
    }
    Ok(head)
}

/// Reads the tensor table of a frame, every entry checked against the arena.
pub fn decode_table(head: &Head, mut table: &[u8]) -> Result<Vec<Slot>, String> {
    let mut slots = Vec::with_capacity(head.tensor_count);
    for index in 0..head.tensor_count {
        let slot = decode_entry(&mut table).ok_or("the tensor table is too short")?;
        let end = slot.offset_bytes.checked_add(slot.len_bytes);
        if end.is_none_or(|end| end > head.arena_bytes)
            || !slot.offset_bytes.is_multiple_of(ALIGNMENT_BYTES)
        {
            let (offset, len, arena) = (slot.offset_bytes, slot.len_bytes, head.arena_bytes);
            return Err(format!(
                "tensor {index} is announced as {len} bytes at {offset} of an arena of {arena}"
            ));
        }
        slots.push(slot);
    }
    match table.len() {
        0 => Ok(slots),
        rest => Err(format!("the tensor table has {rest} bytes too many")),
    }
}

/// Lays tensors out one behind the other, each at a multiple of 64; the second value is the total length.
pub fn lay_out<'a>(tensors: impl Iterator<Item = (DType, &'a [u64], usize)>) -> (Vec<Slot>, usize) {
    let mut end = 0usize;
    let place = |(dtype, shape, len_bytes): (DType, &[u64], usize)| {
        let offset_bytes = end.next_multiple_of(ALIGNMENT_BYTES);
        end = offset_bytes + len_bytes;
        Slot { dtype, shape: shape.to_vec(), offset_bytes, len_bytes }
    };
    let slots = tensors.map(place).collect();
    (slots, end)
}

/// Whether a borrowed tensor can travel: dense and in main memory.
pub fn check_travels(view: &TensorView<'_>) -> Result<(), String> {
    match view.device == 0 && view.strides.is_empty() {
        true => Ok(()),
        false => Err("a tensor is not dense in main memory".into()),
    }
}

fn decode_entry(table: &mut &[u8]) -> Option<Slot> {
    fn take<const N: usize>(table: &mut &[u8]) -> Option<[u8; N]> {
        let (bytes, rest) = table.split_first_chunk::<N>()?;
        *table = rest;
        Some(*bytes)
    }
    let dtype = DType(u32::from_le_bytes(take(table)?));
    let dimensions = u32::from_le_bytes(take(table)?) as usize;
    let offset_bytes = usize::try_from(u64::from_le_bytes(take(table)?)).ok()?;
    let len_bytes = usize::try_from(u64::from_le_bytes(take(table)?)).ok()?;
    if dimensions > DIMENSIONS_MAX {
        return None;
    }
    let shape = (0..dimensions).map(|_| take(table).map(u64::from_le_bytes));
    Some(Slot { dtype, shape: shape.collect::<Option<_>>()?, offset_bytes, len_bytes })
}

fn check_limits(header: usize, tensors: usize, table: usize) -> Result<(), String> {
    at_most(header, HEADER_BYTES_MAX, "bytes of JSON header")?;
    at_most(tensors, TENSORS_MAX, "tensors")?;
    at_most(table, HEADER_BYTES_MAX, "bytes of tensor table")
}

fn at_most(value: usize, limit: usize, what: &str) -> Result<(), String> {
    match value <= limit {
        true => Ok(()),
        false => Err(format!("a message has {value} {what}, at most {limit} are allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AREA: usize = 1 << 20;

    fn slot(dtype: DType, shape: &[u64], offset_bytes: usize, len_bytes: usize) -> Slot {
        Slot { dtype, shape: shape.to_vec(), offset_bytes, len_bytes }
    }

    fn example() -> (Vec<u8>, Vec<Slot>) {
        let slots = vec![slot(DType::F32, &[2, 3], 0, 24), slot(DType::U8, &[], 64, 1)];
        let mut frame = Vec::new();
        encode(&mut frame, (Kind::Call, 3), b"{}", &slots, (128, 65), Duration::from_nanos(7));
        (frame, slots)
    }

    fn decode(frame: &[u8]) -> Result<(Head, Vec<Slot>), String> {
        let head = decode_head(frame[..HEAD_BYTES].try_into().unwrap(), AREA)?;
        let slots = decode_table(&head, &frame[HEAD_BYTES + head.header_bytes..])?;
        Ok((head, slots))
    }

    /// The layout is public: these numbers were written down by hand from the table above.
    #[test]
    fn the_layout_is_as_documented() {
        let (frame, _) = example();
        assert_eq!(&frame[..24], b"PRDF\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02\0\0\0\x40\0\0\0");
        assert_eq!(&frame[24..32], &128u64.to_le_bytes());
        assert_eq!(&frame[32..40], &65u64.to_le_bytes());
        assert_eq!(&frame[40..48], &7u64.to_le_bytes());
        assert_eq!(&frame[48..50], b"{}");
        // Two entries of 24 bytes, two dimensions of 8.
        assert_eq!(frame.len(), 48 + 2 + 24 + 16 + 24);
    }

    #[test]
    fn frames_round_trip() {
        let (frame, slots) = example();
        let (head, back) = decode(&frame).unwrap();
        assert_eq!((head.kind, head.number, head.arena_offset), (Kind::Call, 3, 128));
        assert_eq!(head.took, Duration::from_nanos(7));
        assert_eq!(back, slots);
    }

    fn refused(change: impl FnOnce(&mut Vec<u8>), reason: &str) {
        let (mut frame, _) = example();
        change(&mut frame);
        let text = decode(&frame).unwrap_err();
        assert!(text.contains(reason), "{text}");
    }

    #[test]
    fn garbage_and_excess_are_refused() {
        refused(|f| f[0] = b'X', "a frame begins with");
        refused(|f| f[4] = 77, "unknown kind of frame 77");
        refused(|f| f[12..16].fill(0xff), "bytes of JSON header, at most 16777216");
        refused(|f| f[16..20].fill(0xff), "tensors, at most 65536");
        refused(|f| f[20..24].fill(0xff), "bytes of tensor table");
        refused(|f| f[32..40].fill(0xff), "of a shared memory of 1048576");
        refused(|f| f[24] = 1, "of a shared memory");
        // First entry: element type at 50, dimensions 54, offset 58, length 66.
        refused(|f| f[54] = 17, "table is too short");
        refused(|f| f[58] = 1, "tensor 0 is announced as 24 bytes at 1");
        refused(|f| f[66] = 66, "tensor 0 is announced as 66 bytes at 0 of an arena of 65");
        refused(|f| f.push(0), "1 bytes too many");
    }

    #[test]
    fn errors_travel() {
        let mut error = AbiError::new(ErrorKind::PANIC, "a \"quoted\" text");
        error.location = "x.rs:1:2".into();
        let back = error_from(error.kind.0, &error_header(&error));
        assert_eq!(back.to_string(), "a \"quoted\" text (at x.rs:1:2)");
        assert_eq!(error_from(1, b"not json").to_string(), "not json");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 48..300)) {
            let _ = decode(&bytes);
            let (mut frame, _) = example();
            let at = bytes[0] as usize % frame.len();
            frame[at] = bytes[1];
            let header = u32::from_le_bytes(frame[12..16].try_into().unwrap()) as usize;
            if header <= frame.len() - HEAD_BYTES {
                let _ = decode(&frame);
            }
        }
    }
}
