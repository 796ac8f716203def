//! The host's end of the conversation with one worker: a task out, its requests served, its outcome in.

use perdura_abi::MessageBuf;
use perdura_abi::buffer::{ALIGNMENT_BYTES, Slot};
use perdura_abi::message::CancelledReply;
use perdura_abi::table::{AbiError, ErrorKind, HostOp};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::port::{CallTimes, HostServices, LookingOut};
use super::protocol::{
    Head, HostHello, Kind, NOT_OPENED, VERSION, check_sendable, error_from, error_header,
};
use super::shared::Area;
use super::usage::CpuClock;
use super::watch::Watch;
use super::wire::{PROMPT, Wire, WireError};

/// The socket and the shared memory, named as the worker sees them.
pub struct Link {
    pub wire: Wire,
    pub inbox: Area,
    pub outbox: Area,
    /// Of the call that ended last.
    pub times: CallTimes,
    pub looking_out: Arc<LookingOut>,
    /// Of the worker.
    clock: Option<CpuClock>,
    /// Its count, and the time, when it last had nothing more to do.
    idle: Option<(Duration, Instant)>,
    request: MessageBuf,
    answer: MessageBuf,
}

/// One thing to be done by the worker.
pub struct Task<'a> {
    pub kind: Kind,
    pub number: u32,
    /// The call's name in faults.
    pub name: &'static str,
    pub deadline: Duration,
    pub message: &'a MessageBuf,
}

/// How the worker answered the host's greeting.
pub enum Greeting {
    Ready,
    /// It could not open the plugin, for this reason.
    NotOpened(String),
    /// It is not a worker this host can talk to, for this reason.
    Stranger(String),
}

impl Link {
    /// To the worker of this process number.
    pub fn new(wire: Wire, inbox: Area, outbox: Area, worker: u32) -> Self {
        let (request, answer) = (MessageBuf::new(), MessageBuf::new());
        let (times, looking_out) = (CallTimes::default(), Arc::default());
        let (clock, idle) = (CpuClock::of(worker), None);
        Link { wire, inbox, outbox, times, looking_out, clock, idle, request, answer }
    }

    /// The worker has nothing to do until the next frame comes.
    fn idles(&mut self) {
        self.idle = self.clock.and_then(CpuClock::read).map(|count| (count, Instant::now()));
    }

    /// The next frame goes to the worker: what it has spent since [`Link::idles`] was looking out, as far as one
    /// thread can have done that. What is more than this is work of the learner's own threads, and counts.
    fn wakes(&mut self) {
        let Some((before, since)) = self.idle.take() else { return };
        let Some(now) = self.clock.and_then(CpuClock::read) else { return };
        let spent = now.saturating_sub(before);
        self.looking_out.add(spent.min(since.elapsed()).min(PROMPT));
    }

    /// Exchanges greetings; the worker opens the plugin in between.
    pub fn greet(
        &mut self,
        hello: &HostHello,
        watch: &mut Watch<'_>,
    ) -> Result<Greeting, WireError> {
        let hello = MessageBuf::of_header(hello);
        self.wire.send((Kind::Hello, VERSION), hello.header(), (&[], (0, 0)), watch)?;
        let (head, _) = self.wire.receive(self.outbox.size_bytes(), watch)?;
        Ok(match (head.kind, head.number) {
            (Kind::Hello, VERSION) => Greeting::Ready,
            (Kind::Hello, other) => Greeting::Stranger(format!(
                "the worker speaks protocol {other}, this host protocol {VERSION}; \
                 use one build of perdura for both"
            )),
            (Kind::Fail, NOT_OPENED) => {
                Greeting::NotOpened(error_from(NOT_OPENED, self.wire.header()).message.into())
            }
            (kind, _) => Greeting::Stranger(format!("the worker began with a frame {kind:?}")),
        })
    }

    /// Sends a task, serves the requests that come of it, and takes the outcome into `reply`.
    pub fn exchange(
        &mut self,
        task: &Task<'_>,
        watch: &mut Watch<'_>,
        services: &mut dyn HostServices,
        reply: &mut MessageBuf,
    ) -> Result<Result<(), AbiError>, WireError> {
        self.times = CallTimes::default();
        if let Err(refusal) = put(&mut self.inbox, 0, task.message) {
            return Ok(Err(refusal));
        }
        let len = task.message.arena().len();
        let tensors = (task.message.slots(), (0, len));
        self.wakes();
        self.wire.send((task.kind, task.number), task.message.header(), tensors, watch)?;
        let behind = len.next_multiple_of(ALIGNMENT_BYTES);
        loop {
            let (head, slots) = self.wire.receive(self.outbox.size_bytes(), watch)?;
            self.idles();
            if matches!(head.kind, Kind::Return | Kind::Fail) && !head.took.is_zero() {
                self.times.worker = Some(head.took);
            }
            match head.kind {
                Kind::Return | Kind::Fail if watch.overdue() => return Err(WireError::Timeout),
                Kind::Return => {
                    take(&self.wire, &mut self.outbox, (&head, slots), reply)?;
                    return Ok(Ok(()));
                }
                Kind::Fail => return Ok(Err(error_from(head.number, self.wire.header()))),
                Kind::HostCall => {
                    watch.pause();
                    let began = Instant::now();
                    take(&self.wire, &mut self.outbox, (&head, slots), &mut self.request)?;
                    let op = HostOp(head.number);
                    let served = self.serve(op, watch.overdue(), services);
                    let served = served.and_then(|()| put(&mut self.inbox, behind, &self.answer));
                    self.times.services += began.elapsed();
                    watch.resume(op);
                    self.wakes();
                    self.answer(served, behind, watch)?;
                }
                kind => return Err(WireError::Garbage(format!("an unexpected frame {kind:?}"))),
            }
        }
    }

    /// Has the services answer the request. A learner that is overdue is told to stop.
    fn serve(
        &mut self,
        op: HostOp,
        overdue: bool,
        services: &mut dyn HostServices,
    ) -> Result<(), AbiError> {
        self.answer.clear();
        if overdue && op == HostOp::CANCELLED {
            self.answer.set_header(&CancelledReply { cancelled: true });
            return Ok(());
        }
        self.request.with(|message| services.serve(op, message, &mut self.answer))
    }

    fn answer(
        &mut self,
        served: Result<(), AbiError>,
        offset: usize,
        watch: &mut Watch<'_>,
    ) -> Result<(), WireError> {
        match served {
            Ok(()) => {
                let tensors = (self.answer.slots(), (offset, self.answer.arena().len()));
                self.wire.send((Kind::HostAnswer, 0), self.answer.header(), tensors, watch)
            }
            Err(refusal) => {
                let what = (Kind::HostRefusal, refusal.kind.0);
                self.wire.send(what, &error_header(&refusal), (&[], (0, 0)), watch)
            }
        }
    }
}

/// Copies a message's tensors into the shared memory at `offset`.
fn put(inbox: &mut Area, offset: usize, message: &MessageBuf) -> Result<(), AbiError> {
    let refuse = |reason: String| AbiError::new(ErrorKind::MESSAGE, reason);
    check_sendable(message.header(), message.slots()).map_err(refuse)?;
    inbox.write(offset, message.arena()).map_err(|error| refuse(error.to_string()))
}

/// Copies a received message out of the shared memory: what the host works on, no worker can change.
fn take(
    wire: &Wire,
    outbox: &mut Area,
    (head, slots): (&Head, Vec<Slot>),
    message: &mut MessageBuf,
) -> Result<(), WireError> {
    message.clear();
    message.set_header_bytes(wire.header());
    let arena = outbox.read(head.arena_offset, head.arena_bytes)?;
    for slot in slots {
        let bytes = &arena[slot.offset_bytes..slot.offset_bytes + slot.len_bytes];
        message.push_bytes(slot.dtype, slot.shape, bytes);
    }
    Ok(())
}
