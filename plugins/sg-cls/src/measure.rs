//! How similar the experience at hand is to each group: draws of the memory are compared with a
//! probe of it.

use perdura_nn::barlow::{EPS_STD, cross_correlation};
use perdura_nn::similarity::{
    CorrelationHalves, FlatGradient, Link, Null, Samples, Score, calibrated,
    correlation_similarity, covariance_alignment, diagonal_fisher, first_hidden, gradient_cosine,
    linear_cka, lookahead_affinity, prototype_similarity, task2vec_similarity,
};
use perdura_nn::{Device, Net, Network, copy_out, losses};
use perdura_sdk::{Rng, prelude::*};
use std::collections::BTreeSet;

use crate::config::{Config, Estimator, Features, GroupLink};
use crate::memories::Memories;

/// Learning rate of virtual steps: small, so that a step shows a direction.
const VIRTUAL_LR: f64 = 0.01;
/// Samples of a virtual step.
const VIRTUAL_BATCH: usize = 20;

/// What measuring needs of the learner.
pub struct Measure<'a> {
    pub config: &'a Config,
    /// θ_S, without it θ_W.
    pub stable: &'a Net,
    pub working: &'a Net,
    /// The network as it began, if features of it are compared.
    pub initial: Option<&'a Net>,
    pub memories: &'a Memories,
    /// Samples that bear the name of a group and may not be of it: they are not compared with.
    pub undecided: BTreeSet<u64>,
}

/// A group's samples in the replay memory, and the experience of each where that is told.
struct Reference {
    samples: Samples,
    experiences: Option<Vec<u32>>,
}

impl Measure<'_> {
    /// The score of every open group. A group of which the memory holds nothing scores 0.
    pub fn scores(
        &self,
        probe: &Samples,
        host: &mut Host<'_>,
        rng: &mut Rng,
    ) -> Result<Vec<(usize, Score)>> {
        let mut scores = Vec::new();
        for group in self.memories.open() {
            let reference = self.reference(group, host)?;
            scores.push((group, self.score(group, probe, &reference, rng)));
        }
        Ok(scores)
    }

    fn reference(&self, group: usize, host: &mut Host<'_>) -> Result<Reference> {
        let request = Request::memory("similarity", self.config.probe);
        let request = request.filter(Filter::Group(group as u32)).profile(Profile::None);
        let drawn = host.draw(&request)?;
        let rows = &drawn[0];
        let (values, labels) = (rows.inputs().to_vec(), rows.labels().to_vec());
        let samples = Samples { values, width: self.working.backbone.inputs(), labels };
        let experiences = rows.experiences().map(<[u32]>::to_vec);
        if self.undecided.is_empty() {
            return Ok(Reference { samples, experiences });
        }
        let uids = rows.uids();
        let decided: Vec<usize> =
            (0..rows.len()).filter(|&row| !self.undecided.contains(&uids[row])).collect();
        let of_decided = |all: Vec<u32>| decided.iter().map(|&row| all[row]).collect();
        let experiences = experiences.map(of_decided);
        Ok(Reference { samples: samples.select(&decided), experiences })
    }

    /// Against the group as a whole, or against its experiences one by one.
    fn score(&self, group: usize, probe: &Samples, of: &Reference, rng: &mut Rng) -> Score {
        let link = match self.config.link {
            GroupLink::Pooled => return self.against(group, probe, &of.samples, rng),
            GroupLink::Mean => Link::Mean,
            GroupLink::Max => Link::Max,
        };
        let Some(experiences) = &of.experiences else {
            return self.against(group, probe, &of.samples, rng);
        };
        let mut names = experiences.clone();
        names.sort_unstable();
        names.dedup();
        let members: Vec<Score> = (names.iter())
            .map(|name| {
                let rows = (0..experiences.len()).filter(|&row| experiences[row] == *name);
                self.against(group, probe, &of.samples.select(&rows.collect::<Vec<_>>()), rng)
            })
            .filter(|score| !score.undefined)
            .collect();
        let link = |of: fn(&Score) -> f32| link.of(&members.iter().map(of).collect::<Vec<_>>());
        let undefined = members.is_empty() && !of.samples.is_empty();
        Score { raw: link(|s| s.raw), unclipped: link(|s| s.unclipped), undefined }
    }

    fn against(&self, group: usize, probe: &Samples, of: &Samples, rng: &mut Rng) -> Score {
        let memory = self.memories.get(group).expect("an open group");
        let net = self.stable;
        match self.config.estimator {
            Estimator::Proto | Estimator::Cov | Estimator::Bt => {
                let features = |samples: &Samples| self.features(samples, &memory.average);
                let (probe, of) = (features(probe), features(of));
                match self.config.estimator {
                    Estimator::Proto => {
                        calibrated(&probe, &of, Null::Labels, rng, prototype_similarity)
                    }
                    Estimator::Cov => {
                        calibrated(&probe, &of, Null::Columns, rng, covariance_alignment)
                    }
                    _ => calibrated(&probe, &of, Null::Columns, rng, |a, b| {
                        barlow(a, b, net.device())
                    }),
                }
            }
            Estimator::Cka => self.cka(probe, of, &memory.average),
            Estimator::Gcos => calibrated(probe, of, Null::Labels, rng, |a, b| {
                let gradient = |samples| FlatGradient::of(net, |n| loss(n, samples));
                gradient_cosine(&gradient(a), &gradient(b), false)
            }),
            Estimator::Tag => calibrated(probe, of, Null::Labels, rng, |a, b| tag(net, a, b)),
            Estimator::T2v => calibrated(probe, of, Null::Labels, rng, |a, b| {
                let fisher = |samples: &Samples| {
                    diagonal_fisher(net, samples.len(), |n, i| loss(n, &samples.select(&[i])))
                };
                task2vec_similarity(&fisher(a), &fisher(b))
            }),
        }
    }

    /// S-CKA of the working network after one pass over the probe with the group's own network, on
    /// the same probe. Its null is the same features with the samples of one side moved on by one;
    /// a network is wholly like itself, so the upper end is 1.
    fn cka(&self, probe: &Samples, of: &Samples, own: &Net) -> Score {
        if probe.is_empty() || of.is_empty() {
            return Score::default();
        }
        let mut after = self.working.clone();
        for rows in batches(probe.len()) {
            let samples = probe.select(&rows);
            let tracked = after.tracked();
            let gradients = loss(&tracked, &samples).backward();
            after.descend(&tracked, gradients, self.config.lr);
        }
        let (x, y) = (penultimate(&after, probe), penultimate(own, probe));
        let moved: Vec<usize> = (1..probe.len()).chain([0]).collect();
        let raw = linear_cka(&x.values, x.width, &y.values, y.width);
        let lo = linear_cka(&x.values, x.width, &y.select(&moved).values, y.width);
        let unclipped = (raw - lo) / (1.0 - lo);
        match unclipped.is_finite() {
            true => Score { raw, unclipped, undefined: false },
            false => Score { raw, unclipped: 0.0, undefined: true },
        }
    }

    fn features(&self, samples: &Samples, own: &Net) -> Samples {
        let initial = || self.initial.expect("kept for these features");
        match self.config.features {
            Features::Pixels => samples.clone(),
            Features::FirstHidden => first_hidden(self.stable, samples),
            Features::Own => first_hidden(own, samples),
            Features::Initial => first_hidden(initial(), samples),
            Features::Penultimate => penultimate(self.stable, samples),
        }
    }
}

/// S-BT of two sets of features. Every sample is its own second view: the probe comes as it is.
fn barlow(task: &Samples, group: &Samples, device: &Device) -> f32 {
    let halves = |samples: &Samples| {
        let mut halves = CorrelationHalves::new(samples.width, 0.0);
        let rows: Vec<usize> = (0..samples.len()).collect();
        for rows in [&rows[..rows.len() / 2], &rows[rows.len() / 2..]] {
            if rows.len() < 2 {
                continue;
            }
            let half = samples.select(rows);
            let z = perdura_nn::rows(&[&half.values], half.width, device);
            let c =
                cross_correlation(z.clone(), z, EPS_STD).expect("two samples or more").into_data();
            halves.add(c.as_slice().expect("networks compute in f32"));
        }
        halves
    };
    correlation_similarity(&halves(task), &halves(group))
}

/// `½ (Z_{t→g} + Z_{g→t})`, each the mean over pairs of small batches. The head is not shared.
fn tag(net: &Net, task: &Samples, group: &Samples) -> f32 {
    let shared = |name: &str| !name.starts_with("head.");
    let z = |from: &Samples, to: &Samples| {
        lookahead_affinity(net, VIRTUAL_LR, shared, |n| loss(n, from), |n| loss(n, to))
    };
    let pairs = batches(task.len()).into_iter().zip(batches(group.len()));
    let both = pairs.map(|(t, g)| {
        let (t, g) = (task.select(&t), group.select(&g));
        (z(&t, &g) + z(&g, &t)) / 2.0
    });
    let all: Vec<f32> = both.collect();
    all.iter().sum::<f32>() / all.len() as f32
}

fn batches(count: usize) -> Vec<Vec<usize>> {
    let rows: Vec<usize> = (0..count).collect();
    rows.chunks(VIRTUAL_BATCH).map(<[usize]>::to_vec).collect()
}

/// Mean cross-entropy.
pub fn loss(net: &Net, samples: &Samples) -> burn::tensor::Tensor<1> {
    let (x, y) = (net.rows(&[&samples.values]), net.labels(&[&samples.labels]));
    losses::cross_entropy(net.forward(x), y)
}

fn penultimate(net: &Net, samples: &Samples) -> Samples {
    if samples.is_empty() {
        return Samples { width: 1, ..Samples::default() };
    }
    matrix(net.features(net.rows(&[&samples.values])), samples)
}

fn matrix(features: burn::tensor::Tensor<2>, samples: &Samples) -> Samples {
    let [rows, width] = features.dims();
    let mut values = vec![0.0; rows * width];
    copy_out(features, &mut values);
    Samples { values, width, labels: samples.labels.clone() }
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
