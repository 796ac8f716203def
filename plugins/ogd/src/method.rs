//! OGD's two halves, in the paper's order: the projected step while an experience lasts, and what
//! is taken in when it ends. Symbols are the paper's: θ are the parameters of the trained network,
//! f_y(x; θ) the logit of a sample's true class, Q the basis of what is protected.

use burn::tensor::{Tensor, s};
use perdura_nn::{Net, Network, losses, numbers};
use perdura_sdk::{Error, Result, prelude::*};

use crate::anchors::{Averages, POINTS};
use crate::basis::norm;
use crate::config::{Anchors, Config, HeadKind};
use crate::heads::Heads;
use crate::protected::Protected;

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

/// Samples whose gradients count, copied out of the host's answer.
pub(crate) struct Samples {
    pub inputs: Vec<f32>,
    pub labels: Vec<u32>,
}

impl Samples {
    pub fn of(rows: &Rows<'_>) -> Samples {
        Samples { inputs: rows.inputs().to_vec(), labels: rows.labels().to_vec() }
    }

    /// Input and label of each.
    fn iter(&self) -> impl Iterator<Item = (&[f32], u32)> {
        let width = self.inputs.len() / self.labels.len().max(1);
        self.inputs.chunks(width.max(1)).zip(self.labels.iter().copied())
    }
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
        let points = match (&self.averages, self.config.anchors) {
            (Some(averages), Anchors::Segments) => Vec::from(averages.points(&self.network)),
            _ => vec![self.network.clone()],
        };
        assert!(points.len() == 1 || points.len() == POINTS, "a fifth each, or all at θ_W");
        self.protected.open_part();
        let mut admitted = 0;
        for (number, (input, label)) in samples.iter().enumerate() {
            let point = &points[number % points.len()];
            admitted += self.protected.admit(&label_gradient(point, input, label))?;
        }
        if let (Some(averages), Anchors::Chords) = (&self.averages, self.config.anchors) {
            for chord in averages.chords(&self.network) {
                admitted += self.protected.admit(&chord)?;
            }
        }
        self.protected.close_part();
        Ok(admitted)
    }

    /// The mean of `‖Qᵀ∇f_y(x; θ)‖ / ‖∇f_y(x; θ)‖` over samples of earlier experiences: how much of
    /// what they depend on now is protected. `None` without samples.
    pub(crate) fn coverage_of(&mut self, samples: &Samples) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for (input, label) in samples.iter() {
            let gradient = label_gradient(&self.network, input, label);
            if let Some(share) = self.protected.coverage(&gradient) {
                (sum, count) = (sum + share, count + 1);
            }
        }
        (count > 0).then(|| sum / f64::from(count))
    }
}

/// `∇_θ f_y(x; θ)`, `[parameter_count]`: of the logit of the label, as in a test.
pub(crate) fn label_gradient(network: &Net, input: &[f32], label: u32) -> Vec<f32> {
    let tracked = network.tracked();
    let logits: Tensor<2> = tracked.forward(network.rows(&[input]));
    let logit = logits.slice(s![0..1, label as usize..label as usize + 1]).sum();
    numbers::gradient(&tracked, logit.backward())
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
