//! The class-balancing reservoir: classes share the memory equally as far as they have samples, and
//! within a class every sample seen is held with equal probability.

use serde::{Deserialize, Serialize};

use crate::rng::{Rng, below};

/// What the policy remembers; classes are indices.
///
/// Source: Chrysakis and Moens 2020, "Online Continual Learning from Imbalanced Data", algorithm 1
/// (CBRS). Where several classes are the largest all of them are full, and the sample that goes is
/// drawn from all theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassBalanced {
    /// Samples of each class offered so far.
    seen: Vec<u64>,
    /// The class is the largest in the filled memory, or was once.
    full: Vec<bool>,
}

impl ClassBalanced {
    /// Slot for the next sample, of class `label`, in a memory that holds `labels`.
    ///
    /// While there is room it is the next one. Then a sample of a class that is not full takes the
    /// place of one of the largest class. One of a full class stays with probability m/n, m of its
    /// n samples being held, and takes the place of one of them.
    pub fn slot(
        &mut self,
        labels: &[u32],
        capacity: usize,
        label: u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        let class = label as usize;
        let classes = labels.iter().fold(class, |most, &label| most.max(label as usize)) + 1;
        if self.seen.len() < classes {
            self.seen.resize(classes, 0);
            self.full.resize(classes, false);
        }
        self.seen[class] += 1;
        if labels.len() < capacity {
            return Some(labels.len());
        }
        let mut held = vec![0u64; classes];
        labels.iter().for_each(|&label| held[label as usize] += 1);
        let largest = held.iter().copied().max().expect("there is a class");
        held.iter().zip(&mut self.full).for_each(|(held, full)| *full |= *held == largest);
        if self.full[class] {
            // A learner may have placed samples that were never offered.
            let seen = self.seen[class].max(held[class]);
            nth(labels, below(rng, seen), |of| of == class)
        } else {
            let candidates = labels.iter().filter(|&&label| held[label as usize] == largest);
            nth(labels, below(rng, candidates.count() as u64), |of| held[of] == largest)
        }
    }

    /// Classes the lists are about, or `None` if they do not fit together.
    pub fn classes(&self) -> Option<usize> {
        (self.seen.len() == self.full.len()).then_some(self.seen.len())
    }
}

/// Slot of the `n`-th sample, counted from 0, whose class passes.
fn nth(labels: &[u32], n: u64, passes: impl Fn(usize) -> bool) -> Option<usize> {
    (0..labels.len()).filter(|&slot| passes(labels[slot] as usize)).nth(n as usize)
}
