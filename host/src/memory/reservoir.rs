//! The reservoir (algorithms section 1.3): every sample of the stream so far is held with equal
//! probability.

use crate::rng::{Rng, below};

/// Slot of the `k`-th sample offered (k = 0, 1, 2, ...): the next one while there is room, then a
/// `j` drawn from 0..=k where that lies within the memory; else the sample is dropped.
///
/// Source: Vitter 1985, "Random Sampling with a Reservoir", algorithm R.
pub fn slot(held: usize, capacity: usize, k: u64, rng: &mut Rng) -> Option<usize> {
    if held < capacity {
        return Some(held);
    }
    let slot = below(rng, k + 1) as usize;
    (slot < capacity).then_some(slot)
}
