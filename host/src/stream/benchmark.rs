//! An assembled benchmark: samples by index, labels by position in the class order.

use std::borrow::Cow;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use perdura_abi::message::Grants;
use serde::{Deserialize, Serialize};

use super::circle::Drawn;
use super::transform::{Transform, rotate};
use super::{EvalHead, StreamError};
use crate::augment::Pixels;
use crate::data::{DataPair, Dataset};

/// What changes from experience to experience, and what is told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// New classes; no task label at test.
    ClassIl,
    /// New classes; the task label is known at test.
    TaskIl,
    /// The same classes in a new domain.
    DomainIl,
    /// Boundaries are not told.
    TaskFree,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scenario::ClassIl => "class-il",
            Scenario::TaskIl => "task-il",
            Scenario::DomainIl => "domain-il",
            Scenario::TaskFree => "task-free",
        })
    }
}

/// Samples that come between two boundaries, by id. Ids of training and of test samples are counted
/// apart, each over the whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experience {
    /// In file order, without those held out.
    pub train: Vec<u32>,
    /// In file order; empty in a union.
    pub test: Vec<u32>,
    /// Labels that occur: positions in the class order.
    pub classes: Vec<u32>,
    /// Which experiences it is similar to by construction, where that is known. Never told in
    /// training.
    pub group: Option<u32>,
}

/// What the id of a sample stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// The row of the data set.
    Rows,
    /// `experience * rows + row`: experiences show one data set in another way each, and one image
    /// in two of them is two samples.
    Transformed(Vec<Transform>),
    /// The number of a draw.
    Drawn(Drawn),
}

/// Data, scenario and order.
#[derive(Clone, Debug)]
pub struct Benchmark {
    pub name: String,
    pub scenario: Scenario,
    pub data: Arc<DataPair>,
    /// Class of the data set at each position.
    pub class_order: Vec<u32>,
    pub experiences: Vec<Experience>,
    pub samples: Samples,
    /// Held-out training samples of each experience, in file order; empty lists without validation.
    pub validation: Vec<Vec<u32>>,
    /// Output width C.
    pub classes: usize,
    pub pixels: Pixels,
    /// Of the recipe, before any option.
    pub default_epochs: u32,
    pub default_batch: u32,
    /// In force.
    pub epochs: u32,
    pub batch: u32,
    pub drop_last: bool,
    pub eval_head: EvalHead,
    /// Steps between two scores, besides those at boundaries; where boundaries are hidden, of all scores.
    /// `None` where there are none between boundaries, and for a union, which is scored at its end.
    pub score_every: Option<u64>,
    /// Inverse of `class_order`.
    pub(super) class_positions: Vec<u32>,
}

impl Benchmark {
    /// What a learner may know in training (design section 7).
    pub fn grants(&self, online: bool) -> Grants {
        let boundaries = self.scenario != Scenario::TaskFree;
        Grants {
            boundaries,
            experience_classes: matches!(self.scenario, Scenario::ClassIl | Scenario::TaskIl),
            second_pass: boundaries && !online,
        }
    }

    /// `[channels, height, width]` of one input.
    pub fn input_shape(&self) -> Vec<usize> {
        let shape = self.pixels.shape();
        vec![shape.channels, shape.height, shape.width]
    }

    /// Label of a training (`train`) or test sample: the position of its class in the class order.
    pub fn label(&self, train: bool, id: u32) -> u32 {
        let class = self.part(train).labels[self.row(train, id) as usize];
        self.class_positions[class as usize]
    }

    /// Row of the data set that a training (`train`) or test sample shows.
    pub fn row(&self, train: bool, id: u32) -> u32 {
        match &self.samples {
            Samples::Rows => id,
            Samples::Transformed(_) => id % self.part(train).len() as u32,
            Samples::Drawn(drawn) => drawn.of(train)[id as usize].row,
        }
    }

    /// Has the stored pixels of training samples brought near: rows lie far apart in memory, and waiting for
    /// all of them at once is shorter than for one after another.
    pub fn fetch(&self, ids: impl Iterator<Item = u32>) {
        let part = self.part(true);
        let lines = ids.flat_map(|id| part.image(self.row(true, id)).iter().step_by(64));
        black_box(lines.fold(0, |all, byte| all ^ byte));
    }

    /// Pixels of a training or validation sample as its experience shows them.
    pub fn train_image(&self, id: u32) -> Cow<'_, [u8]> {
        self.image(true, id)
    }

    /// Pixels of a test sample as its experience shows them.
    pub fn test_image(&self, id: u32) -> Cow<'_, [u8]> {
        self.image(false, id)
    }

    fn image(&self, train: bool, id: u32) -> Cow<'_, [u8]> {
        let part = self.part(train);
        let image = part.image(self.row(train, id));
        match &self.samples {
            Samples::Rows => Cow::Borrowed(image),
            Samples::Transformed(transforms) => {
                let transform = &transforms[id as usize / part.len()];
                transform.apply(part.shape, image).map_or(Cow::Borrowed(image), Cow::Owned)
            }
            Samples::Drawn(drawn) => {
                let degrees = drawn.of(train)[id as usize].degrees;
                Cow::Owned(rotate(image, part.shape, degrees))
            }
        }
    }

    /// Identity of a training sample over the whole stream, as learners see it.
    pub fn uid(&self, id: u32) -> u64 {
        u64::from(id)
    }

    /// The training sample of the experience that has this identity.
    pub fn find_uid(&self, experience: usize, uid: u64) -> Option<u32> {
        let id = u32::try_from(uid).ok()?;
        self.experiences[experience].train.binary_search(&id).ok().map(|_| id)
    }

    /// Whether experiences belong to known groups.
    pub fn has_groups(&self) -> bool {
        self.experiences.iter().all(|experience| experience.group.is_some())
    }

    /// Labels seen once this experience has been trained, as a mask over the outputs.
    pub fn seen_classes(&self, experience: usize) -> Vec<bool> {
        let mut seen = vec![false; self.classes];
        for class in self.experiences[..=experience].iter().flat_map(|e| &e.classes) {
            seen[*class as usize] = true;
        }
        seen
    }

    /// Labels seen in the first steps of a stream without boundaries, as a mask over the outputs. An
    /// experience counts with all its classes once it has begun.
    pub fn seen_after_steps(&self, steps: u64) -> Vec<bool> {
        let mut seen = vec![false; self.classes];
        if let Some(sizes) = self.drawn_batches() {
            let samples: u64 = sizes.iter().take(steps as usize).map(|&size| u64::from(size)).sum();
            (0..samples as u32).for_each(|id| seen[self.label(true, id) as usize] = true);
            return seen;
        }
        let mut first = 0;
        for (number, experience) in self.experiences.iter().enumerate() {
            if steps > first {
                experience.classes.iter().for_each(|&class| seen[class as usize] = true);
            }
            first += self.steps_per_epoch(number) * u64::from(self.epochs);
        }
        seen
    }

    /// Steps in one epoch of an experience with the batch in force.
    pub fn steps_per_epoch(&self, experience: usize) -> u64 {
        let batch = u64::from(self.batch);
        if let Some(sizes) = self.drawn_batches() {
            let kept = |size: &&u32| !self.drop_last || u64::from(**size) == batch;
            return sizes.iter().filter(kept).count() as u64;
        }
        let samples = self.experiences[experience].train.len() as u64;
        if self.drop_last { samples / batch } else { samples.div_ceil(batch) }
    }

    /// Batches of an epoch's order, those that are smaller left out where `drop_last` says so. A
    /// stream that was drawn in batches keeps them.
    pub fn batches<'a, T>(&self, order: &'a [T]) -> Vec<&'a [T]> {
        let batch = self.batch as usize;
        let all: Vec<&[T]> = match self.drawn_batches() {
            Some(sizes) if order.len() == self.experiences[0].train.len() => {
                let mut rest = order;
                let cut = |size: &u32| {
                    let (first, others) = rest.split_at(*size as usize);
                    rest = others;
                    first
                };
                sizes.iter().map(cut).collect()
            }
            _ => order.chunks(batch).collect(),
        };
        all.into_iter().filter(|cut| !self.drop_last || cut.len() == batch).collect()
    }

    /// Sizes of the batches of a stream that was drawn in batches.
    pub(super) fn drawn_batches(&self) -> Option<&[u32]> {
        match &self.samples {
            Samples::Drawn(drawn) if !drawn.batches.is_empty() => Some(&drawn.batches),
            _ => None,
        }
    }

    /// One experience that holds all training samples, for an upper bound. It tests nothing: scores
    /// are taken on the experiences of the benchmark it came from.
    pub fn union(&self) -> Benchmark {
        let gather = |lists: &mut dyn Iterator<Item = &Vec<u32>>| {
            let mut all: Vec<u32> = lists.flatten().copied().collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let whole = Experience {
            train: gather(&mut self.experiences.iter().map(|e| &e.train)),
            test: Vec::new(),
            classes: gather(&mut self.experiences.iter().map(|e| &e.classes)),
            group: None,
        };
        let validation = vec![gather(&mut self.validation.iter())];
        let mut union = Benchmark { experiences: vec![whole], validation, ..self.clone() };
        union.score_every = None;
        if let Samples::Drawn(drawn) = &mut union.samples {
            drawn.batches.clear();
        }
        union
    }

    /// Refuses batches that leave nothing to train on.
    pub(super) fn check_steps(&self) -> Result<(), StreamError> {
        let sizes = self.experiences.iter().map(|e| e.train.len()).enumerate();
        match sizes.min_by_key(|&(_, samples)| samples) {
            Some((experience, samples)) if samples < self.batch as usize => {
                let (batch, drop_last) = (self.batch, self.drop_last);
                Err(StreamError::BatchTooLarge { batch, experience, samples, drop_last })
            }
            _ => Ok(()),
        }
    }

    fn part(&self, train: bool) -> &Dataset {
        if train { &self.data.train } else { &self.data.test }
    }
}
