//! A recipe holds the parameters of a benchmark. A new benchmark is a new row of [`SHIPPED`]; only
//! a new way of cutting data into experiences is new code.

use std::sync::Arc;

use super::{Benchmark, Scenario, StreamError, StreamOptions, split};
use crate::augment::{ChannelStatistics, Pixels, TrainAugment};
use crate::data::DataPair;

/// Everything about a benchmark but its data and its options.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub name: &'static str,
    /// One line for the list of benchmarks.
    pub about: &'static str,
    /// Data set, by its name in [`crate::data::NAMES`].
    pub data: &'static str,
    pub scenario: Scenario,
    pub construction: Construction,
    pub epochs: u32,
    pub batch: u32,
    pub drop_last: bool,
    /// Per channel; empty where inputs are not normalised.
    pub statistics: &'static [ChannelStatistics],
    pub train_augment: TrainAugment,
}

/// How experiences are cut out of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Construction {
    /// The class order, cut into `experiences` runs of equal length.
    Split { experiences: usize },
}

/// Sources: design section 7; algorithms section 5.2 (S-MNIST) and 1.7 (no normalisation, no
/// augmentation).
pub(super) const SHIPPED: &[Recipe] = &[
    Recipe {
        name: "split-digits",
        about: "bundled 8x8 digits, 5 experiences of 2 classes, batch 10, 10 epochs",
        data: "digits",
        scenario: Scenario::ClassIl,
        construction: Construction::Split { experiences: 5 },
        epochs: 10,
        batch: 10,
        drop_last: false,
        statistics: &[],
        train_augment: TrainAugment { crop_padding: 0, flip: false },
    },
    Recipe {
        name: "split-mnist",
        about: "MNIST, 5 experiences of 2 classes, batch 10, 1 epoch",
        data: "mnist",
        scenario: Scenario::ClassIl,
        construction: Construction::Split { experiences: 5 },
        epochs: 1,
        batch: 10,
        drop_last: false,
        statistics: &[],
        train_augment: TrainAugment { crop_padding: 0, flip: false },
    },
];

impl Recipe {
    /// Makes the benchmark from data already in memory, the caller's own included.
    ///
    /// # Errors
    /// Options that do not fit the data.
    pub fn assemble(
        &self,
        data: DataPair,
        options: &StreamOptions,
        seed: u64,
    ) -> Result<Benchmark, StreamError> {
        let class_order = options.class_order.resolve(data.train.classes, seed)?;
        let parts = match self.construction {
            Construction::Split { experiences } => split::split(&data, &class_order, experiences)?,
        };
        let (experiences, validation) = split::hold_out(&data, parts, options.validation)?;
        let benchmark = Benchmark {
            name: self.name.to_owned(),
            scenario: self.scenario,
            classes: class_order.len(),
            class_positions: split::positions(&class_order),
            class_order,
            experiences,
            validation,
            pixels: Pixels::new(data.train.shape, data.scale, self.statistics, self.train_augment),
            default_epochs: self.epochs,
            default_batch: self.batch,
            epochs: options.epochs.unwrap_or(self.epochs),
            batch: options.batch.unwrap_or(self.batch),
            drop_last: options.drop_last.unwrap_or(self.drop_last),
            eval_head: options.eval_head,
            data: Arc::new(data),
        };
        benchmark.check_steps()?;
        Ok(benchmark)
    }
}
