//! The host's side of a [`HostHandle`] in one address space: safe for whoever answers, used by the host's
//! in-process tier, by its worker, and by the SDK's test driver.

use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{RResult, RSlice};

use crate::buffer::MessageBuf;
use crate::table::{AbiError, HostHandle, HostOp, HostTable, HostTableRef, Message};
use crate::tensor::TensorView;

/// Who answers a learner that calls the host.
pub trait Serve {
    /// Writes the answer to `op` into `answer`, which is empty.
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError>;
}

/// Refuses everything: for calls in which the host offers nothing.
pub struct Nothing;

impl Serve for Nothing {
    fn serve(&mut self, op: HostOp, _: Message<'_>, _: &mut MessageBuf) -> Result<(), AbiError> {
        match op {
            HostOp::LOG => Ok(()),
            _ => {
                let message = format!("the host does not offer `{}` in this call", op.name());
                Err(AbiError::new(crate::ErrorKind::HOST, message))
            }
        }
    }
}

/// Memory that a served call needs; kept from call to call to be reused.
#[derive(Default)]
pub struct Answers {
    answer: MessageBuf,
    scratch: MessageBuf,
}

struct Frame<'a> {
    serve: &'a mut dyn Serve,
    answers: &'a mut Answers,
    // Views of `answers.answer`, valid until the next call through the handle.
    views: Vec<TensorView<'static>>,
}

/// Runs `call` with a handle through which `serve` answers.
pub fn with_host<R>(
    serve: &mut dyn Serve,
    answers: &mut Answers,
    call: impl FnOnce(HostHandle<'_>) -> R,
) -> R {
    let mut frame = Frame { serve, answers, views: Vec::new() };
    let context = std::ptr::from_mut(&mut frame).cast::<()>();
    // SAFETY: `answer_call` takes exactly this context, and `frame` outlives `call`, which cannot keep
    // the handle: its lifetime is that of the closure's argument.
    call(unsafe { HostHandle::new(context, table()) })
}

fn table() -> HostTableRef {
    static TABLE: std::sync::OnceLock<HostTableRef> = std::sync::OnceLock::new();
    *TABLE.get_or_init(|| HostTable { call: answer_call }.leak_into_prefix())
}

/// # Safety
/// `context` is the frame of a `with_host` that is still running, and nobody else uses it meanwhile: a
/// learner is entered by one thread and the handle is not `Sync`.
unsafe extern "C" fn answer_call(
    context: *mut (),
    op: HostOp,
    message: Message<'_>,
) -> RResult<Message<'static>, AbiError> {
    // SAFETY: see the function's contract.
    let frame = unsafe { &mut *context.cast::<Frame<'_>>() };
    let answer = match op {
        // A log record must not disturb the answer before it.
        HostOp::LOG => &mut frame.answers.scratch,
        _ => {
            frame.views.clear();
            &mut frame.answers.answer
        }
    };
    answer.clear();
    match frame.serve.serve(op, message, answer) {
        Err(error) => RResult::RErr(error),
        Ok(()) if op == HostOp::LOG => {
            RResult::ROk(Message { header: RSlice::EMPTY, tensors: RSlice::EMPTY })
        }
        Ok(()) => {
            // SAFETY: the views and the header borrow `answers.answer`, which is left alone until the
            // next call that is no log record; `HostHandle::call` ends the borrow before that.
            frame.views = unsafe {
                std::mem::transmute::<Vec<TensorView<'_>>, Vec<TensorView<'static>>>(answer.views())
            };
            let header = answer.header();
            // SAFETY: as above.
            let header = unsafe { RSlice::from_raw_parts(header.as_ptr(), header.len()) };
            let (pointer, len) = (frame.views.as_ptr(), frame.views.len());
            // SAFETY: as above; `frame.views` is not touched before the next call either.
            let tensors = unsafe { RSlice::from_raw_parts(pointer, len) };
            RResult::ROk(Message { header, tensors })
        }
    }
}
