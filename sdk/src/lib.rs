//! Everything the author of a continual-learning method needs.
//!
//! A method is a type that implements [`ContinualLearner`] and is exported with [`export_learner!`] from a
//! shared library. The life of a learner, in order:
//!
//! 1. [`ContinualLearner::declare`] says what the learner wants: replay requests, columns, views, scalars.
//! 2. [`ContinualLearner::create`] makes it from hyper-parameters and a [`Context`].
//! 3. [`ContinualLearner::observe`] gets one [`Step`] after another: the current batch and a draw for every
//!    request, already augmented and normalised. It answers with a [`StepReport`].
//! 4. [`ContinualLearner::begin_experience`], [`ContinualLearner::end_experience`] and
//!    [`ContinualLearner::end_of_stream`] frame the steps; there the learner may ask the [`Host`] for more.
//! 5. [`ContinualLearner::save`] and [`ContinualLearner::load`] carry it into another process, where
//!    [`ContinualLearner::predict`] is scored.
//!
//! The host owns data, replay memory, chance and judgement. A learner holds no generator: every call
//! carries a seed, and `call.rng("name")` makes a stream from it.
//!
//! ```
//! use perdura_sdk::prelude::*;
//!
//! /// Always predicts the class it has seen most.
//! struct Majority {
//!     counts: Vec<f32>,
//! }
//!
//! hyper_parameters! {
//!     /// It has none.
//!     struct Config {}
//! }
//!
//! impl ContinualLearner for Majority {
//!     type Config = Config;
//!
//!     fn about() -> About {
//!         About::new("predicts the most frequent class")
//!     }
//!
//!     fn declare(_: &Config, _: &Context) -> Declaration {
//!         Declaration::new().view("main").scalar("seen")
//!     }
//!
//!     fn create(_: Config, ctx: &Context) -> Result<Self> {
//!         Ok(Majority { counts: vec![0.0; ctx.classes] })
//!     }
//!
//!     fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
//!         for &label in step.current.labels() {
//!             self.counts[label as usize] += 1.0;
//!         }
//!         Ok(StepReport::new().scalar("seen", f64::from(self.counts.iter().sum::<f32>())))
//!     }
//!
//!     fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
//!         logits.write(&self.counts.repeat(query.len));
//!         Ok(())
//!     }
//!
//!     fn save(&self, state: &mut StateWriter) -> Result<()> {
//!         state.tensor("counts", &[self.counts.len()], &self.counts)
//!     }
//!
//!     fn load(&mut self, state: &mut StateReader) -> Result<()> {
//!         self.counts = state.tensor("counts", &[self.counts.len()])?;
//!         Ok(())
//!     }
//! }
//!
//! perdura_sdk::export_learner!(Majority, id = "examples/majority");
//!
//! use perdura_sdk::testing::{Driver, Setting};
//! let mut learner = Driver::<Majority>::new(Config::default(), Setting::new(3, &[2])).unwrap();
//! learner.observe(&[0.0; 4], &[2, 2]).unwrap();
//! assert_eq!(learner.predict("main", &[0.0; 2]).unwrap().unwrap(), [0.0, 0.0, 2.0]);
//! ```

mod about;
mod adapter;
mod bridge;
mod error;
mod export;
mod host;
mod hyper;
mod learner;
mod random;
mod report;
mod rows;
mod state;
pub mod testing;

pub use about::About;
pub use error::{Error, Result};
pub use host::{Batches, Host};
pub use learner::{Context, ContinualLearner, Experience, Logits, Query, Resources};
pub use perdura_abi::growth::{GrowthEvent, Kept, MergeLosses};
pub use perdura_abi::manifest::{Preset, StreamPreset};
pub use perdura_abi::message::{
    Declaration, EpochSource, Filter, Grants, Insert, InsertEpochs, InsertionPolicy,
    IterateMsg as Iterate, Position, Profile, Request, Source, StreamShape, View, ViewNeeds,
    Wishes,
};
pub use random::{Call, Rng, reseed_with};
pub use report::{Laps, Placement, StepReport};
pub use rows::{ColumnRows, Rows, Step};
pub use state::{StateReader, StateWriter};

/// The derive macros of hyper-parameters and the generator traits, so that one dependency is enough.
pub use {rand, schemars, serde, serde_json, tracing};

/// Everything a method file names.
pub mod prelude {
    pub use crate::{
        About, Call, Context, ContinualLearner, Declaration, EpochSource, Error, Experience,
        Filter, GrowthEvent, Host, Insert, InsertEpochs, InsertionPolicy, Iterate, Laps, Logits,
        Placement, Profile, Query, Request, Resources, Result, Rows, Source, StateReader,
        StateWriter, Step, StepReport, StreamShape, View, ViewNeeds, Wishes, export_learner,
        hyper_parameters,
    };
}

/// For the expansion of `export_learner!` alone.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{
        Exported, LibHeader, PARTS, description, join, joined_len, lib_header, manifest_parts,
    };
}
