//! How samples come in: the reservoir (algorithms section 1.3), or a slot that the learner chose.

use super::{MemoryError, ReplayMemory, Sample};
use crate::rng::{Rng, below};

impl ReplayMemory {
    /// Offers the `k`-th sample (k = 0, 1, 2, ...): it is appended while there is room, then takes
    /// slot `j` drawn from 0..=k where that lies within the memory. Returns its slot, or `None`
    /// when it was dropped.
    ///
    /// Where a learner filled the memory by placing samples, `k` counts at least the samples held.
    /// Source: Vitter 1985, "Random Sampling with a Reservoir", algorithm R.
    ///
    /// # Panics
    /// When the image does not have the memory's length.
    pub fn offer(&mut self, sample: Sample<'_>, rng: &mut Rng) -> Option<usize> {
        assert_eq!(sample.image.len(), self.image_len, "images of one benchmark have one length");
        let before = self.offered.max(self.len() as u64);
        self.offered += 1;
        if self.len() < self.capacity_samples {
            return Some(self.push(sample));
        }
        let slot = below(rng, before + 1) as usize;
        if slot >= self.capacity_samples {
            return None;
        }
        self.overwrite(slot, sample);
        Some(slot)
    }

    /// Puts a sample into a slot in use, or into the next one while there is room. The reservoir
    /// does not count it.
    ///
    /// # Errors
    /// Another slot, or an image of another length.
    pub fn place(&mut self, slot: usize, sample: Sample<'_>) -> Result<(), MemoryError> {
        let (samples, capacity) = (self.len(), self.capacity_samples);
        let found = sample.image.len();
        if found != self.image_len {
            return Err(MemoryError::ImageLength { expected: self.image_len, found });
        }
        if slot < samples {
            self.overwrite(slot, sample);
        } else if slot == samples && samples < capacity {
            self.push(sample);
        } else {
            return Err(MemoryError::Place { slot, samples, capacity });
        }
        Ok(())
    }
}
