//! Scoring: predictions of a saved state, made by throw-away learners, and the accuracies they amount to.
//! Nothing flows back to the learner that is being trained.

mod accuracy;
mod predict;
mod recompute;

pub use accuracy::{
    Row, Scored, StreamFacts, accuracy_row, curve_of, right_row, scenarios_of, summarise,
};
pub use predict::{Around, Moment, ScoreFault, Scorer, ViewPredictions, load, order_key};
pub use recompute::{Change, RecomputeError, Recomputed, recompute};
