//! From the files of several runs to one comparison: a document for machines and tables for people.
//! Nothing here trains or computes a metric; the numbers come from the summaries, the statistics
//! from `stats`.
//!
//! ```text
//! records of runs -> Comparison::of -> to_json | terminal | markdown
//! ```

mod document;
mod grid;
mod markdown;
mod pairs;
mod ranking;
mod record;
mod rows;
mod sentences;
mod terminal;
mod warnings;

pub use document::{
    AnytimeSpread, Comparison, Difference, Failure, GroupingSpread, Pair, Ranked, Ranking, Row,
    Side,
};
pub(crate) use grid::{
    Names, anytime_legend, fixed, interval, mark_legend, plus_minus, points, printable,
};
pub use markdown::markdown;
pub use record::RunRecord;
pub(crate) use record::{MethodRuns, by_method, scenario_rank};
pub(crate) use sentences::{failure_sentences, pair_sentences, ranking_sentences};
pub use terminal::{TerminalStyle, terminal};

#[cfg(test)]
pub(crate) mod tests;
