//! The order of the samples within one epoch.

use super::Benchmark;
use crate::rng::{keyed, shuffle};

/// Training samples of an experience in the order of one epoch. It depends on the seed, the
/// experience and the epoch, and on no learner, so that two methods with one seed see the same
/// batches. A stream that was drawn in batches keeps its order.
pub fn epoch_order(benchmark: &Benchmark, experience: usize, epoch: u32, seed: u64) -> Vec<u32> {
    let mut order = benchmark.experiences[experience].train.clone();
    if benchmark.drawn_batches().is_some() {
        return order;
    }
    let mut rng = keyed(seed, "epoch-order", &[experience as u64, u64::from(epoch)]);
    shuffle(&mut rng, &mut order);
    order
}
