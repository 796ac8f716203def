//! A learner in the run's own process. No deadline and no limit holds here: a learner that hangs or
//! crashes takes the run with it. For trusted code and debuggers.

use perdura_abi::MessageBuf;
use perdura_abi::message::CreateMsg;
use perdura_abi::table::{
    AbiError, HostHandle, HostOp, LearnerBox, Message, Op, PluginRootRef, Reply,
};

use super::port::{CallTimes, HostServices, LearnerPort, LookingOut, Tier};
use super::{CallFault, Usage};
use perdura_abi::serve::{Answerer, Parts, with_handle};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A learner that is called directly.
pub struct InProcessPort {
    learner: LearnerBox,
    /// Answers to the learner's requests; kept for its memory.
    answer: MessageBuf,
    /// The host's work for requests of the last call.
    services: Duration,
}

/// Creates a learner of an opened plugin in this process.
pub fn in_process(
    root: PluginRootRef,
    create: &CreateMsg,
    services: &mut dyn HostServices,
) -> Result<InProcessPort, CallFault> {
    let mut answer = MessageBuf::new();
    let message = MessageBuf::of_header(create);
    let mut spent = Duration::ZERO;
    let created = message.with(|message| {
        let mut desk = Desk { services, answer: &mut answer, spent: &mut spent };
        // The handle may only live for this call, which `create`'s signature says too.
        with_handle(&mut desk, |handle| root.create()(message, handle).into_result())
    });
    let learner = created.map_err(|error| CallFault::from_abi("create", error))?;
    Ok(InProcessPort { learner, answer, services: Duration::ZERO })
}

impl LearnerPort for InProcessPort {
    fn call(
        &mut self,
        op: Op,
        message: &MessageBuf,
        services: &mut dyn HostServices,
        reply: &mut MessageBuf,
    ) -> Result<(), CallFault> {
        let InProcessPort { learner, answer, services: spent } = self;
        *spent = Duration::ZERO;
        let outcome = message.with(|message| {
            let mut desk = Desk { services, answer, spent };
            let call = |handle: HostHandle<'_>| learner.call(op, message, handle).into_result();
            with_handle(&mut desk, call)
        });
        reply.clear();
        let answered = outcome.map_err(|error| CallFault::from_abi(op.name(), error))?;
        copy_reply(&answered, reply);
        Ok(())
    }

    fn looking_out(&self) -> Option<Arc<LookingOut>> {
        None
    }

    fn times(&self) -> CallTimes {
        CallTimes { worker: None, services: self.services }
    }

    fn tier(&self) -> Tier {
        Tier::InProcess
    }

    fn usage(&self) -> Option<Usage> {
        Usage::of(std::process::id())
    }
}

fn copy_reply(answered: &Reply, reply: &mut MessageBuf) {
    reply.set_header_bytes(&answered.header);
    for tensor in &answered.tensors {
        reply.push_bytes(tensor.dtype, tensor.shape.to_vec(), &tensor.data);
    }
}

/// Hands requests to the trainer's services.
struct Desk<'a> {
    services: &'a mut dyn HostServices,
    answer: &'a mut MessageBuf,
    spent: &'a mut Duration,
}

impl Answerer for Desk<'_> {
    fn answer(&mut self, op: HostOp, message: Message<'_>) -> Result<Parts<'_>, AbiError> {
        self.answer.clear();
        let began = Instant::now();
        let served = self.services.serve(op, message, self.answer);
        *self.spent += began.elapsed();
        served.map(|()| Parts::from(&*self.answer))
    }

    fn log(&mut self, message: Message<'_>) -> Result<(), AbiError> {
        self.services.serve(HostOp::LOG, message, &mut MessageBuf::new())
    }
}
