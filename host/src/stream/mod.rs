//! Benchmarks: which samples a learner meets, in which order, with which labels. A benchmark is
//! made from a [`Recipe`] (parameters), a data set and [`StreamOptions`]; nothing here trains or
//! scores.
//!
//! ```
//! use perdura::stream::{self, StreamOptions};
//!
//! let benchmark = stream::build("split-digits", None, &StreamOptions::default(), 0)?;
//! assert_eq!(benchmark.experiences.len(), 5);
//! for index in stream::epoch_order(&benchmark, 0, 0, 0) {
//!     assert!(benchmark.experiences[0].classes.contains(&benchmark.label(true, index)));
//! }
//! # Ok::<(), stream::StreamError>(())
//! ```

mod angles;
mod benchmark;
mod circle;
mod content;
mod domains;
mod error;
mod inspect;
mod lock;
mod options;
mod order;
mod parameters;
mod recipe;
mod source;
mod split;
mod transform;

use std::path::Path;

pub use angles::Angles;
pub use benchmark::{Benchmark, Experience, Samples, Scenario};
pub use circle::{Draw, Drawn};
pub use content::{ExperienceContent, Listed, StreamContent};
pub use error::StreamError;
pub use inspect::{ExperienceInspection, Inspection, inspect};
pub use lock::{Lock, LockError, LockedStream};
pub use options::{ClassOrder, EvalHead, ParseOptionError, ScoreOn, StreamOptions};
pub use order::epoch_order;
pub use recipe::{Construction, Recipe};
pub use source::Source;
pub use transform::Transform;

/// Recipes that ship with the host, each with its name and a line about it.
pub fn names() -> &'static [Recipe] {
    recipe::SHIPPED
}

/// Loads the data of a shipped recipe and assembles the benchmark. Parameters follow the name:
/// `split-cifar100:experiences=5`.
///
/// # Errors
/// An unknown name or parameter, data that cannot be loaded, or options that do not fit the data.
pub fn build(
    name: &str,
    data_dir: Option<&Path>,
    options: &StreamOptions,
    seed: u64,
) -> Result<Benchmark, StreamError> {
    Source::open(name, data_dir)?.benchmark(options, seed)
}

#[cfg(test)]
mod circle_tests;
#[cfg(test)]
mod domain_tests;
#[cfg(test)]
mod tests;
