//! At which points of the parameters gradients are taken, and of which samples (algorithms 3.5):
//! at the trained network, or on the way between a slow average, a faster one and the network, or
//! at the network with the differences of the three as further directions.

use burn::tensor::{Tensor, s};
use perdura_sdk::{Error, Filter, Host, Iterate, Profile, Request, Result, Rows, Source};

use super::protected::Protected;
use crate::network::Network;
use crate::numbers;

/// Where gradients are taken, and what is spared beside them.
#[derive(Clone, Debug)]
pub struct Points<N> {
    points: Vec<N>,
    /// Directions of their own, each `[parameter_count]`.
    chords: Vec<Vec<f32>>,
}

impl<N: Network> Points<N> {
    /// All gradients at one point.
    pub fn one(point: &N) -> Points<N> {
        Points { points: vec![point.clone()], chords: Vec::new() }
    }

    /// `a + u(b − a)` for u in {0, ½, 1} on the way S – P – W (reading R1): S, halfway to P, P,
    /// halfway to W, W, running statistics included. Each gets a fifth of the samples.
    pub fn segments([s, p, w]: [&N; 3]) -> Points<N> {
        let points = [s.clone(), halfway(s, p), p.clone(), halfway(p, w), w.clone()];
        Points { points: points.into(), chords: Vec::new() }
    }

    /// All gradients at W, and W − P, W − S and P − S as directions (reading R2).
    pub fn chords([s, p, w]: [&N; 3]) -> Points<N> {
        let [of_s, of_p, of_w] = [s, p, w].map(numbers::parameters);
        let minus = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let chords = vec![minus(&of_w, &of_p), minus(&of_w, &of_s), minus(&of_p, &of_s)];
        Points { points: vec![w.clone()], chords }
    }
}

fn halfway<N: Network>(from: &N, to: &N) -> N {
    let mut point = from.clone();
    point.average(to, 0.5);
    point.average_buffers(to, 0.5);
    point
}

/// Samples whose gradients count, copied out of the host's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Row-major, one row for each label.
    pub inputs: Vec<f32>,
    pub labels: Vec<u32>,
}

impl Samples {
    pub fn of(rows: &Rows<'_>) -> Samples {
        Samples { inputs: rows.inputs().to_vec(), labels: rows.labels().to_vec() }
    }

    /// In `end_experience`: up to `count` samples of the experience that ends, drawn at random, as
    /// they are seen in a test. The stream must grant a second pass.
    pub fn of_finished(host: &mut Host<'_>, count: usize) -> Result<Samples> {
        let mut batches = host.iterate(&Iterate {
            source: Source::Current,
            filter: Filter::All,
            profile: Profile::None,
            batch: count,
            epochs: 1,
            shuffled: true,
            columns: Vec::new(),
        })?;
        let samples = batches.next()?.map(|rows| Samples::of(&rows));
        samples.ok_or_else(|| Error::new("the experience that ends has no samples"))
    }

    /// `count` samples of earlier experiences, drawn from the memory; empty where it has none.
    pub fn of_past(host: &mut Host<'_>, count: usize) -> Result<Samples> {
        let past = Request::memory("coverage", count).filter(Filter::Past).profile(Profile::None);
        Ok(host.draw(&past)?.first().map(Samples::of).unwrap_or_default())
    }

    /// Input and label of each.
    fn iter(&self) -> impl Iterator<Item = (&[f32], u32)> {
        let width = self.inputs.len() / self.labels.len().max(1);
        self.inputs.chunks(width.max(1)).zip(self.labels.iter().copied())
    }
}

impl Protected {
    /// At the end of an experience: `∇_θ f_y(x)` of every sample joins the basis, that of sample k
    /// taken at point `k mod P`; then the chords. `answer` gives a network's logits of one input,
    /// `[1, C]`, as in a test. Returns how many directions were admitted.
    pub fn take_in<N: Network>(
        &mut self,
        samples: &Samples,
        at: &Points<N>,
        answer: impl Fn(&N, &[f32]) -> Tensor<2>,
    ) -> Result<usize> {
        self.open_part();
        let mut admitted = 0;
        for (number, sample) in samples.iter().enumerate() {
            let point = &at.points[number % at.points.len()];
            admitted += self.admit(&label_gradient(point, sample, &answer))?;
        }
        for chord in &at.chords {
            admitted += self.admit(chord)?;
        }
        self.close_part();
        Ok(admitted)
    }

    /// The mean of `‖Qᵀ∇f_y(x; θ)‖ / ‖∇f_y(x; θ)‖` over samples of earlier experiences: how much of
    /// what they depend on now is protected. `None` without samples.
    pub fn coverage_over<N: Network>(
        &mut self,
        network: &N,
        samples: &Samples,
        answer: impl Fn(&N, &[f32]) -> Tensor<2>,
    ) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for sample in samples.iter() {
            if let Some(share) = self.coverage(&label_gradient(network, sample, &answer)) {
                (sum, count) = (sum + share, count + 1);
            }
        }
        (count > 0).then(|| sum / f64::from(count))
    }
}

/// `∇_θ f_y(x; θ)`, `[parameter_count]`: of the logit of a sample's label, as `answer` gives it.
pub fn label_gradient<N: Network>(
    network: &N,
    (input, label): (&[f32], u32),
    answer: impl Fn(&N, &[f32]) -> Tensor<2>,
) -> Vec<f32> {
    let tracked = network.tracked();
    let logit = answer(&tracked, input).slice(s![0..1, label as usize..label as usize + 1]).sum();
    numbers::gradient(&tracked, logit.backward())
}

#[cfg(test)]
#[path = "points_tests.rs"]
mod tests;
