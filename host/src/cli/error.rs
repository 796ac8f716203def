//! What the command line answers when something is refused.

use crate::bench::BenchError;
use crate::check::CheckError;
use crate::fetch::FetchError;
use crate::index::IndexError;
use crate::planning::PlanError;
use crate::plugin::LoadError;
use crate::plugin::trust::TrustError;
use crate::run::RunError;
use crate::scaffold::ScaffoldError;
use crate::stream::{LockError, StreamError};
use crate::trainer::ExecuteError;

/// A command that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Scaffold(#[from] ScaffoldError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error("{0}")]
    Input(String),
    #[error("{path} cannot be read or written; check the path and its permissions")]
    File { path: String, source: std::io::Error },
}

impl CliError {
    pub fn input(message: impl Into<String>) -> Self {
        CliError::Input(message.into())
    }
}
