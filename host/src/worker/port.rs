//! What the trainer knows of a learner, and what a learner may ask of the host while it works.

use perdura_abi::MessageBuf;
use perdura_abi::table::{AbiError, ErrorKind, HostOp, Message, Op};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{CallFault, Usage};

/// One live learner, wherever it runs. `&mut self` keeps it from being entered twice at once.
pub trait LearnerPort: Send {
    /// Does `op` and writes the learner's answer into `reply` (cleared first, memory kept).
    ///
    /// After a fault of kind [`super::FaultKind::Error`] or [`super::FaultKind::Panic`] the learner still
    /// answers (a poisoned one with errors). After any other fault it is gone, and every later call
    /// returns that same fault.
    fn call(
        &mut self,
        op: Op,
        message: &MessageBuf,
        services: &mut dyn HostServices,
        reply: &mut MessageBuf,
    ) -> Result<(), CallFault>;

    /// Where the time of the last call went.
    fn times(&self) -> CallTimes;

    /// What the learner's process spends on looking out for the host, if it has one of its own.
    fn looking_out(&self) -> Option<Arc<LookingOut>>;

    /// Where the learner runs.
    fn tier(&self) -> Tier;

    /// Time and memory of the process the learner runs in; `None` once that process has ended.
    /// Reads several files: about a millisecond, so once per experience and not once per step.
    fn usage(&self) -> Option<Usage>;
}

/// Where the time of one call went, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTimes {
    /// From the arrival of the call at the worker to its answer, requests to the host included; the rest of
    /// what the host waited is the hand-over. `None` where there is no hand-over, or the worker does
    /// not say.
    pub worker: Option<Duration>,
    /// The host's own work for requests in between.
    pub services: Duration,
}

/// CPU time that a worker has spent on looking out for its host's next frame, by the host's own clocks. It is
/// part of what the kernel counts, and none of the learner's work.
#[derive(Debug, Default)]
pub struct LookingOut(AtomicU64);

impl LookingOut {
    pub(super) fn add(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// So far.
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)).as_secs_f64()
    }
}

/// How strongly a learner is kept apart from the host. Kept with every result.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// A process of its own that has given up its rights.
    Sandbox,
    /// A process of its own.
    Process,
    /// The run's own process: for trusted code and debuggers.
    InProcess,
}

impl Tier {
    /// The strongest tier that this system has.
    pub fn strongest() -> Tier {
        if super::lacking().is_empty() { Tier::Sandbox } else { Tier::Process }
    }

    /// As in results and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Sandbox => "sandbox",
            Tier::Process => "process",
            Tier::InProcess => "in-process",
        }
    }
}

/// What the host answers while a learner is being called.
pub trait HostServices {
    /// Answers one request into `answer`, which is empty when this is called.
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError>;
}

/// Services for calls in which a learner has nothing to ask: log records are dropped, all else is refused.
pub struct NoServices;

impl HostServices for NoServices {
    fn serve(&mut self, op: HostOp, _: Message<'_>, _: &mut MessageBuf) -> Result<(), AbiError> {
        if op == HostOp::LOG {
            return Ok(());
        }
        let text = format!("the host offers no `{}` in this call", op.name());
        Err(AbiError::new(ErrorKind::HOST, text))
    }
}
