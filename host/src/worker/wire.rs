//! Frames over the socket: whole frames in and out, whatever pieces the kernel makes of them.

use perdura_abi::buffer::Slot;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, send, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::protocol::{HEAD_BYTES, Head, Kind, PRELUDE, decode_head, decode_table, encode};

/// Why no frame came or went.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the other side closed the connection")]
    Closed,
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Garbage(String),
}

impl From<Errno> for WireError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET => WireError::Closed,
            other => WireError::Io(other.into()),
        }
    }
}

/// How one side waits for the socket.
pub trait Patience {
    /// Whether reads and writes themselves may block; if so, `wait` is not called.
    const BLOCKS: bool;
    /// Returns when the socket is ready for `events`.
    fn wait(&mut self, socket: BorrowedFd<'_>, events: PollFlags) -> Result<(), WireError>;
}

/// Waits as long as it takes: the worker's side, which ends with its host.
pub struct Forever;

impl Patience for Forever {
    const BLOCKS: bool = true;
    fn wait(&mut self, _: BorrowedFd<'_>, _: PollFlags) -> Result<(), WireError> {
        Ok(())
    }
}

/// One end of the connection.
pub struct Wire {
    socket: OwnedFd,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// Bytes of `incoming` that have arrived; the frame read last is its first `frame_bytes`.
    arrived: usize,
    frame_bytes: usize,
    header_bytes: usize,
    /// Whether the frame received last came within [`PROMPT`].
    prompt: bool,
}

/// A frame that comes within this time is looked out for instead of slept for, as long as the one before did
/// too: to be woken takes 20 us on some machines, 60 us on others, and what was in the caches is gone, which
/// is a good part of a small step. A slower machine takes 200 us for one. Whoever looks out gives way to all
/// that has work to do, so that runs side by side lose nothing by it, and learners whose steps take longer
/// cost their host no looking out.
pub const PROMPT: Duration = Duration::from_micros(500);

impl Wire {
    pub fn new(socket: OwnedFd) -> Self {
        let incoming = vec![0; 64 << 10];
        let (arrived, frame_bytes, header_bytes) = (0, 0, 0);
        let outgoing = Vec::new();
        let prompt = true;
        Wire { socket, outgoing, incoming, arrived, frame_bytes, header_bytes, prompt }
    }

    /// Sends one frame, normally with one system call.
    pub fn send<P: Patience>(
        &mut self,
        what: (Kind, u32),
        header: &[u8],
        tensors: (&[Slot], (usize, usize)),
        patience: &mut P,
    ) -> Result<(), WireError> {
        self.send_after(Duration::ZERO, what, header, tensors, patience)
    }

    /// The same of a frame that ends a call, with what the call took.
    pub fn send_after<P: Patience>(
        &mut self,
        took: Duration,
        what: (Kind, u32),
        header: &[u8],
        (slots, arena): (&[Slot], (usize, usize)),
        patience: &mut P,
    ) -> Result<(), WireError> {
        encode(&mut self.outgoing, what, header, slots, arena, took);
        let mut rest = &self.outgoing[..];
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::DONTWAIT, !P::BLOCKS);
        while !rest.is_empty() {
            match send(&self.socket, rest, flags) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => patience.wait(self.socket.as_fd(), PollFlags::OUT)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives one frame: its head and tensor table. [`Wire::header`] has the rest until the next.
    pub fn receive<P: Patience>(
        &mut self,
        area_bytes: usize,
        patience: &mut P,
    ) -> Result<(Head, Vec<Slot>), WireError> {
        self.incoming.copy_within(self.frame_bytes..self.arrived, 0);
        self.arrived -= self.frame_bytes;
        self.frame_bytes = 0;
        self.fill(HEAD_BYTES, patience)?;
        let head = self.incoming[..HEAD_BYTES].try_into().expect("filled above");
        let head = decode_head(head, area_bytes).map_err(WireError::Garbage)?;
        let table_start = HEAD_BYTES + head.header_bytes;
        let end = table_start + head.table_bytes;
        self.fill(end, patience)?;
        (self.frame_bytes, self.header_bytes) = (end, head.header_bytes);
        let table = &self.incoming[table_start..end];
        let slots = decode_table(&head, table).map_err(WireError::Garbage)?;
        Ok((head, slots))
    }

    /// The JSON header of the frame received last.
    pub fn header(&self) -> &[u8] {
        &self.incoming[HEAD_BYTES..HEAD_BYTES + self.header_bytes]
    }

    /// Reads until at least `wanted` bytes are there.
    fn fill<P: Patience>(&mut self, wanted: usize, patience: &mut P) -> Result<(), WireError> {
        if self.incoming.len() < wanted {
            self.incoming.resize(wanted.next_power_of_two(), 0);
        }
        if self.arrived >= wanted {
            return Ok(());
        }
        let start = Instant::now();
        while self.prompt && self.arrived < wanted && start.elapsed() < PROMPT {
            // Where both sides share a core, the other one has to run.
            std::thread::yield_now();
            self.read(RecvFlags::DONTWAIT)?;
        }
        let mut flags = RecvFlags::empty();
        flags.set(RecvFlags::DONTWAIT, !P::BLOCKS);
        while self.arrived < wanted {
            if !P::BLOCKS {
                patience.wait(self.socket.as_fd(), PollFlags::IN)?;
            }
            self.read(flags)?;
        }
        self.prompt = start.elapsed() < PROMPT;
        Ok(())
    }

    /// Takes what there is.
    fn read(&mut self, flags: RecvFlags) -> Result<(), WireError> {
        match recv(&self.socket, &mut self.incoming[self.arrived..], flags) {
            Ok((_, 0)) => Err(WireError::Closed),
            Ok((_, count)) => {
                self.arrived += count;
                Ok(())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sends the prelude with the worker's two areas. The socket is fresh, so eight bytes always fit.
pub fn send_prelude(socket: BorrowedFd<'_>, areas: [BorrowedFd<'_>; 2]) -> Result<(), WireError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&areas)), "the space is for two");
    let sent = sendmsg(socket, &[IoSlice::new(PRELUDE)], &mut control, SendFlags::NOSIGNAL)?;
    match sent == PRELUDE.len() {
        true => Ok(()),
        false => Err(WireError::Garbage("the prelude was sent in part".into())),
    }
}

/// Receives the prelude and the worker's inbox and outbox.
pub fn receive_prelude(socket: BorrowedFd<'_>) -> Result<[OwnedFd; 2], WireError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; PRELUDE.len()];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Err(Errno::INTR) => continue,
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Err(WireError::Closed);
    }
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    match <[OwnedFd; 2]>::try_from(files) {
        Ok(files) if &bytes == PRELUDE => Ok(files),
        _ => Err(WireError::Garbage("the conversation does not begin with the prelude".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perdura_abi::DType;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    const AREA: usize = 1 << 20;

    fn pair() -> (UnixStream, Wire) {
        let (near, far) = UnixStream::pair().unwrap();
        (near, Wire::new(far.into()))
    }

    fn frame(header: &[u8]) -> Vec<u8> {
        let slots = [Slot { dtype: DType::U8, shape: vec![3], offset_bytes: 0, len_bytes: 3 }];
        let mut frame = Vec::new();
        encode(&mut frame, (Kind::Return, 9), header, &slots, (0, 3), Duration::ZERO);
        frame
    }

    #[test]
    fn frames_arrive_whole_from_any_pieces() {
        let (mut near, mut wire) = pair();
        // Two frames, the second larger than the first buffer, cut where it hurts.
        let large = vec![b'x'; 200_000];
        let bytes = [frame(b"{\"a\":1}"), frame(&large)].concat();
        let sender = std::thread::spawn(move || {
            for cut in [&bytes[..1], &bytes[1..50], &bytes[50..100], &bytes[100..]] {
                near.write_all(cut).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let (head, slots) = wire.receive(AREA, &mut Forever).unwrap();
        assert_eq!((head.kind, head.number), (Kind::Return, 9));
        assert_eq!(slots[0].shape, [3]);
        assert_eq!(wire.header(), b"{\"a\":1}");
        wire.receive(AREA, &mut Forever).unwrap();
        assert!(wire.header() == large);
        sender.join().unwrap();
        assert!(matches!(wire.receive(AREA, &mut Forever), Err(WireError::Closed)));
    }

    #[test]
    fn a_frame_cut_off_by_the_end_is_closed() {
        let (mut near, mut wire) = pair();
        near.write_all(&frame(b"{}")[..60]).unwrap();
        drop(near);
        assert!(matches!(wire.receive(AREA, &mut Forever), Err(WireError::Closed)));
    }

    #[test]
    fn garbage_is_named() {
        let (mut near, mut wire) = pair();
        near.write_all(&[b'?'; 100]).unwrap();
        let error = wire.receive(AREA, &mut Forever).unwrap_err().to_string();
        assert!(error.contains("a frame begins with"), "{error}");
    }

    #[test]
    fn the_prelude_brings_two_files() {
        let (near, far) = UnixStream::pair().unwrap();
        let (a, b) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        send_prelude(near.as_fd(), [a.as_fd(), b.as_fd()]).unwrap();
        receive_prelude(far.as_fd()).unwrap();
        (&near).write_all(b"GET / HT").unwrap();
        let error = receive_prelude(far.as_fd()).unwrap_err().to_string();
        assert!(error.contains("prelude"), "{error}");
    }
}
