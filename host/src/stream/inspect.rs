//! What a benchmark consists of, in a form that can be printed, stored and compared.

use serde::Serialize;

use super::{Benchmark, Samples, Scenario, StreamContent, Transform};

/// How many sample ids are shown of each list.
const SHOWN: usize = 5;

/// Summary of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    pub name: String,
    pub data: String,
    pub scenario: Scenario,
    pub classes: usize,
    /// Class of the data set at each position; a label is a position.
    pub class_order: Vec<u32>,
    /// `[channels, height, width]`.
    pub input_shape: Vec<usize>,
    pub default_epochs: u32,
    pub default_batch: u32,
    pub experiences: Vec<ExperienceInspection>,
    /// That of [`StreamContent`]: equal streams have equal hashes.
    pub sha256: String,
}

/// Summary of an experience.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExperienceInspection {
    /// Labels.
    pub classes: Vec<u32>,
    /// Numbers of samples.
    pub train: usize,
    pub validation: usize,
    pub test: usize,
    /// Counter-clockwise.
    pub degrees: f64,
    /// First places of the pixel permutation; empty where pixels stay.
    pub first_permutation: Vec<u32>,
    /// `None` where similarity is not known.
    pub group: Option<u32>,
    /// Rows of the data set's files, counted from 0.
    pub first_train: Vec<u32>,
    pub first_validation: Vec<u32>,
    pub first_test: Vec<u32>,
}

/// Summarises a benchmark.
pub fn inspect(benchmark: &Benchmark) -> Inspection {
    let rows = |train: bool, ids: &[u32]| {
        ids.iter().map(|&id| benchmark.row(train, id)).take(SHOWN).collect()
    };
    let still = Transform::default();
    let transform = |number: usize| match &benchmark.samples {
        Samples::Rows | Samples::Drawn(_) => &still,
        Samples::Transformed(transforms) => &transforms[number],
    };
    let experiences = benchmark.experiences.iter().zip(&benchmark.validation).enumerate();
    Inspection {
        name: benchmark.name.clone(),
        data: benchmark.data.name.clone(),
        scenario: benchmark.scenario,
        classes: benchmark.classes,
        class_order: benchmark.class_order.clone(),
        input_shape: benchmark.input_shape(),
        default_epochs: benchmark.default_epochs,
        default_batch: benchmark.default_batch,
        experiences: experiences
            .map(|(number, (experience, validation))| ExperienceInspection {
                classes: experience.classes.clone(),
                train: experience.train.len(),
                validation: validation.len(),
                test: experience.test.len(),
                degrees: transform(number).degrees(),
                first_permutation: {
                    transform(number).permutation().iter().copied().take(SHOWN).collect()
                },
                group: experience.group,
                first_train: rows(true, &experience.train),
                first_validation: rows(true, validation),
                first_test: rows(false, &experience.test),
            })
            .collect(),
        sha256: StreamContent::of(benchmark).sha256(),
    }
}
