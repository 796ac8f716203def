//! The learner's way back to its host: a [`HostHandle`] made from whoever answers. Used by the host's
//! in-process tier, by its worker, and by the SDK's test driver.
//!
//! The boundary promises that an answer stays valid until the learner's next request or the end of the
//! outer call, which no lifetime can say across a C function. This file keeps that promise in one place,
//! for learners in this process and for the worker alike.

use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{RErr, ROk, RResult, RSlice};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use crate::buffer::{MessageBuf, Slot, views_of};
use crate::table::{AbiError, ErrorKind, HostHandle, HostOp, HostTable, HostTableRef, Message};
use crate::tensor::TensorView;

/// A message by its parts.
pub struct Parts<'a> {
    pub header: &'a [u8],
    pub slots: &'a [Slot],
    pub arena: &'a [u8],
}

impl<'a> From<&'a MessageBuf> for Parts<'a> {
    fn from(message: &'a MessageBuf) -> Self {
        Parts { header: message.header(), slots: message.slots(), arena: message.arena() }
    }
}

/// Someone who answers a learner's requests and keeps each answer until the next.
pub trait Answerer {
    fn answer(&mut self, op: HostOp, message: Message<'_>) -> Result<Parts<'_>, AbiError>;

    /// Takes a log record ([`HostOp::LOG`]) and leaves the answer before it as it is.
    fn log(&mut self, message: Message<'_>) -> Result<(), AbiError>;
}

/// Runs `outer_call` with a handle whose requests go to `answerer`.
///
/// A panic of the answerer does not cross the learner: the learner gets an error, and the panic goes on
/// when the outer call has returned.
pub fn with_handle<R>(
    answerer: &mut dyn Answerer,
    outer_call: impl FnOnce(HostHandle<'_>) -> R,
) -> R {
    let mut context = Context { answerer, views: Vec::new(), panic: None };
    let pointer = (&raw mut context).cast::<()>();
    // SAFETY: `call_host` takes a pointer to a `Context`, and this one outlives the handle, whose
    // lifetime ends with `outer_call`. Nothing else touches it meanwhile.
    let handle = unsafe { HostHandle::new(pointer, host_table()) };
    let result = outer_call(handle);
    if let Some(panic) = context.panic {
        resume_unwind(panic);
    }
    result
}

struct Context<'a> {
    answerer: &'a mut dyn Answerer,
    /// Views of the latest answer. Their `'static` stands for "until the next request".
    views: Vec<TensorView<'static>>,
    panic: Option<Panic>,
}

fn host_table() -> HostTableRef {
    static TABLE: OnceLock<HostTableRef> = OnceLock::new();
    *TABLE.get_or_init(|| HostTable { call: call_host }.leak_into_prefix())
}

/// # Safety
/// `context` must come from [`with_handle`], whose outer call is still running, and no other request
/// through it may be under way.
unsafe extern "C" fn call_host(
    context: *mut (),
    op: HostOp,
    message: Message<'_>,
) -> RResult<Message<'static>, AbiError> {
    // SAFETY: the caller promises that this is the context of a running outer call and that nobody else
    // uses it. A `HostHandle` is neither `Send` nor usable twice at once.
    let context = unsafe { &mut *context.cast::<Context<'_>>() };
    let Context { answerer, views, panic } = context;
    let answerer: &mut dyn Answerer = &mut **answerer;
    if op == HostOp::LOG {
        let logged = catch_unwind(AssertUnwindSafe(move || answerer.log(message)));
        return match logged {
            Ok(Ok(())) => ROk(Message { header: RSlice::EMPTY, tensors: RSlice::EMPTY }),
            Ok(Err(error)) => RErr(error),
            Err(payload) => RErr(failed(panic, payload, op)),
        };
    }
    views.clear();
    let answer = move || {
        // Moved in, so that the answer borrows from the answerer and not from this closure.
        let answerer = answerer;
        answerer.answer(op, message)
    };
    match catch_unwind(AssertUnwindSafe(answer)) {
        Ok(Ok(parts)) => {
            let answer_views = views_of(parts.slots, parts.arena);
            // SAFETY: the answerer keeps what it returned until its next `answer`, and by the promise of
            // `HostTable::call` the learner uses it no longer than that or the outer call.
            views.extend(answer_views.into_iter().map(|view| unsafe { forget_lifetime(view) }));
            let message =
                Message { header: RSlice::from_slice(parts.header), tensors: views[..].into() };
            // SAFETY: as above; `views` too stays untouched until the next request.
            ROk(unsafe { std::mem::transmute::<Message<'_>, Message<'static>>(message) })
        }
        Ok(Err(error)) => RErr(error),
        Err(payload) => RErr(failed(panic, payload, op)),
    }
}

type Panic = Box<dyn Any + Send>;

/// Keeps a panic for the end of the outer call.
fn failed(kept: &mut Option<Panic>, panic: Panic, op: HostOp) -> AbiError {
    *kept = Some(panic);
    AbiError::new(ErrorKind::HOST, format!("the host failed in `{}`", op.name()))
}

/// # Safety
/// The view must not be used after the data, shape and strides it borrows are gone.
unsafe fn forget_lifetime(view: TensorView<'_>) -> TensorView<'static> {
    // SAFETY: only the lifetime changes; the caller answers for it.
    unsafe { std::mem::transmute::<TensorView<'_>, TensorView<'static>>(view) }
}
