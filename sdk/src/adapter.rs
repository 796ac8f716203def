//! Between the boundary and the trait: reads messages, calls the learner, writes replies, and lets no panic
//! through. A learner that panicked is not called again.

use perdura_abi::message::{
    CreateMsg, Declaration, ExperienceMsg, PredictMsg, PredictReply, ResourcesReply, SeedMsg,
    StepMsg,
};
use perdura_abi::table::{HostHandle, LearnerAbi};
use perdura_abi::{
    AbiError, ErrorKind, Message, MessageBuf, Op, OwnedTensor, Reply,
    abi_stable::std_types::{RResult, RString},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bridge;
use crate::error::{Error, Result, to_abi};
use crate::host::{Host, parse, reply_of};
use crate::learner::{Context, ContinualLearner, Experience, Logits, Query};
use crate::random::begin_call;
use crate::rows::{Step, elements};
use crate::state::{StateReader, StateWriter};

/// Pieces in which a state crosses the boundary.
const STATE_PIECE_BYTES: usize = 4 << 20;

/// A learner behind the boundary.
pub struct Instance<L> {
    // `None` after a panic while dropping, and only then.
    learner: Option<L>,
    context: Context,
    declaration: Declaration,
    requests: Vec<String>,
    poisoned: bool,
}

impl<L: ContinualLearner> Instance<L> {
    /// Makes a learner from a [`CreateMsg`].
    pub fn create(message: Message<'_>, host: HostHandle<'_>) -> Result<Self, AbiError> {
        let _entered = bridge::enter(host);
        guard(|| {
            let message: CreateMsg = parse(&message)?;
            bridge::set_level(&message.log_level);
            let context = Context::new(&message.context, begin_call(message.seed));
            let config = |value| {
                serde_json::from_value::<L::Config>(value).map_err(|e| {
                    Error::of_kind(ErrorKind::CONFIG, format!("hyper-parameters: {e}"))
                })
            };
            let declaration = L::declare(&config(message.config.clone())?, &context);
            let learner = L::create(config(message.config)?, &context)?;
            let requests = declaration.requests.iter().map(|r| r.name.clone()).collect();
            let learner = Some(learner);
            Ok(Instance { learner, context, declaration, requests, poisoned: false })
        })
    }

    fn dispatch(
        &mut self,
        op: Op,
        message: Message<'_>,
        host: HostHandle<'_>,
    ) -> Result<MessageBuf> {
        let shape = self.context.input_shape.clone();
        let learner = self.learner.as_mut().expect("a learner is there until it is dropped");
        let host = &mut Host::new(host, &shape);
        let nothing = |()| MessageBuf::new();
        match op {
            Op::DECLARE => Ok(reply_of(&self.declaration)),
            Op::BEGIN_EXPERIENCE => {
                learner.begin_experience(&experience(&message)?, host).map(nothing)
            }
            Op::OBSERVE => {
                let header: StepMsg = parse(&message)?;
                let call = begin_call(header.seed);
                let tensors = message.tensors.as_slice();
                let step = Step::read(&header, tensors, &shape, &self.requests, call)?;
                Ok(learner.observe(&step, host)?.into_message())
            }
            Op::END_EXPERIENCE => learner.end_experience(&experience(&message)?, host).map(nothing),
            Op::END_OF_STREAM => {
                let SeedMsg { seed } = parse(&message)?;
                learner.end_of_stream(&begin_call(seed), host).map(nothing)
            }
            Op::PREDICT => predict(learner, &self.context, &message),
            Op::RESOURCES => Ok(reply_of(&ResourcesReply { bytes: learner.resources().bytes })),
            Op::SAVE => {
                let mut state = StateWriter::new();
                learner.save(&mut state)?;
                state.stream(STATE_PIECE_BYTES, &mut |piece| host.write_state(piece))?;
                Ok(MessageBuf::new())
            }
            Op::LOAD => {
                let mut state = StateReader::from_pieces(&mut || host.read_state())?;
                learner.load(&mut state)?;
                state.finish().map(nothing)
            }
            Op(number) => {
                let message = format!("operation {number} is not known to this plugin");
                Err(Error::of_kind(ErrorKind::UNSUPPORTED, message))
            }
        }
    }
}

fn experience(message: &Message<'_>) -> Result<Experience> {
    let header: ExperienceMsg = parse(message)?;
    let call = begin_call(header.seed);
    Ok(Experience::new(header, call))
}

fn predict<L: ContinualLearner>(
    learner: &mut L,
    context: &Context,
    message: &Message<'_>,
) -> Result<MessageBuf> {
    let header: PredictMsg = parse(message)?;
    let tensors = message.tensors.as_slice();
    let inputs: &[f32] = elements(tensors, header.inputs, "inputs")?;
    let width = context.input_width();
    if width == 0 || !inputs.len().is_multiple_of(width) {
        let found = inputs.len();
        return Err(Error::message(format!("inputs: {found} values are no rows of {width}")));
    }
    let len = inputs.len() / width;
    let labels = |id| elements::<u32>(tensors, id, "labels of a view");
    let query = Query {
        view: &header.view,
        inputs,
        len,
        input_shape: &context.input_shape,
        task_labels: header.task_labels.map(labels).transpose()?,
        groups: header.groups.map(labels).transpose()?,
        call: begin_call(header.seed),
    };
    let mut values = vec![0.0f32; len * context.classes];
    let mut logits = Logits { values: &mut values, open: true };
    learner.predict(&query, &mut logits)?;
    let open = logits.open;
    let mut reply = MessageBuf::new();
    let logits = open.then(|| reply.push(&[len, context.classes], &values));
    reply.set_header(&PredictReply { logits });
    Ok(reply)
}

impl<L: ContinualLearner> LearnerAbi for Instance<L> {
    fn call(
        &mut self,
        op: Op,
        message: Message<'_>,
        host: HostHandle<'_>,
    ) -> RResult<Reply, AbiError> {
        if self.poisoned {
            let text = "the learner panicked in an earlier call and is not called again";
            return RResult::RErr(AbiError::new(ErrorKind::POISONED, text));
        }
        let _entered = bridge::enter(host);
        let result = guard(|| self.dispatch(op, message, host));
        self.poisoned |= matches!(&result, Err(e) if e.kind == ErrorKind::PANIC);
        result.map(into_reply).into()
    }
}

impl<L> Drop for Instance<L> {
    fn drop(&mut self) {
        // A panic that leaves a destructor would end the process; the panic hook has reported it.
        let learner = self.learner.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(learner)));
    }
}

/// Calls `f` and turns errors and panics into what crosses the boundary.
pub(crate) fn guard<R>(f: impl FnOnce() -> Result<R>) -> Result<R, AbiError> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(to_abi),
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().map(|s| (*s).to_string());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "panic with a payload that is no text".into());
            // Dropping a payload may itself panic; it is leaked instead.
            std::mem::forget(payload);
            let location = RString::from(bridge::take_location());
            Err(AbiError { kind: ErrorKind::PANIC, message: text.into(), location })
        }
    }
}

fn into_reply(message: MessageBuf) -> Reply {
    let tensor = |view: perdura_abi::TensorView<'_>| OwnedTensor {
        data: view.data.as_slice().to_vec().into(),
        dtype: view.dtype,
        shape: view.shape.as_slice().to_vec().into(),
    };
    Reply {
        header: message.header().to_vec().into(),
        tensors: message.views().into_iter().map(tensor).collect(),
    }
}
