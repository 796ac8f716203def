//! What the command line answers when something is refused.

use crate::memory::MemoryError;
use crate::plugin::LoadError;
use crate::run::RunError;
use crate::scaffold::ScaffoldError;
use crate::stream::StreamError;
use crate::trainer::ExecuteError;
use crate::worker::CallFault;

/// A command that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Scaffold(#[from] ScaffoldError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The learner of a plan could not even be made.
    #[error("{method} cannot be created with these settings: {fault}")]
    Create { method: String, fault: Box<CallFault> },
    #[error("{0}")]
    Input(String),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
}

impl CliError {
    pub fn input(message: impl Into<String>) -> Self {
        CliError::Input(message.into())
    }
}
