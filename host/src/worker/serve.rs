//! The worker's side of the conversation: opens the plugin and relays messages without reading them.

use perdura_abi::MessageBuf;
use perdura_abi::buffer::{Slot, views_of};
use perdura_abi::serve::{Answerer, Parts, with_handle};
use perdura_abi::table::{
    AbiError, ErrorKind, HostHandle, HostOp, LearnerBox, Message, Op, PluginRootRef, Reply,
};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::ffi::{c_int, c_uint};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::confine::confine;
use super::protocol::{
    HostHello, Kind, NOT_OPENED, VERSION, WorkerHello, check_sendable, check_travels, error_from,
    error_header, lay_out,
};
use super::shared::{Area, Role};
use super::wire::{Forever, Wire, WireError, receive_prelude};

/// The worker did its work until its host closed the connection.
pub const DONE: i32 = 0;
/// The worker was started by hand, its host is gone, or the two do not understand each other.
pub const NO_HOST: i32 = 2;

/// What `perdura worker` does: serves the host on file descriptor 0, and leaves.
///
/// `open` opens a plugin file, or says in a sentence why not. The process must have one thread; its first
/// act is to give up what the host's greeting says. Leaves by `_exit`: destructors and exit
/// handlers of what a plugin brought along are known to crash and must not change the outcome.
pub fn run(open: impl FnOnce(&Path) -> Result<PluginRootRef, String>) -> ! {
    let ready = crate::interrupt::leave_to_the_host().map_err(|e| format!("signals: {e}"));
    let status = match ready.and_then(|()| take_socket()) {
        Ok(socket) => serve(socket, open),
        Err(reason) => {
            eprintln!("error: {reason}");
            NO_HOST
        }
    };
    _exit(status)
}

/// Serves one learner over `socket` until the host closes it. Returns the exit code.
pub fn serve(socket: OwnedFd, open: impl FnOnce(&Path) -> Result<PluginRootRef, String>) -> i32 {
    match converse(socket, open) {
        Ok(()) | Err(WireError::Closed) => DONE,
        Err(error) => {
            eprintln!("error: worker and host do not understand each other: {error}");
            NO_HOST
        }
    }
}

// SAFETY: POSIX's `_exit` takes an int, asks nothing of its caller, and does not return.
unsafe extern "C" {
    safe fn _exit(status: c_int) -> !;
}

/// Closes what this process has inherited besides standard input, output and error: a shell or a program
/// that embeds the host may have left files open, and a plugin could use them.
fn close_inherited() {
    let first: c_uint = 3;
    // SAFETY: the call takes three numbers. The process has just begun and owns no descriptor yet, so
    // nothing in it relies on those that are closed. A kernel without the call leaves them open.
    unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, 0 as c_uint) };
}

/// Takes the socket from descriptor 0 and makes sure that this process ends with its host.
fn take_socket() -> Result<OwnedFd, String> {
    let say = |what: &'static str| move |error| format!("{what}: {error}");
    close_inherited();
    let stdin = std::io::stdin();
    let peer = rustix::net::sockopt::socket_peercred(&stdin).map_err(|_| {
        "`perdura worker` is started by perdura itself; descriptor 0 is not its socket".to_string()
    })?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| format!("death signal: {e}"))?;
    // A host that died before the line above sends no signal any more.
    if getppid() != Some(peer.pid) {
        return Err("the host that started this worker is gone".into());
    }
    let socket = stdin.as_fd().try_clone_to_owned().map_err(say("socket"))?;
    let nothing = std::fs::File::open("/dev/null").map_err(say("/dev/null"))?;
    rustix::stdio::dup2_stdin(nothing).map_err(|e| format!("standard input: {e}"))?;
    Ok(socket)
}

/// Makes this process end with the one that started it, whose id is in [`HOST_VARIABLE`].
pub fn end_with_host() -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| format!("death signal: {e}"))?;
    let host = std::env::var(HOST_VARIABLE).unwrap_or_default();
    match getppid().map(|pid| pid.as_raw_nonzero().to_string()) {
        Some(parent) if parent == host => Ok(()),
        _ => {
            Err("this command is started by perdura itself, and the host that did so is gone"
                .into())
        }
    }
}

/// Environment variable with the process id of the host that starts the process of a run.
pub const HOST_VARIABLE: &str = "PERDURA_HOST_PID";

fn converse(
    socket: OwnedFd,
    open: impl FnOnce(&Path) -> Result<PluginRootRef, String>,
) -> Result<(), WireError> {
    let [inbox, outbox] = receive_prelude(socket.as_fd())?;
    let mut inbox = Area::open(inbox, Role::Reader)?;
    let (outbox, nested) = (Area::open(outbox, Role::Writer)?, inbox.again()?);
    let mut relay = Relay {
        wire: Wire::new(socket),
        outbox,
        nested,
        header: vec![],
        slots: vec![],
        lost: None,
    };
    let Some(root) = relay.open(open)? else { return Ok(()) };
    let mut learner = None;
    // The header of the call being served; the wire's own copy is overwritten by requests.
    let mut header = Vec::new();
    loop {
        let (head, slots) = relay.wire.receive(inbox.size_bytes(), &mut Forever)?;
        let arrived = Instant::now();
        header.clear();
        header.extend_from_slice(relay.wire.header());
        let views = views_of(&slots, inbox.read(head.arena_offset, head.arena_bytes)?);
        let message = Message { header: header[..].into(), tensors: views[..].into() };
        let outcome = match (head.kind, &mut learner) {
            (Kind::Describe, _) => describe(root),
            (Kind::Create, None) => {
                let create = |handle: HostHandle<'_>| root.create()(message, handle).into_result();
                with_handle(&mut relay, create).map(|created| {
                    learner = Some(Undropped::new(created));
                    Reply::default()
                })
            }
            (Kind::Call, Some(learner)) => {
                let op = Op(head.number);
                let call = |handle: HostHandle<'_>| learner.call(op, message, handle).into_result();
                with_handle(&mut relay, call)
            }
            (kind, _) => return Err(WireError::Garbage(format!("frame {kind:?} out of order"))),
        };
        relay.give_back(outcome, arrived)?;
    }
}

/// Zero would mean that the worker does not say.
fn took(arrived: Instant) -> Duration {
    arrived.elapsed().max(Duration::from_nanos(1))
}

fn not_confined(reason: String) -> String {
    format!("the worker could not confine itself: {reason}\n  remedy: --isolation process")
}

/// A learner's destructor has no part in the outcome of a run: the process ends with it.
type Undropped = std::mem::ManuallyDrop<LearnerBox>;

fn describe(root: PluginRootRef) -> Result<Reply, AbiError> {
    let description = root.describe()().into_result()?;
    Ok(Reply { header: description, ..Reply::default() })
}

/// Carries requests to the host and answers back.
struct Relay {
    wire: Wire,
    outbox: Area,
    /// The inbox once more, for answers: mapping more of it must not move the message of the call.
    nested: Area,
    /// Header and tensors of the latest answer.
    header: Vec<u8>,
    slots: Vec<Slot>,
    /// Why the host could not be reached in the middle of a call.
    lost: Option<WireError>,
}

impl Relay {
    /// Exchanges greetings and opens the plugin. `None` when there is nothing to serve.
    fn open(
        &mut self,
        open: impl FnOnce(&Path) -> Result<PluginRootRef, String>,
    ) -> Result<Option<PluginRootRef>, WireError> {
        let (hello, _) = self.wire.receive(self.nested.size_bytes(), &mut Forever)?;
        if hello.kind != Kind::Hello {
            return Err(WireError::Garbage(format!("frame {:?} instead of a Hello", hello.kind)));
        }
        let same_version = hello.number == VERSION;
        let opened = if same_version { Some(self.open_named(open)?) } else { None };
        if let Some(Err(reason)) = opened {
            let error = AbiError::new(ErrorKind(NOT_OPENED), reason);
            self.send((Kind::Fail, NOT_OPENED), &error_header(&error))?;
            return Ok(None);
        }
        let greeting = MessageBuf::of_header(&WorkerHello { pid: std::process::id() });
        self.send((Kind::Hello, VERSION), greeting.header())?;
        Ok(opened.and_then(Result::ok))
    }

    /// Gives up what the host's greeting says, then opens the plugin it names.
    fn open_named(
        &self,
        open: impl FnOnce(&Path) -> Result<PluginRootRef, String>,
    ) -> Result<Result<PluginRootRef, String>, WireError> {
        let hello = serde_json::from_slice::<HostHello>(self.wire.header());
        let HostHello { plugin, confine: to } =
            hello.map_err(|error| WireError::Garbage(error.to_string()))?;
        let confined = to.map_or(Ok(()), |to| confine(&plugin, &to).map_err(not_confined));
        Ok(confined.and_then(|()| open(&plugin)))
    }

    /// Sends what came of a call that arrived then.
    fn give_back(
        &mut self,
        outcome: Result<Reply, AbiError>,
        arrived: Instant,
    ) -> Result<(), WireError> {
        if let Some(lost) = self.lost.take() {
            return Err(lost);
        }
        let sent = outcome.and_then(|reply| {
            let tensors = reply.tensors.iter().map(|t| (t.dtype, &t.shape[..], &t.data[..]));
            let (slots, len) = self.put(&reply.header, tensors)?;
            Ok((reply, slots, len))
        });
        match sent {
            Ok((reply, slots, len)) => {
                let tensors = (&slots[..], (0, len));
                let (took, what) = (took(arrived), (Kind::Return, 0));
                self.wire.send_after(took, what, &reply.header, tensors, &mut Forever)
            }
            Err(error) => {
                let (what, header) = ((Kind::Fail, error.kind.0), error_header(&error));
                self.wire.send_after(took(arrived), what, &header, (&[], (0, 0)), &mut Forever)
            }
        }
    }

    /// Copies tensors to the start of the outbox. Says where they lie and how much they take.
    fn put<'a>(
        &mut self,
        header: &[u8],
        tensors: impl Iterator<Item = (perdura_abi::DType, &'a [u64], &'a [u8])> + Clone,
    ) -> Result<(Vec<Slot>, usize), AbiError> {
        let refuse = |reason| AbiError::new(ErrorKind::MESSAGE, reason);
        let (slots, len) =
            lay_out(tensors.clone().map(|(dtype, shape, data)| (dtype, shape, data.len())));
        check_sendable(header, &slots).map_err(refuse)?;
        for (slot, (_, _, data)) in slots.iter().zip(tensors) {
            let written = self.outbox.write(slot.offset_bytes, data);
            written.map_err(|error| refuse(error.to_string()))?;
        }
        Ok((slots, len))
    }

    fn send(&mut self, what: (Kind, u32), header: &[u8]) -> Result<(), WireError> {
        self.wire.send(what, header, (&[], (0, 0)), &mut Forever)
    }

    /// One request to the host, and what it answered: the frame's arena and slots; the header is the wire's.
    fn request(
        &mut self,
        op: HostOp,
        message: Message<'_>,
    ) -> Result<((usize, usize), Vec<Slot>), AbiError> {
        let gone = || AbiError::new(ErrorKind::HOST, "the host is gone");
        if self.lost.is_some() {
            return Err(gone());
        }
        for view in message.tensors.iter() {
            check_travels(view).map_err(|reason| AbiError::new(ErrorKind::MESSAGE, reason))?;
        }
        let views = message.tensors.as_slice().iter();
        let tensors = views.map(|v| (v.dtype, v.shape.as_slice(), v.data.as_slice()));
        let (slots, len) = self.put(&message.header, tensors)?;
        self.exchange(op, &message.header, (&slots, len)).map_err(|lost| {
            self.lost = Some(lost);
            gone()
        })?
    }

    #[allow(clippy::type_complexity)] // two layers of failure: the connection's and the host's
    fn exchange(
        &mut self,
        op: HostOp,
        header: &[u8],
        tensors: (&[Slot], usize),
    ) -> Result<Result<((usize, usize), Vec<Slot>), AbiError>, WireError> {
        let (slots, len) = tensors;
        self.wire.send((Kind::HostCall, op.0), header, (slots, (0, len)), &mut Forever)?;
        let (head, slots) = self.wire.receive(self.nested.size_bytes(), &mut Forever)?;
        match head.kind {
            Kind::HostAnswer => Ok(Ok(((head.arena_offset, head.arena_bytes), slots))),
            Kind::HostRefusal => Ok(Err(error_from(head.number, self.wire.header()))),
            kind => Err(WireError::Garbage(format!("frame {kind:?} instead of an answer"))),
        }
    }
}

impl Answerer for Relay {
    fn answer(&mut self, op: HostOp, message: Message<'_>) -> Result<Parts<'_>, AbiError> {
        let ((offset, len), slots) = self.request(op, message)?;
        self.slots = slots;
        self.header.clear();
        self.header.extend_from_slice(self.wire.header());
        let arena = self.nested.read(offset, len);
        let arena = arena.map_err(|error| AbiError::new(ErrorKind::HOST, error.to_string()))?;
        Ok(Parts { header: &self.header, slots: &self.slots, arena })
    }

    fn log(&mut self, message: Message<'_>) -> Result<(), AbiError> {
        // The answer to a log record has no tensors: what the inbox holds stays as it is.
        self.request(HostOp::LOG, message).map(drop)
    }
}
