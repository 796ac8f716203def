//! A learner in a process of its own, seen from the host: calls, deadlines, and what a death means.

use perdura_abi::MessageBuf;
use perdura_abi::buffer::{ALIGNMENT_BYTES, Slot};
use perdura_abi::message::CancelledReply;
use perdura_abi::table::{AbiError, ErrorKind, HostOp, Op};
use std::time::Duration;

use super::child::{WorkerChild, verdict};
use super::port::{HostServices, LearnerPort, Tier};
use super::protocol::{
    Head, HostHello, Kind, NOT_OPENED, VERSION, check_sendable, error_from, error_header,
};
use super::shared::Area;
use super::watch::Watch;
use super::wire::{Wire, WireError};
use super::{CallFault, FaultKind, Usage};

/// How long a learner may work without coming back to the host, per kind of call.
///
/// The clock starts anew with every request of the learner that moves its work on; `log` and `cancelled`
/// only stop it while they are served. When it runs out, `cancelled` answers yes for
/// [`Deadlines::grace`], then the worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Start, `create` and `declare`.
    pub create: Duration,
    pub observe: Duration,
    /// `begin_experience`, `end_experience`, `end_of_stream`.
    pub boundary: Duration,
    pub predict: Duration,
    /// `save`, `load`, `resources`.
    pub save_load: Duration,
    pub grace: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines {
            create: Duration::from_secs(120),
            observe: Duration::from_secs(120),
            boundary: Duration::from_secs(3600),
            predict: Duration::from_secs(600),
            save_load: Duration::from_secs(300),
            grace: Duration::from_secs(2),
        }
    }
}

impl Deadlines {
    /// The deadline of an operation.
    pub fn of(&self, op: Op) -> Duration {
        match op {
            Op::DECLARE => self.create,
            Op::OBSERVE => self.observe,
            Op::PREDICT => self.predict,
            Op::SAVE | Op::LOAD | Op::RESOURCES => self.save_load,
            _ => self.boundary,
        }
    }
}

/// A live worker with one learner.
pub struct WorkerPort {
    wire: Wire,
    inbox: Area,
    outbox: Area,
    deadlines: Deadlines,
    request: MessageBuf,
    answer: MessageBuf,
    /// Why the worker is gone.
    ended: Option<CallFault>,
    child: WorkerChild,
}

/// One thing to be done by the worker.
pub(super) struct Task<'a> {
    pub kind: Kind,
    pub number: u32,
    /// The call's name in faults.
    pub name: &'static str,
    pub deadline: Duration,
    pub message: &'a MessageBuf,
}

impl LearnerPort for WorkerPort {
    fn call(
        &mut self,
        op: Op,
        message: &MessageBuf,
        services: &mut dyn HostServices,
        reply: &mut MessageBuf,
    ) -> Result<(), CallFault> {
        let (name, deadline) = (op.name(), self.deadlines.of(op));
        let task = Task { kind: Kind::Call, number: op.0, name, deadline, message };
        self.perform(&task, services, reply)
    }

    fn tier(&self) -> Tier {
        Tier::Process
    }

    fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.id())
    }
}

impl WorkerPort {
    /// `inbox` and `outbox` are named as the worker sees them.
    pub(super) fn new(
        child: WorkerChild,
        wire: Wire,
        [inbox, outbox]: [Area; 2],
        deadlines: Deadlines,
    ) -> Self {
        let (request, answer, ended) = (MessageBuf::new(), MessageBuf::new(), None);
        WorkerPort { wire, inbox, outbox, deadlines, request, answer, ended, child }
    }

    /// Number of the worker's process, which is also that of its process group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// Exchanges greetings; the worker opens the plugin in between.
    pub(super) fn greet(&mut self, plugin: &std::path::Path) -> Result<(), CallFault> {
        let hello = MessageBuf::of_header(&HostHello { plugin: plugin.to_path_buf() });
        let mut watch = Watch::new(&self.child, self.deadlines.create, Duration::ZERO);
        let wire = &mut self.wire;
        let answer = wire
            .send((Kind::Hello, VERSION), hello.header(), (&[], (0, 0)), &mut watch)
            .and_then(|()| wire.receive(self.outbox.size_bytes(), &mut watch));
        match answer {
            Ok((head, _)) if head.kind == Kind::Hello && head.number == VERSION => Ok(()),
            Ok((head, _)) if head.kind == Kind::Fail && head.number == NOT_OPENED => {
                let message = error_from(NOT_OPENED, self.wire.header()).message.into();
                let kind = FaultKind::Error { kind: "load".into() };
                let last_log = self.child.last_log();
                let call = "open".into();
                Err(self.bury(CallFault { kind, call, message, location: None, last_log }))
            }
            Ok((head, _)) if head.kind == Kind::Hello => Err(self.bury(CallFault::protocol(
                "open",
                format!(
                    "the worker speaks protocol {}, this host protocol {VERSION}; \
                     use one build of perdura for both",
                    head.number
                ),
            ))),
            Ok((head, _)) => {
                let text = format!("the worker began with a frame {:?}", head.kind);
                Err(self.bury(CallFault::protocol("open", text)))
            }
            Err(error) => Err(self.post_mortem("open", self.deadlines.create, error)),
        }
    }

    /// Sends a task, serves the requests that come of it, and takes the outcome.
    pub(super) fn perform(
        &mut self,
        task: &Task<'_>,
        services: &mut dyn HostServices,
        reply: &mut MessageBuf,
    ) -> Result<(), CallFault> {
        if let Some(fault) = &self.ended {
            return Err(fault.clone());
        }
        reply.clear();
        match self.exchange(task, services, reply) {
            Ok(outcome) => outcome.map_err(|error| CallFault::from_abi(task.name, error)),
            Err(error) => Err(self.post_mortem(task.name, task.deadline, error)),
        }
    }

    fn exchange(
        &mut self,
        task: &Task<'_>,
        services: &mut dyn HostServices,
        reply: &mut MessageBuf,
    ) -> Result<Result<(), AbiError>, WireError> {
        if let Err(refusal) = put(&mut self.inbox, 0, task.message) {
            return Ok(Err(refusal));
        }
        let mut watch = Watch::new(&self.child, task.deadline, self.deadlines.grace);
        let (header, slots) = (task.message.header(), task.message.slots());
        let len = task.message.arena().len();
        let what = (task.kind, task.number);
        self.wire.send(what, header, (slots, (0, len)), &mut watch)?;
        let behind = len.next_multiple_of(ALIGNMENT_BYTES);
        loop {
            let (head, slots) = self.wire.receive(self.outbox.size_bytes(), &mut watch)?;
            match head.kind {
                Kind::Return | Kind::Fail if watch.overdue() => return Err(WireError::Timeout),
                Kind::Return => {
                    take(&self.wire, &mut self.outbox, (&head, slots), reply)?;
                    return Ok(Ok(()));
                }
                Kind::Fail => return Ok(Err(error_from(head.number, self.wire.header()))),
                Kind::HostCall => {
                    watch.pause();
                    self.request.clear();
                    take(&self.wire, &mut self.outbox, (&head, slots), &mut self.request)?;
                    let op = HostOp(head.number);
                    self.answer.clear();
                    let served = match op == HostOp::CANCELLED && watch.overdue() {
                        true => {
                            self.answer.set_header(&CancelledReply { cancelled: true });
                            Ok(())
                        }
                        false => self.request.with(|m| services.serve(op, m, &mut self.answer)),
                    };
                    let served = served.and_then(|()| put(&mut self.inbox, behind, &self.answer));
                    watch.resume(op);
                    match served {
                        Ok(()) => {
                            let arena = (behind, self.answer.arena().len());
                            let tensors = (self.answer.slots(), arena);
                            let what = (Kind::HostAnswer, 0);
                            self.wire.send(what, self.answer.header(), tensors, &mut watch)?;
                        }
                        Err(refusal) => {
                            let what = (Kind::HostRefusal, refusal.kind.0);
                            let header = error_header(&refusal);
                            self.wire.send(what, &header, (&[], (0, 0)), &mut watch)?;
                        }
                    }
                }
                kind => return Err(WireError::Garbage(format!("an unexpected frame {kind:?}"))),
            }
        }
    }

    /// Finds out what became of a worker that no longer answers, and makes sure it is gone.
    fn post_mortem(&mut self, call: &str, deadline: Duration, error: WireError) -> CallFault {
        let closed = matches!(error, WireError::Closed);
        let left_by_itself = closed && self.child.ends_within(Duration::from_secs(2));
        let status = self.child.end();
        let (kind, message) = match (error, status) {
            (WireError::Timeout, _) => {
                let seconds = deadline.as_secs_f64();
                (FaultKind::Timeout { seconds }, "it was stopped".to_string())
            }
            (WireError::Closed, Ok(status)) if left_by_itself => {
                let (kind, hint) = verdict(status);
                (kind, hint.to_string())
            }
            (error, _) => (FaultKind::Protocol, error.to_string()),
        };
        let last_log = self.child.last_log();
        self.bury(CallFault { kind, call: call.into(), message, location: None, last_log })
    }

    fn bury(&mut self, fault: CallFault) -> CallFault {
        let _ = self.child.end();
        self.ended = Some(fault.clone());
        fault
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
    message.set_header_bytes(wire.header());
    let arena = outbox.read(head.arena_offset, head.arena_bytes)?;
    for slot in slots {
        let bytes = &arena[slot.offset_bytes..slot.offset_bytes + slot.len_bytes];
        message.push_bytes(slot.dtype, slot.shape, bytes);
    }
    Ok(())
}
