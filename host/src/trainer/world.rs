//! What the host holds during a run: the stream's position, the replay memory, what the learner declared.
//! Everything that a learner sees of data is made from this.

use perdura_abi::message::{Declaration, Grants, Source};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::memory::{Now, ReplayMemory};
use crate::stream::Benchmark;

/// One sample, wherever it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Of the stream, by its id.
    Train { experience: u32, index: u32 },
    /// Of the memory.
    Slot(u32),
}

impl Item {
    /// Place in the memory of a sample that is taken from there.
    pub fn slot(self) -> Option<u32> {
        match self {
            Item::Slot(slot) => Some(slot),
            Item::Train { .. } => None,
        }
    }
}

/// Where the stream stands. Counts start at zero.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub experience: u32,
    /// The experience that ended last.
    pub finished: Option<u32>,
    pub epoch: u32,
    pub epochs: u32,
    pub step_in_epoch: u64,
    pub steps_per_epoch: u64,
    /// Over the whole stream.
    pub step: u64,
}

/// An iteration that the learner asked for.
pub struct Iteration {
    /// One epoch of samples, not shuffled.
    pub items: Vec<Item>,
    /// The epoch that was begun last; made when it begins, so that many epochs take no more memory.
    pub order: Vec<Item>,
    pub epochs_begun: u64,
    /// Place of the next batch in `order`.
    pub next: usize,
    pub number: u64,
    pub plan: perdura_abi::message::IterateMsg,
}

/// The host's side of a run.
pub struct World {
    /// What is trained on: the benchmark or its union.
    pub benchmark: Arc<Benchmark>,
    pub seed: u64,
    pub grants: Grants,
    pub declaration: Declaration,
    pub memory: Option<ReplayMemory>,
    pub place: Place,
    /// The current batch.
    pub batch: Vec<Item>,
    /// Slots the current batch has taken, by row.
    pub batch_slots: Vec<Option<u32>>,
    /// True from `begin_experience` to the end of `end_experience`.
    pub in_experience: bool,
    /// The epoch that is going on has samples of the memory in it.
    pub epoch_over_memory: bool,
    pub iterations: Vec<Iteration>,
    /// Calls of the learner to the host that draw chance, over the whole run.
    pub host_draws: u64,
    /// Time spent on views whose profile changes images by chance, since it was last taken.
    pub augmented: Cell<Duration>,
}

impl World {
    pub fn new(
        benchmark: Arc<Benchmark>,
        seed: u64,
        grants: Grants,
        declaration: Declaration,
        memory: Option<ReplayMemory>,
    ) -> Self {
        World {
            benchmark,
            seed,
            grants,
            declaration,
            memory,
            place: Place::default(),
            batch: Vec::new(),
            batch_slots: Vec::new(),
            in_experience: false,
            epoch_over_memory: false,
            iterations: Vec::new(),
            host_draws: 0,
            augmented: Cell::default(),
        }
    }

    pub fn label(&self, item: Item) -> u32 {
        match item {
            Item::Train { index, .. } => self.benchmark.label(true, index),
            Item::Slot(slot) => self.held().label(slot),
        }
    }

    pub fn uid(&self, item: Item) -> u64 {
        match item {
            Item::Train { index, .. } => self.benchmark.uid(index),
            Item::Slot(slot) => self.held().uid(slot),
        }
    }

    pub fn experience(&self, item: Item) -> u32 {
        match item {
            Item::Train { experience, .. } => experience,
            Item::Slot(slot) => self.held().experience(slot),
        }
    }

    /// Calls `f` with the pixels of a sample.
    pub fn with_image<R>(&self, item: Item, f: impl FnOnce(&[u8]) -> R) -> R {
        match item {
            Item::Train { index, .. } => f(&self.benchmark.train_image(index)),
            Item::Slot(slot) => f(self.held().image(slot)),
        }
    }

    /// The memory of which a slot is known.
    fn held(&self) -> &ReplayMemory {
        self.memory.as_ref().expect("an item in a slot comes from the memory")
    }

    /// Where the stream stands as far as the learner may know: without boundaries it is one long
    /// experience, so that filters give nothing away.
    pub fn now(&self) -> Now {
        let Place { experience, finished, .. } = self.place;
        match self.grants.boundaries {
            true => Now { experience, finished },
            false => Now::default(),
        }
    }

    /// Whether the learner may go over the samples of the current experience now: from
    /// `begin_experience` to `end_experience`, where a second pass is granted.
    pub fn may_iterate_current(&self) -> bool {
        self.grants.second_pass && self.in_experience
    }

    /// All training samples of the current experience, in file order.
    pub fn current_experience(&self) -> impl Iterator<Item = Item> + '_ {
        let experience = self.place.experience;
        let train = &self.benchmark.experiences[experience as usize].train;
        train.iter().map(move |&index| Item::Train { experience, index })
    }

    /// Held-out samples of the experiences so far. Refused without boundaries: that there are more of
    /// them than before would tell of one.
    pub fn validation(&self) -> Result<Vec<Item>, String> {
        if !self.grants.boundaries {
            return Err("validation data are not granted where boundaries are hidden".into());
        }
        let lists = self.benchmark.validation.iter().enumerate();
        let until = self.place.experience as usize;
        Ok(lists
            .take_while(|(experience, _)| *experience <= until)
            .flat_map(|(experience, list)| {
                let experience = experience as u32;
                list.iter().map(move |&index| Item::Train { experience, index })
            })
            .collect())
    }
}

/// Whether a source needs a memory to be of use.
pub fn wants_memory(source: Source) -> bool {
    matches!(source, Source::Memory | Source::CurrentOrMemory)
}
