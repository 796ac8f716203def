//! OGD's two halves, in the paper's order: the projected step while an experience lasts, and what
//! is taken in when it ends. Symbols are the paper's: θ are the parameters of the trained network,
//! f_y(x; θ) the logit of a sample's true class, Q the basis of what is protected.

use burn::tensor::Tensor;
use perdura_nn::orthogonal::{Points, Protected, Samples, norm};
use perdura_nn::{Net, Network, losses, numbers};
use perdura_sdk::{Error, Result, prelude::*};

use crate::anchors::Averages;
use crate::config::{Anchors, Config, HeadKind};
use crate::heads::Heads;

/// The learner.
pub struct Ogd {
    pub(crate) config: Config,
    /// θ, or θ_W where averages follow it.
    pub(crate) network: Net,
    pub(crate) averages: Option<Averages>,
    pub(crate) protected: Protected,
    pub(crate) heads: Heads,
    /// Steps done, for the averages' warm-up.
    pub(crate) steps: u64,
}

/// What a step reports.
pub(crate) struct Learned {
    pub loss: f64,
    /// `‖g̃‖ / ‖g‖`.
    pub kept: f64,
}

impl Ogd {
    /// `g = ∇_θ CE(f(X ∪ X_m; θ), Y ∪ Y_m)`; `g̃ = g − QQᵀg`; `θ ← θ − lr·g̃`.
    pub(crate) fn learn(
        &mut self,
        current: &Rows<'_>,
        replay: &Rows<'_>,
        experience: Option<u32>,
    ) -> Result<Learned> {
        let network = &self.network;
        let x = network.rows(&[current.inputs(), replay.inputs()]);
        let y = network.labels(&[current.labels(), replay.labels()]);
        let mut tracked = network.tracked();
        let mut logits = tracked.forward_train(x)?;
        if self.config.head == HeadKind::TaskAware {
            let untold = || Error::new("a task-aware head needs the experience of every sample");
            let experience = experience.ok_or_else(untold)?;
            let replayed = replay.experiences().or(replay.is_empty().then_some(&[][..]));
            let replayed = replayed.ok_or_else(untold)?;
            let all = [&vec![experience; current.len()], replayed].concat();
            logits = self.heads.restrict(logits, &all);
        }
        let loss = losses::cross_entropy(logits, y);
        let value = loss.clone().into_scalar();
        let mut gradient = numbers::gradient(&tracked, loss.backward());
        let before = norm(&gradient);
        self.protected.project(&mut gradient);
        let kept = if before > 0.0 { norm(&gradient) / before } else { 1.0 };
        numbers::descend(&mut self.network, &tracked, &gradient, self.config.lr);
        self.steps += 1;
        Ok(Learned { loss: value, kept })
    }

    /// At the end of an experience: `∇_θ f_y(x)` of n of its samples joins the basis, at θ_W or
    /// at the points between the averages; then the chords.
    pub(crate) fn protect(&mut self, samples: &Samples) -> Result<usize> {
        let working = &self.network;
        let at = match (&self.averages, self.config.anchors) {
            (Some(Averages { stable, plastic }), Anchors::Segments) => {
                Points::segments([stable, plastic, working])
            }
            (Some(Averages { stable, plastic }), Anchors::Chords) => {
                Points::chords([stable, plastic, working])
            }
            _ => Points::one(working),
        };
        self.protected.take_in(samples, &at, answer)
    }

    /// How much of what samples of earlier experiences depend on now is protected.
    pub(crate) fn coverage_of(&mut self, samples: &Samples) -> Option<f64> {
        self.protected.coverage_over(&self.network, samples, answer)
    }
}

/// Logits `[1, C]` as in a test.
pub(crate) fn answer(network: &Net, input: &[f32]) -> Tensor<2> {
    network.forward(network.rows(&[input]))
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
