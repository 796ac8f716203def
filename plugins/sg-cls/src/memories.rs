//! The semantic memories: one average per group, when it opened, and what is known of its samples.

use perdura_nn::similarity::ClassMeans;
use perdura_nn::teaching::warm_up;
use perdura_nn::{Net, Network};
use perdura_sdk::{Kept, MergeLosses};

/// One group.
pub struct Memory {
    /// θ_g.
    pub average: Net,
    /// The network of the group that is trained by gradient, for `group_update = "gradient"`.
    /// `None` for the group that is being learned: there it is the working network.
    pub trained: Option<Net>,
    /// n_g: steps done when it opened.
    pub opened_at: u64,
    /// Samples learned as this group's.
    pub samples: u64,
    /// Sums of its samples by class, in the space of the prototypes.
    pub means: ClassMeans,
}

/// All groups, by number; numbers of groups that were merged are free.
pub struct Memories {
    slots: Vec<Option<Memory>>,
}

impl Memories {
    pub fn new(groups_max: usize) -> Self {
        Memories { slots: (0..groups_max).map(|_| None).collect() }
    }

    /// Numbers of the open groups, ascending.
    pub fn open(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|&group| self.slots[group].is_some()).collect()
    }

    /// The lowest number that is free.
    pub fn free(&self) -> Option<usize> {
        self.slots.iter().position(Option::is_none)
    }

    pub fn get(&self, group: usize) -> Option<&Memory> {
        self.slots.get(group)?.as_ref()
    }

    /// An open group.
    pub fn at(&mut self, group: usize) -> &mut Memory {
        self.slots[group].as_mut().expect("the group is open")
    }

    pub fn put(&mut self, group: usize, memory: Memory) {
        self.slots[group] = Some(memory);
    }

    pub fn take(&mut self, group: usize) -> Option<Memory> {
        self.slots.get_mut(group)?.take()
    }

    /// All open ones.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Memory)> {
        self.slots.iter().enumerate().filter_map(|(group, slot)| Some((group, slot.as_ref()?)))
    }

    /// All open ones, in the order of [`open`](Self::open).
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Memory)> {
        self.slots.iter_mut().enumerate().filter_map(|(group, slot)| Some((group, slot.as_mut()?)))
    }
}

impl Memory {
    /// `min(1 − 1/(n − n_g + 1), α_g)`, after step n.
    pub fn decay(&self, steps: u64, alpha: f64) -> f64 {
        warm_up(steps - self.opened_at, alpha)
    }

    /// Bytes of its networks.
    pub fn bytes(&self) -> u64 {
        self.average.bytes() + self.trained.as_ref().map_or(0, Network::bytes)
    }
}

/// A merged network may lose this much more than the worse of the two.
const LOSS_RATIO_MAX: f32 = 1.1;

/// Keep the average of two networks if its loss on the samples of both groups is at most 1.1 times
/// that of the worse one; else the one of lower loss. Without samples to tell, the average.
pub fn kept(losses: Option<MergeLosses>) -> Kept {
    match losses {
        None => Kept::Average,
        Some(of) if of.average <= LOSS_RATIO_MAX * of.into.max(of.group) => Kept::Average,
        Some(of) if of.group < of.into => Kept::Group,
        Some(_) => Kept::Into,
    }
}

/// Two networks averaged by numbers of samples.
pub fn averaged(first: &Net, second: &Net, samples: [u64; 2]) -> Net {
    let share = match samples {
        [0, 0] => 0.5,
        [a, b] => a as f64 / (a + b) as f64,
    };
    let mut average = first.clone();
    average.average(second, share);
    average.average_buffers(second, share);
    average
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_average_is_not_kept() {
        let of = |average, into, group| kept(Some(MergeLosses { average, into, group }));
        assert_eq!(of(1.0, 0.5, 0.95), Kept::Average);
        assert_eq!(of(1.0, 0.5, 0.9), Kept::Into);
        assert_eq!(of(1.0, 0.9, 0.5), Kept::Group);
        assert_eq!(kept(None), Kept::Average);
    }
}
