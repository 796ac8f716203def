//! Where time goes, and whether it has changed: the time ledger of a method on a benchmark, the benchmark
//! suite with its summaries, and the verdict over two of them.

mod compare;
mod ledger;
mod noise;
mod suite;
mod summary;

pub use compare::{Change, CompareError, Comparison, Verdict, compare};
pub use ledger::{LedgerLine, LedgerTable};
pub use suite::{Suite, SuiteError};
pub use summary::{FORMAT, Round, Summary, SummaryError};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Summary(#[from] SummaryError),
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error(transparent)]
    Compare(#[from] CompareError),
}
