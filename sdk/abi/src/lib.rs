//! The boundary between the Perdura host and a plugin.
//!
//! A plugin exports one [`table::PluginRoot`]. The host calls `create` and gets an opaque learner with a
//! single method, [`table::LearnerAbi::call`]: an operation number, a [`Message`] and a
//! [`table::HostHandle`] go in, a [`Reply`] comes out. While it works, the learner may call the host back
//! through the handle, with messages of the same form. A message is a JSON header (the structs of
//! [`message`]) and a table of tensors that the header names by index, so the same message travels
//! between address spaces unchanged: a worker process relays it without reading it.
//!
//! Authors of methods never see this crate: `perdura-sdk` turns messages into typed values.
//! This is the only crate that names abi_stable.
#![allow(non_camel_case_types, non_local_definitions)] // abi_stable's derive output

pub mod buffer;
pub mod growth;
pub mod manifest;
pub mod message;
pub mod serve;
pub mod table;
pub mod tensor;

pub use buffer::MessageBuf;
pub use table::{AbiError, ErrorKind, HostOp, LearnerBox, Message, Op, OwnedTensor, Reply};
pub use tensor::{DType, Element, TensorView};

/// abi_stable itself, for the export macro and the loader.
#[doc(hidden)]
pub use abi_stable;

/// Version of the boundary. Until it is frozen only an equal string loads.
pub const ABI: &str = "1.0-draft.1";
