//! A recipe holds the parameters of a benchmark. A new benchmark is a new row of [`SHIPPED`]; only
//! a new way of cutting data into experiences is new code.

use std::sync::Arc;

use super::circle::Circle;
use super::{
    Angles, Benchmark, Samples, Scenario, ScoreOn, StreamError, StreamOptions, circle, domains,
    split,
};
use crate::augment::{ChannelStatistics, Pixels, ResizedCrop, SslAugment, TrainAugment};
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
    /// Views for self-supervised learning; `None` where they are not offered.
    pub ssl_augment: Option<SslAugment>,
}

/// How experiences are cut out of a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Construction {
    /// The class order, cut into `experiences` runs of equal length.
    Split { experiences: usize },
    /// The whole data set in every experience, its pixels permuted anew.
    Permuted { experiences: usize },
    /// The whole data set in every experience, rotated by an angle from `[0, degrees_below)`.
    Rotated { experiences: usize, degrees_below: f64 },
    /// Groups that differ by a permutation, rotated by each of the angles in turn; so many training
    /// and test images in each experience.
    Groups { groups: usize, angles: Angles, train: usize, test: usize },
    /// The first `classes` of the class order in pairs, each pair for a while, turning; once round all
    /// pairs in each of the rounds.
    Circle { classes: usize, rounds: usize },
}

/// Padding 4, mirrored: CIFAR and Tiny-ImageNet.
const CROP_AND_FLIP: TrainAugment = TrainAugment { crop_padding: 4, flip: true };
const NO_AUGMENTATION: TrainAugment = TrainAugment { crop_padding: 0, flip: false };

const CIFAR10: [ChannelStatistics; 3] =
    statistics([(0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2615)]);
const CIFAR100: [ChannelStatistics; 3] =
    statistics([(0.5071, 0.2675), (0.4867, 0.2565), (0.4408, 0.2761)]);
const TINY_IMAGENET: [ChannelStatistics; 3] =
    statistics([(0.4802, 0.2770), (0.4480, 0.2691), (0.3975, 0.2821)]);
const IMAGENET: [ChannelStatistics; 3] =
    statistics([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]);

/// Mean and standard deviation of red, green and blue.
const fn statistics(of: [(f32, f32); 3]) -> [ChannelStatistics; 3] {
    let [red, green, blue] = of;
    [of_channel(red), of_channel(green), of_channel(blue)]
}

const fn of_channel((mean, deviation): (f32, f32)) -> ChannelStatistics {
    ChannelStatistics { mean, deviation }
}

/// Samples between two scores of a task-free stream, where the options name no number of steps: a
/// number that has nothing to do with how a stream is built, and the same for every batch.
const SCORE_EVERY_SAMPLES: u64 = 8000;

/// What rows of the MNIST family leave open: split by classes, batch 10, one epoch, no normalisation
/// and no augmentation (algorithms section 1.7), self-supervised views of section 2.13.
const PLAIN: Recipe = Recipe {
    name: "",
    about: "",
    data: "",
    scenario: Scenario::ClassIl,
    construction: Construction::Split { experiences: 5 },
    epochs: 1,
    batch: 10,
    drop_last: false,
    statistics: &[],
    train_augment: NO_AUGMENTATION,
    ssl_augment: Some(SslAugment::MNIST),
};

/// Views of 8x8 digits, whose pixels are three and a half of MNIST's.
const DIGITS_SSL: SslAugment = SslAugment::Plain { rotation_degrees: 15.0, shift: 1, noise: 0.1 };

/// What rows of CIFAR and Tiny-ImageNet leave open. Last batches are kept, as in Mammoth; the presets
/// of a method whose authors left them out say so.
const NATURAL: Recipe = Recipe {
    name: "",
    about: "",
    data: "",
    scenario: Scenario::ClassIl,
    construction: Construction::Split { experiences: 5 },
    epochs: 50,
    batch: 32,
    drop_last: false,
    statistics: &CIFAR10,
    train_augment: CROP_AND_FLIP,
    ssl_augment: Some(SslAugment::Colour { crop: ResizedCrop::TORCHVISION }),
};

/// Sources: design section 7; algorithms sections 5.2 (also statistics of CIFAR-100), 1.7 (other
/// statistics, augmentation), 1.6 (epochs, batch), 2.5 to 2.7 (folders) and 3.0.6
/// (`known-similarity`).
pub(super) const SHIPPED: &[Recipe] = &[
    Recipe {
        name: "split-digits",
        about: "bundled 8x8 digits, 5 experiences of 2 classes, batch 10, 10 epochs",
        data: "digits",
        epochs: 10,
        ssl_augment: Some(DIGITS_SSL),
        ..PLAIN
    },
    Recipe {
        name: "split-mnist",
        about: "MNIST, 5 experiences of 2 classes, batch 10, 1 epoch",
        data: "mnist",
        ..PLAIN
    },
    Recipe {
        name: "split-fmnist",
        about: "Fashion-MNIST, 5 experiences of 2 classes, batch 10, 1 epoch",
        data: "fmnist",
        ..PLAIN
    },
    Recipe {
        name: "perm-mnist",
        about: "MNIST in 20 pixel permutations, batch 128, 1 epoch",
        data: "mnist",
        scenario: Scenario::DomainIl,
        construction: Construction::Permuted { experiences: 20 },
        batch: 128,
        ..PLAIN
    },
    Recipe {
        name: "rot-mnist",
        about: "MNIST at 20 angles from 0 to 180 degrees, batch 128, 1 epoch",
        data: "mnist",
        scenario: Scenario::DomainIl,
        construction: Construction::Rotated { experiences: 20, degrees_below: 180.0 },
        batch: 128,
        ..PLAIN
    },
    Recipe {
        name: "known-similarity",
        about: "MNIST, 3 groups (permutations) x 3 angles of 6,000 images, batch 10, 1 epoch",
        data: "mnist",
        scenario: Scenario::DomainIl,
        construction: Construction::Groups {
            groups: 3,
            angles: Angles::of(&[0.0, 20.0, 40.0]),
            train: 6000,
            test: 2000,
        },
        ..PLAIN
    },
    Recipe {
        name: "known-similarity-digits",
        about: "bundled digits, 3 groups x 3 angles of 600 images, batch 10, 5 epochs",
        data: "digits",
        scenario: Scenario::DomainIl,
        construction: Construction::Groups {
            groups: 3,
            angles: Angles::of(&[0.0, 20.0, 40.0]),
            train: 600,
            test: 200,
        },
        epochs: 5,
        ssl_augment: Some(DIGITS_SSL),
        ..PLAIN
    },
    Recipe {
        name: "mnist-360",
        about: "MNIST digits 0 to 8 in pairs, turning, no boundaries, batch 16, 1 epoch",
        data: "mnist",
        scenario: Scenario::TaskFree,
        construction: Construction::Circle { classes: 9, rounds: 3 },
        batch: 16,
        ..PLAIN
    },
    Recipe {
        name: "digits-360",
        about: "bundled digits 0 to 8 in pairs, turning, no boundaries, batch 16, 1 epoch",
        data: "digits",
        scenario: Scenario::TaskFree,
        construction: Construction::Circle { classes: 9, rounds: 3 },
        batch: 16,
        ssl_augment: Some(DIGITS_SSL),
        ..PLAIN
    },
    Recipe {
        name: "split-cifar10",
        about: "CIFAR-10, 5 experiences of 2 classes, batch 32, 50 epochs",
        data: "cifar10",
        ..NATURAL
    },
    Recipe {
        name: "split-cifar10-subset",
        about: "2,000 images of CIFAR-10, else as split-cifar10",
        data: "cifar10-subset",
        ..NATURAL
    },
    Recipe {
        name: "split-cifar100",
        about: "CIFAR-100, 10 experiences of 10 classes, batch 32, 50 epochs",
        data: "cifar100",
        construction: Construction::Split { experiences: 10 },
        statistics: &CIFAR100,
        ..NATURAL
    },
    Recipe {
        name: "split-tinyimagenet",
        about: "Tiny-ImageNet, 10 experiences of 20 classes, batch 32, 50 epochs",
        data: "tinyimagenet",
        construction: Construction::Split { experiences: 10 },
        statistics: &TINY_IMAGENET,
        ..NATURAL
    },
    Recipe {
        name: "split-folder",
        about: "a folder per class: split-folder:path=DIR,classes=5,size=84; batch 10, 1 epoch",
        data: "folder",
        // Follows from the folder and the parameters.
        construction: Construction::Split { experiences: 1 },
        statistics: &IMAGENET,
        ssl_augment: Some(SslAugment::DUALNET),
        ..PLAIN
    },
];

impl Recipe {
    /// Makes the benchmark from data already in memory, the caller's own included.
    ///
    /// # Errors
    /// Options that do not fit the data.
    pub fn assemble(
        &self,
        data: impl Into<Arc<DataPair>>,
        options: &StreamOptions,
        seed: u64,
    ) -> Result<Benchmark, StreamError> {
        let data: Arc<DataPair> = data.into();
        let epochs = options.epochs.unwrap_or(self.epochs);
        let batch = options.batch.unwrap_or(self.batch);
        for (option, value) in [("--epochs", epochs), ("--batch", batch)] {
            if value == 0 {
                return Err(StreamError::Zero { option });
            }
        }
        let score_every = self.score_every(options, batch)?;
        let class_order = options.class_order.resolve(data.train.classes, seed)?;
        let (parts, samples) = match self.construction {
            Construction::Split { experiences } => {
                (split::split(&data, &class_order, experiences)?, Samples::Rows)
            }
            Construction::Permuted { experiences } => domains::permuted(&data, experiences, seed)?,
            Construction::Rotated { experiences, degrees_below } => {
                domains::rotated(&data, experiences, degrees_below, seed)?
            }
            Construction::Groups { groups, angles, train, test } => {
                domains::groups(&data, groups, &angles, (train, test), seed)?
            }
            Construction::Circle { classes, rounds } => {
                if options.validation > 0.0 {
                    let fraction = options.validation;
                    return Err(StreamError::ValidationOfDraws { fraction });
                }
                let class_order = class_order.as_slice();
                circle::circle(&data, Circle { class_order, classes, rounds, batch, seed })?
            }
        };
        if self.scenario == Scenario::TaskFree && matches!(samples, Samples::Transformed(_)) {
            return Err(StreamError::TaskFreeTransforms);
        }
        let (mut experiences, validation) = split::hold_out(&data, parts, options.validation)?;
        let data = match options.score_on {
            ScoreOn::Test => data,
            ScoreOn::Validation => split::score_held_out(&data, &mut experiences, &validation)?,
        };
        let benchmark = Benchmark {
            name: self.name.to_owned(),
            scenario: self.scenario,
            classes: class_order.len(),
            class_positions: split::positions(&class_order),
            class_order,
            experiences,
            samples,
            validation,
            pixels: Pixels::new(
                data.train.shape,
                data.scale,
                self.statistics,
                self.train_augment,
                self.ssl_augment,
            ),
            default_epochs: self.epochs,
            default_batch: self.batch,
            epochs,
            batch,
            drop_last: options.drop_last.unwrap_or(self.drop_last),
            eval_head: options.eval_head,
            score_every,
            data,
        };
        benchmark.check_steps()?;
        Ok(benchmark)
    }

    /// Steps between two scores, where there are some besides those at boundaries.
    fn score_every(&self, options: &StreamOptions, batch: u32) -> Result<Option<u64>, StreamError> {
        match (self.scenario, options.score_every) {
            (_, Some(0)) => Err(StreamError::Zero { option: "--score-every" }),
            (_, Some(steps)) => Ok(Some(steps)),
            (Scenario::TaskFree, None) => Ok(Some((SCORE_EVERY_SAMPLES / u64::from(batch)).max(1))),
            (_, None) => Ok(None),
        }
    }
}
