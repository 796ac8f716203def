//! A learner in a process of its own, seen from the trainer: calls, deadlines, and what a death means.

use perdura_abi::MessageBuf;
use perdura_abi::table::Op;
use std::sync::Arc;
use std::time::Duration;

use super::child::{WorkerChild, verdict};
use super::link::{Greeting, Link, Task};
use super::port::{CallTimes, HostServices, LearnerPort, LookingOut, Tier};
use super::protocol::{HostHello, Kind};
use super::watch::Watch;
use super::wire::WireError;
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

const SIGABRT: i32 = 6;

/// A live worker with one learner.
pub struct WorkerPort {
    link: Link,
    deadlines: Deadlines,
    /// A call has begun and not come to its end.
    in_call: bool,
    /// Why the worker is gone.
    ended: Option<CallFault>,
    child: WorkerChild,
    tier: Tier,
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

    fn times(&self) -> CallTimes {
        self.link.times
    }

    fn looking_out(&self) -> Option<Arc<LookingOut>> {
        Some(self.link.looking_out.clone())
    }

    fn tier(&self) -> Tier {
        self.tier
    }

    fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.id())
    }
}

impl WorkerPort {
    pub(super) fn new(child: WorkerChild, link: Link, deadlines: Deadlines) -> Self {
        WorkerPort { link, deadlines, in_call: false, ended: None, child, tier: Tier::Process }
    }

    /// Number of the worker's process, which is also that of its process group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// Exchanges greetings; the worker confines itself and opens the plugin in between.
    pub(super) fn greet(&mut self, hello: &HostHello) -> Result<(), CallFault> {
        let call = "open";
        let mut watch = Watch::new(&self.child, self.deadlines.create, Duration::ZERO);
        let (kind, message) = match self.link.greet(hello, &mut watch) {
            Ok(Greeting::Ready) => {
                self.tier = if hello.confine.is_some() { Tier::Sandbox } else { Tier::Process };
                return Ok(());
            }
            Ok(Greeting::NotOpened(reason)) => (FaultKind::Error { kind: "load".into() }, reason),
            Ok(Greeting::Stranger(reason)) => (FaultKind::Protocol, reason),
            Err(error) => return Err(self.post_mortem(call, self.deadlines.create, error)),
        };
        Err(self.bury(CallFault::new(kind, call, message)))
    }

    /// Has the worker do one thing.
    pub(super) fn perform(
        &mut self,
        task: &Task<'_>,
        services: &mut dyn HostServices,
        reply: &mut MessageBuf,
    ) -> Result<(), CallFault> {
        if let Some(fault) = &self.ended {
            return Err(fault.clone());
        }
        if self.in_call {
            // Its services panicked: worker and host no longer agree on whose turn it is.
            let text = "the host left an earlier call half way";
            return Err(self.bury(CallFault::protocol(task.name, text)));
        }
        reply.clear();
        self.in_call = true;
        let mut watch = Watch::new(&self.child, task.deadline, self.deadlines.grace);
        let outcome = self.link.exchange(task, &mut watch, services, reply);
        self.in_call = false;
        match outcome {
            Ok(outcome) => {
                outcome.map_err(|error| self.with_traces(CallFault::from_abi(task.name, error)))
            }
            Err(error) => Err(self.post_mortem(task.name, task.deadline, error)),
        }
    }

    /// Finds out what became of a worker that no longer answers, and makes sure it is gone.
    fn post_mortem(&mut self, call: &str, deadline: Duration, error: WireError) -> CallFault {
        let closed = matches!(error, WireError::Closed);
        let left_by_itself = closed && self.child.ends_within(Duration::from_secs(2));
        let status = self.child.end_noting_peak();
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
        self.bury(CallFault::new(kind, call, message))
    }

    fn bury(&mut self, fault: CallFault) -> CallFault {
        let _ = self.child.end_noting_peak();
        let fault = self.with_traces(fault);
        self.ended = Some(fault.clone());
        fault
    }

    /// The fault with what the worker left of it.
    fn with_traces(&self, mut fault: CallFault) -> CallFault {
        fault.traces.peak_memory_bytes = self.child.peak_bytes();
        let (said, backtrace) = match fault.kind {
            FaultKind::Panic => {
                let panic = self.child.last_panic();
                (panic.before, panic.frames)
            }
            // Most often a panic that nothing could catch.
            FaultKind::Signal { number: SIGABRT, .. } => {
                let panic = self.child.last_panic();
                (panic.last_words(), panic.frames)
            }
            _ => (self.child.last_log(), Vec::new()),
        };
        (fault.last_log, fault.traces.backtrace) = (said.into(), backtrace);
        fault
    }
}
