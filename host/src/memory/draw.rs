//! Which samples count for a request, and drawing from them. Neither can fail: a memory that holds
//! too little gives what it has.

use perdura_abi::message::Filter;

use super::ReplayMemory;
use crate::rng::{Rng, below, shuffle, shuffle_front};

/// Position in the stream, as far as filters depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The experience being trained, or just ended.
    pub experience: u32,
    /// The experience that ended last; `None` before the first end.
    pub finished: Option<u32>,
}

/// Slots that pass a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// All of the first so many slots.
    All(usize),
    /// These, ascending.
    Slots(Vec<u32>),
}

impl Candidates {
    pub fn len(&self) -> usize {
        match self {
            Candidates::All(count) => *count,
            Candidates::Slots(slots) => slots.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots, ascending.
    pub fn to_slots(&self) -> Vec<u32> {
        match self {
            Candidates::All(count) => (0..*count as u32).collect(),
            Candidates::Slots(slots) => slots.clone(),
        }
    }
}

/// Above this many, a draw without replacement shuffles all candidates instead of looking for
/// repetitions.
const SCATTERED_MAX: usize = 512;

impl ReplayMemory {
    /// The slots that pass a filter. `All` costs nothing, the others one pass over the memory.
    pub fn select(&self, filter: Filter, now: Now) -> Candidates {
        let experiences = &self.experiences;
        match filter {
            Filter::All => Candidates::All(self.len()),
            Filter::Past => self.select_by(|slot| experiences[slot] < now.experience),
            Filter::Finished => self.select_by(|slot| Some(experiences[slot]) == now.finished),
            Filter::Group(group) => self.select_by(|slot| self.groups[slot] == group),
            Filter::SinceBoundary => self.select_by(|slot| self.written[slot] >= self.boundary),
        }
    }

    /// Fills `out` with slots in random order: `count` of them, each equally likely and, without
    /// replacement, none twice. Fewer candidates than `count` give all of them, no candidates give
    /// none.
    pub fn draw(
        &self,
        candidates: &Candidates,
        count: usize,
        replacement: bool,
        rng: &mut Rng,
        out: &mut Vec<u32>,
    ) {
        let available = candidates.len();
        assert!(available <= self.len(), "candidates come from this memory");
        out.clear();
        if available == 0 {
            return;
        }
        if replacement {
            out.extend((0..count).map(|_| below(rng, available as u64) as u32));
        } else {
            draw_distinct(available, count.min(available), rng, out);
        }
        if let Candidates::Slots(slots) = candidates {
            for place in out {
                *place = slots[*place as usize];
            }
        }
    }

    fn select_by(&self, passes: impl Fn(usize) -> bool) -> Candidates {
        let slots = (0..self.len()).filter(|&slot| passes(slot)).map(|slot| slot as u32);
        Candidates::Slots(slots.collect())
    }
}

/// `count` distinct numbers below `available`, in random order.
///
/// A large share is drawn by shuffling all numbers. A small one by Floyd's algorithm (Bentley and
/// Floyd 1987, "A Sample of Brilliance"), which needs no room for the numbers that are not drawn.
fn draw_distinct(available: usize, count: usize, rng: &mut Rng, out: &mut Vec<u32>) {
    if count > SCATTERED_MAX || available <= 4 * count {
        out.extend(0..available as u32);
        shuffle_front(rng, out, count);
        out.truncate(count);
        return;
    }
    for last in available - count..available {
        let drawn = below(rng, last as u64 + 1) as u32;
        out.push(if out.contains(&drawn) { last as u32 } else { drawn });
    }
    shuffle(rng, out);
}
