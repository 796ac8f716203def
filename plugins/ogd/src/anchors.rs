//! Fast and slow averages of the trained network, as CLS-ER keeps them, and the points between
//! them at which gradients are taken.

use perdura_nn::teaching::{EmaBn, updates, warm_up};
use perdura_nn::{Net, Network, numbers};
use perdura_sdk::rand::Rng;

use crate::config::Config;

/// Points of the way S – P – W: its two segments at 0, ½ and 1, the middle point being one.
pub const POINTS: usize = 5;

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

    /// S, halfway to P, P, halfway to W, W.
    pub fn points(&self, working: &Net) -> [Net; POINTS] {
        let halfway = |from: &Net, to: &Net| {
            let mut point = from.clone();
            point.average(to, 0.5);
            point.average_buffers(to, 0.5);
            point
        };
        let Averages { plastic, stable } = self;
        [
            stable.clone(),
            halfway(stable, plastic),
            plastic.clone(),
            halfway(plastic, working),
            working.clone(),
        ]
    }

    /// W − P, W − S and P − S, each `[parameter_count]`.
    pub fn chords(&self, working: &Net) -> [Vec<f32>; 3] {
        let [w, p, s] = [working, &self.plastic, &self.stable].map(numbers::parameters);
        let minus = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        [minus(&w, &p), minus(&w, &s), minus(&p, &s)]
    }
}
