//! How samples come in: offered, and then the policy decides whether and where they stay, or placed
//! in a slot that the learner chose. A policy only chooses a slot; each has a file of its own.

use perdura_abi::message::InsertionPolicy;
use serde::{Deserialize, Serialize};

use super::class_balanced::ClassBalanced;
use super::{MemoryError, ReplayMemory, Sample, reservoir, ring};
use crate::rng::Rng;

/// A policy with what it remembers of the samples offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    #[default]
    Reservoir,
    ClassBalanced(ClassBalanced),
    Ring {
        /// Slots of each experience, at least 1.
        share: u64,
    },
}

impl ReplayMemory {
    /// The memory, still empty, with another policy than the reservoir. A ring gives each of
    /// `experiences` an equal share of the samples, rounded down.
    ///
    /// # Errors
    /// A ring with fewer samples than experiences.
    pub fn with_policy(
        mut self,
        policy: InsertionPolicy,
        experiences: usize,
    ) -> Result<Self, MemoryError> {
        let samples = self.capacity_samples;
        self.policy = match policy {
            InsertionPolicy::Reservoir => Policy::Reservoir,
            InsertionPolicy::ClassBalanced => Policy::ClassBalanced(ClassBalanced::default()),
            InsertionPolicy::Ring if samples < experiences => {
                return Err(MemoryError::RingShare { samples, experiences });
            }
            InsertionPolicy::Ring => Policy::Ring { share: (samples / experiences.max(1)) as u64 },
        };
        Ok(self)
    }

    /// Offers a sample to the policy. Returns its slot, or `None` when it was dropped.
    ///
    /// # Panics
    /// When the image does not have the memory's length.
    pub fn offer(&mut self, sample: Sample<'_>, rng: &mut Rng) -> Option<usize> {
        assert_eq!(sample.image.len(), self.image_len, "images of one benchmark have one length");
        let (held, capacity) = (self.len(), self.capacity_samples);
        // Where a learner filled the memory by placing samples, at least those held were seen.
        let before = self.offered.max(held as u64);
        self.offered += 1;
        let slot = match &mut self.policy {
            Policy::Reservoir => reservoir::slot(held, capacity, before, rng),
            Policy::ClassBalanced(state) => state.slot(&self.labels, capacity, sample.label, rng),
            Policy::Ring { share } => {
                let samples = ring::Held { of: &self.experiences, written: &self.written };
                samples.slot(capacity, *share as usize, sample.experience)
            }
        }?;
        self.put(slot, sample);
        Some(slot)
    }

    /// Puts a sample into a slot in use, or into the next one while there is room. No policy is
    /// asked, and none counts it.
    ///
    /// # Errors
    /// Another slot, or an image of another length.
    pub fn place(&mut self, slot: usize, sample: Sample<'_>) -> Result<(), MemoryError> {
        let (samples, capacity) = (self.len(), self.capacity_samples);
        let found = sample.image.len();
        if found != self.image_len {
            return Err(MemoryError::ImageLength { expected: self.image_len, found });
        }
        if slot >= capacity || slot > samples {
            return Err(MemoryError::Place { slot, samples, capacity });
        }
        self.put(slot, sample);
        Ok(())
    }

    /// A slot in use, or the next one.
    fn put(&mut self, slot: usize, sample: Sample<'_>) {
        if slot == self.len() {
            self.push(sample);
        } else {
            self.overwrite(slot, sample);
        }
    }
}
