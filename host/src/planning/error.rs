//! Why a plan could not be made.

use super::PresetFileError;
use crate::plugin::LoadError;
use crate::plugin::trust::TrustError;
use crate::stream::{LockError, StreamError};
use crate::worker::CallFault;

/// Something about a plan was refused; nothing has been written.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(
        "{id} is a program of its own, which cannot run in the tier `{tier}`\n  \
         remedy: --isolation process"
    )]
    Foreign { id: String, tier: &'static str },
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    PresetFile(#[from] PresetFileError),
    #[error("a learner needs at least 1 thread, found 0; choose --threads 1 or more")]
    NoThreads,
    #[error("{method} has no preset `{found}`{hint}; it has: {known}")]
    Preset { method: String, found: String, hint: String, known: String },
    #[error("{method} has no hyper-parameter `{found}`{hint}; it has: {known}")]
    HyperParameter { method: String, found: String, hint: String, known: String },
    #[error(
        "{method} does not support {found}, the scenario of {benchmark}; it supports {supported} \
         (`perdura benchmarks list` shows the scenario of each benchmark)"
    )]
    Scenario { method: String, benchmark: String, found: String, supported: String },
    #[error(
        "{method} was not built for the device `{found}`; this build of it has: {known}\n  \
         remedy: another --device, or a build with that backend (perdura's own plugins: `cargo \
         build --release --features perdura-nn/libtorch`, or `perdura-nn/cuda`)"
    )]
    Device { method: String, found: String, known: String },
    /// The learner could not even be made.
    #[error("{method} cannot be created with these settings: {fault}")]
    Create { method: String, fault: Box<CallFault> },
    /// The host cannot give the learner what it wants.
    #[error("{method}: {problem}")]
    Declaration { method: String, problem: String },
}
