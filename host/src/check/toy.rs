//! The synthetic stream that plugins are checked on: four classes of 8 x 8 images, each with a bright
//! quarter of its own on a dark, noisy ground. Any learner can separate them, and a step costs little.

use std::sync::Arc;

use crate::augment::{SslAugment, TrainAugment};
use crate::data::{DataPair, Dataset, ImageShape};
use crate::rng::{Rng, below, keyed};
use crate::stream::{Benchmark, Construction, Recipe, Scenario, StreamOptions};

pub const CLASSES: usize = 4;
/// Side of an image in pixels.
const SIDE: usize = 8;
const TRAIN_PER_CLASS: usize = 24;
const TEST_PER_CLASS: usize = 10;
/// Divides the samples of an experience: no batch is smaller than the others.
const BATCH: u32 = 8;
/// Samples that the replay memory holds.
pub const MEMORY_SAMPLES: usize = 20;

/// Which stream.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub scenario: Scenario,
    /// Experiences, of equally many classes each (in Domain-IL of all classes).
    pub experiences: usize,
    pub epochs: u32,
    pub seed: u64,
}

impl Stage {
    /// Class-IL in two experiences of two classes, two epochs each.
    pub fn new(seed: u64) -> Self {
        Stage { scenario: Scenario::ClassIl, experiences: 2, epochs: 2, seed }
    }

    pub fn benchmark(&self) -> Benchmark {
        let Stage { scenario, experiences, epochs, seed } = *self;
        let construction = match scenario {
            Scenario::DomainIl => Construction::Permuted { experiences },
            _ => Construction::Split { experiences },
        };
        let recipe = Recipe {
            name: "check",
            about: "",
            data: "check",
            scenario,
            construction,
            epochs,
            batch: BATCH,
            drop_last: false,
            statistics: &[],
            train_augment: TrainAugment { crop_padding: 0, flip: false },
            ssl_augment: Some(SslAugment::MNIST),
        };
        let assembled = recipe.assemble(Arc::new(data(seed)), &StreamOptions::default(), seed);
        let mut benchmark = assembled.expect("the recipe fits the data it was written for");
        // So that views which are told the true group can be asked.
        for (index, experience) in benchmark.experiences.iter_mut().enumerate() {
            experience.group = Some(index as u32);
        }
        benchmark
    }
}

fn data(seed: u64) -> DataPair {
    let part = |name: &str, per_class: usize| {
        let mut rng = keyed(seed, name, &[]);
        let labels: Vec<u32> = (0..per_class * CLASSES).map(|i| (i % CLASSES) as u32).collect();
        let images: Vec<u8> = labels.iter().flat_map(|&label| image(label, &mut rng)).collect();
        let shape = ImageShape { channels: 1, height: SIDE, width: SIDE };
        Dataset { images: images.into(), labels, shape, classes: CLASSES }
    };
    let (train, test) = (part("check/train", TRAIN_PER_CLASS), part("check/test", TEST_PER_CLASS));
    DataPair { name: "check".into(), train, test, scale: 255.0 }
}

/// An image of a class: its quarter between 170 and 255, the rest below 60.
fn image(label: u32, rng: &mut Rng) -> Vec<u8> {
    let half = SIDE / 2;
    let pixel = |place: usize| {
        let (row, column) = (place / SIDE, place % SIDE);
        let quarter = (row / half * 2 + column / half) as u32;
        match quarter == label {
            true => 170 + below(rng, 86) as u8,
            false => below(rng, 60) as u8,
        }
    };
    (0..SIDE * SIDE).map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_told_apart_by_one_quarter_and_every_scenario_can_be_made() {
        let scenarios =
            [Scenario::ClassIl, Scenario::TaskIl, Scenario::DomainIl, Scenario::TaskFree];
        for scenario in scenarios {
            let benchmark = Stage { scenario, ..Stage::new(5) }.benchmark();
            assert_eq!((benchmark.experiences.len(), benchmark.classes), (2, CLASSES));
            assert_eq!(benchmark.input_shape(), [1, SIDE, SIDE]);
        }
        let benchmark = Stage::new(5).benchmark();
        for &id in &benchmark.experiences[1].test {
            let (image, label) = (benchmark.test_image(id), benchmark.label(false, id) as usize);
            let corner = |quarter: usize| image[quarter / 2 * 7 * SIDE + quarter % 2 * 7];
            for quarter in 0..CLASSES {
                assert_eq!(corner(quarter) >= 170, quarter == label, "sample {id}");
            }
        }
    }
}
