//! The layout-checked types: root module, learner object, host table, messages.
//!
//! What may grow: the prefix types [`PluginRoot`] and [`HostTable`] (fields at the end) and the operations
//! (new numbers). What is frozen with version 1.0: everything else here.

use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings, sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RBox, RResult, RSlice, RString, RVec},
};
use std::marker::PhantomData;

use crate::tensor::{DType, TensorView};

/// What the host asks a learner to do.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op(pub u32);

impl Op {
    /// `()` -> [`crate::message::Declaration`]. Once, directly after `create`.
    pub const DECLARE: Op = Op(1);
    /// [`crate::message::ExperienceMsg`] -> `()`.
    pub const BEGIN_EXPERIENCE: Op = Op(2);
    /// [`crate::message::StepMsg`] -> [`crate::message::ReportMsg`].
    pub const OBSERVE: Op = Op(3);
    /// [`crate::message::ExperienceMsg`] -> `()`.
    pub const END_EXPERIENCE: Op = Op(4);
    /// [`crate::message::SeedMsg`] -> `()`.
    pub const END_OF_STREAM: Op = Op(5);
    /// [`crate::message::PredictMsg`] -> [`crate::message::PredictReply`].
    pub const PREDICT: Op = Op(6);
    /// `()` -> [`crate::message::ResourcesReply`].
    pub const RESOURCES: Op = Op(7);
    /// `()` -> `()`; the state goes out through [`HostOp::WRITE_STATE`].
    pub const SAVE: Op = Op(8);
    /// `()` -> `()`; the state comes in through [`HostOp::READ_STATE`].
    pub const LOAD: Op = Op(9);

    /// Name used in messages to people.
    pub fn name(self) -> &'static str {
        match self {
            Op::DECLARE => "declare",
            Op::BEGIN_EXPERIENCE => "begin_experience",
            Op::OBSERVE => "observe",
            Op::END_EXPERIENCE => "end_experience",
            Op::END_OF_STREAM => "end_of_stream",
            Op::PREDICT => "predict",
            Op::RESOURCES => "resources",
            Op::SAVE => "save",
            Op::LOAD => "load",
            _ => "unknown",
        }
    }
}

/// What a learner asks the host to do while it is being called.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostOp(pub u32);

impl HostOp {
    /// [`crate::message::Request`] -> [`crate::message::DrawsMsg`].
    pub const DRAW: HostOp = HostOp(1);
    /// [`crate::message::IterateMsg`] -> [`crate::message::IterateReply`].
    pub const ITERATE: HostOp = HostOp(2);
    /// [`crate::message::NextMsg`] -> [`crate::message::NextReply`].
    pub const NEXT: HostOp = HostOp(3);
    /// [`crate::message::WriteColumnMsg`] -> `()`.
    pub const WRITE_COLUMN: HostOp = HostOp(4);
    /// [`crate::message::RelabelMsg`] -> `()`.
    pub const RELABEL: HostOp = HostOp(5);
    /// [`crate::message::ReplaceMsg`] -> `()`.
    pub const REPLACE: HostOp = HostOp(6);
    /// [`crate::message::ValidationMsg`] -> [`crate::message::ValidationReply`].
    pub const VALIDATION_SCORE: HostOp = HostOp(7);
    /// `()` -> [`crate::message::CancelledReply`].
    pub const CANCELLED: HostOp = HostOp(8);
    /// Tensor 0 (u8): the next piece of the saved state -> `()`.
    pub const WRITE_STATE: HostOp = HostOp(9);
    /// `()` -> tensor 0 (u8): the next piece of the state to load; empty at the end.
    pub const READ_STATE: HostOp = HostOp(10);
    /// [`crate::message::LogMsg`] -> `()`.
    pub const LOG: HostOp = HostOp(11);
    /// [`crate::message::EventMsg`] -> `()`.
    pub const REPORT_EVENT: HostOp = HostOp(12);

    /// Name used in messages to people.
    pub fn name(self) -> &'static str {
        match self {
            HostOp::DRAW => "draw",
            HostOp::ITERATE => "iterate",
            HostOp::NEXT => "next",
            HostOp::WRITE_COLUMN => "write_column",
            HostOp::RELABEL => "relabel",
            HostOp::REPLACE => "replace",
            HostOp::VALIDATION_SCORE => "validation_score",
            HostOp::CANCELLED => "cancelled",
            HostOp::WRITE_STATE => "write_state",
            HostOp::READ_STATE => "read_state",
            HostOp::LOG => "log",
            HostOp::REPORT_EVENT => "report_event",
            _ => "unknown",
        }
    }
}

/// Kind of a failure that crosses the boundary.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorKind(pub u32);

impl ErrorKind {
    /// The learner returned an error.
    pub const LEARNER: ErrorKind = ErrorKind(1);
    /// The learner panicked; the instance is poisoned.
    pub const PANIC: ErrorKind = ErrorKind(2);
    /// The instance panicked in an earlier call and refuses to work.
    pub const POISONED: ErrorKind = ErrorKind(3);
    /// A message could not be understood.
    pub const MESSAGE: ErrorKind = ErrorKind(4);
    /// The operation is not known to this side.
    pub const UNSUPPORTED: ErrorKind = ErrorKind(5);
    /// The hyper-parameters were refused.
    pub const CONFIG: ErrorKind = ErrorKind(6);
    /// The host refused a service (what the learner asked for is not granted or not valid).
    pub const HOST: ErrorKind = ErrorKind(7);
    /// The state to load was refused.
    pub const STATE: ErrorKind = ErrorKind(8);

    /// Name used in results.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::LEARNER => "error",
            ErrorKind::PANIC => "panic",
            ErrorKind::POISONED => "poisoned",
            ErrorKind::MESSAGE => "bad-message",
            ErrorKind::UNSUPPORTED => "unsupported",
            ErrorKind::CONFIG => "config",
            ErrorKind::HOST => "host-refused",
            ErrorKind::STATE => "state",
            _ => "unknown",
        }
    }
}

/// A failure that crosses the boundary.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct AbiError {
    pub kind: ErrorKind,
    pub message: RString,
    /// `file:line:column` of a panic, else empty.
    pub location: RString,
}

impl AbiError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        AbiError { kind, message: message.into().into(), location: RString::new() }
    }
}

impl std::fmt::Display for AbiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if !self.location.is_empty() {
            write!(f, " (at {})", self.location)?;
        }
        Ok(())
    }
}
impl std::error::Error for AbiError {}

/// A JSON header and the tensors it names by index; borrowed for the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Message<'a> {
    pub header: RSlice<'a, u8>,
    pub tensors: RSlice<'a, TensorView<'a>>,
}

/// A tensor that a learner hands over.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct OwnedTensor {
    pub data: RVec<u8>,
    pub dtype: DType,
    pub shape: RVec<u64>,
}

/// A learner's answer: a JSON header (empty for `()`) and the tensors it names.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct Reply {
    pub header: RVec<u8>,
    pub tensors: RVec<OwnedTensor>,
}

/// What the host offers. A prefix type: later versions append.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostTableRef, prefix_fields = HostTablePrefix)))]
#[sabi(missing_field(option))]
pub struct HostTable {
    /// The single entry point. The answer borrows host memory that stays as it is until the next call
    /// through the same handle or until the outer call returns, whichever is first; `'static` stands
    /// for that. [`HostOp::LOG`] is the exception: it leaves the answer of the call before as it is,
    /// so that a log record may be sent while an answer is being read.
    #[sabi(last_prefix_field)]
    pub call:
        unsafe extern "C" fn(*mut (), HostOp, Message<'_>) -> RResult<Message<'static>, AbiError>,
}

/// The host as seen from inside one call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostHandle<'a> {
    context: *mut (),
    table: HostTableRef,
    lifetime: PhantomData<&'a mut ()>,
}

impl HostHandle<'_> {
    /// Pairs a context with the table that understands it.
    ///
    /// # Safety
    /// `table.call` must accept `context` for as long as the handle (or a copy) is used.
    pub unsafe fn new(context: *mut (), table: HostTableRef) -> Self {
        HostHandle { context, table, lifetime: PhantomData }
    }

    /// Calls the host. The answer is valid until the next call: `&mut self` keeps it borrowed.
    pub fn call(&mut self, op: HostOp, message: Message<'_>) -> Result<Message<'_>, AbiError> {
        // SAFETY: `new` promises that the table accepts the context while the handle lives, and the
        // returned lifetime is cut down to the borrow of `self`, which ends before the next call.
        unsafe { (self.table.call())(self.context, op, message) }.into_result()
    }
}

/// A learner behind the boundary. `Send`: it may move between threads, never be entered twice at once.
#[sabi_trait]
pub trait LearnerAbi: Send {
    /// Does `op`. Never unwinds: the SDK's adapter turns panics into errors.
    #[sabi(last_prefix_field)]
    fn call(
        &mut self,
        op: Op,
        message: Message<'_>,
        host: HostHandle<'_>,
    ) -> RResult<Reply, AbiError>;
}

/// An owned learner.
pub type LearnerBox = LearnerAbi_TO<'static, RBox<()>>;

/// The one thing a plugin exports. A prefix type: later versions append.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef, prefix_fields = PluginRootPrefix)))]
#[sabi(missing_field(option))]
pub struct PluginRoot {
    /// JSON text of [`crate::manifest::Description`].
    pub describe: extern "C" fn() -> RResult<RVec<u8>, AbiError>,
    /// [`crate::message::CreateMsg`] -> a learner.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(Message<'_>, HostHandle<'_>) -> RResult<LearnerBox, AbiError>,
    #[cfg(feature = "fixture-next")]
    pub fixture: extern "C" fn() -> u32,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}
    const BASE_NAME: &'static str = "perdura_plugin";
    const NAME: &'static str = "perdura_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
