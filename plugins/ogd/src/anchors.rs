//! Fast and slow averages of the trained network, as CLS-ER keeps them: gradients are taken at points
//! between them.

use perdura_nn::Net;
use perdura_nn::teaching::{EmaBn, updates, warm_up};
use perdura_sdk::rand::Rng;

use crate::config::Config;

/// The averages, θ_P and θ_S; they teach nobody.
#[derive(Clone, Debug)]
pub struct Averages {
    pub plastic: Net,
    pub stable: Net,
}

impl Averages {
    /// Copies of θ_W at its start.
    pub fn new(working: &Net) -> Averages {
        Averages { plastic: working.clone(), stable: working.clone() }
    }

    /// After step n: with probability r_i each, `θ_i ← α_i·θ_i + (1 − α_i)·θ_W` for i = P, then S,
    /// running statistics included, so that gradients between them mean something.
    pub fn follow(&mut self, working: &mut Net, config: &Config, n: u64, rng: &mut impl Rng) {
        let due = updates(rng, [config.r_plastic, config.r_stable]);
        let followers =
            [(&mut self.plastic, config.alpha_plastic), (&mut self.stable, config.alpha_stable)];
        let due = followers.into_iter().zip(due).filter(|(_, due)| *due);
        let due = due.map(|((net, alpha), _)| (net, warm_up(n, alpha)));
        EmaBn::Average.follow(working, due.collect());
    }
}
