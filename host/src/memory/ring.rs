//! The ring: each experience has an equal share of the memory and keeps its most recent samples
//! there.

/// The samples held, as far as the ring looks at them: one entry per slot.
pub struct Held<'a> {
    /// Experience of each sample.
    pub of: &'a [u32],
    /// When it came in; larger is later.
    pub written: &'a [u64],
}

impl Held<'_> {
    /// Slot for the next sample of an experience: the next one until the experience holds its
    /// share, then that of its oldest sample. `None` when it has none and a learner filled the
    /// memory by placing others.
    ///
    /// Source: the memory of A-GEM and GEM, Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory
    /// for Continual Learning", section 3: the last m examples of each task.
    pub fn slot(&self, capacity: usize, share: usize, experience: u32) -> Option<usize> {
        let own = (0..self.of.len()).filter(|&slot| self.of[slot] == experience);
        if own.clone().count() < share && self.of.len() < capacity {
            return Some(self.of.len());
        }
        own.min_by_key(|&slot| self.written[slot])
    }
}
