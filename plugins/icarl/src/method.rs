//! iCaRL in the paper's order: learn new classes while keeping what the old network said of the old
//! ones (algorithm 3), then choose exemplars (algorithms 4 and 5) and answer with the nearest class
//! mean (algorithm 1).

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Int, Tensor, TensorData};
use perdura_nn::{Net, Network, TensorMut};
use perdura_sdk::{Error, Result, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::herding::{herd, mean, normalise, squared_distance};

/// Samples whose features are computed at once outside of training.
const ROWS_AT_ONCE: usize = 256;

/// Logit of a class that has no exemplars: squared distances of vectors of length 1 are at most 4.
const NO_MEAN: f32 = -1e4;

/// The learner.
pub struct Icarl {
    pub(crate) config: Config,
    pub(crate) input_shape: Vec<usize>,
    pub(crate) network: Net,
    /// The network at the end of the last experience, from the second one on.
    pub(crate) old: Option<Net>,
    /// Classes of earlier experiences.
    pub(crate) past: BTreeSet<u32>,
    /// Classes of the current experience.
    pub(crate) new: BTreeSet<u32>,
    /// Exemplars of each class, as identities, the most important first.
    pub(crate) exemplars: BTreeMap<u32, Vec<u64>>,
    /// Mean of the exemplars' features, of length 1.
    pub(crate) means: BTreeMap<u32, Vec<f32>>,
    /// Samples the memory can hold, B.
    pub(crate) room: u64,
}

impl Icarl {
    /// Algorithm 3, the step: `L = mean BCE(σ(f(x; θ)_c), t_c)` over the samples and the classes
    /// seen so far, plus `δ·Σθ²`. The target t of a new class is 1 for its samples and 0 for
    /// others, that of a past class is what the old network said, `σ(f(x; θ_old)_c)`. `θ ← θ − lr·∇L`.
    pub(crate) fn learn(&mut self, current: &Rows<'_>) -> Result<f64> {
        let network = &self.network;
        if self.past.is_empty() && self.new.is_empty() {
            return Err(Error::new("icarl was given a step before any experience began"));
        }
        let x = network.rows(&[current.inputs()]);
        let targets = self.targets(x.clone(), current.labels());
        let seen: Vec<i32> = self.past.union(&self.new).map(|&class| class as i32).collect();
        let device = network.device();
        let columns = || Tensor::<1, Int>::from_data(seen.as_slice(), device);
        let mut tracked = network.tracked();
        let logits = tracked.forward_train(x)?.select(1, columns());
        let mut loss = binary_cross_entropy(logits, targets.select(1, columns()));
        if self.config.weight_decay > 0.0 {
            loss = loss + squares(&tracked) * self.config.weight_decay;
        }
        let value = loss.clone().into_scalar();
        self.network.descend(&tracked, loss.backward(), self.config.lr);
        Ok(value)
    }

    /// t, `[n, classes]`.
    pub(crate) fn targets(&self, x: Tensor<2>, labels: &[u32]) -> Tensor<2> {
        let (samples, classes) = (labels.len(), self.network.head.outputs());
        let mut targets: Vec<f32> = match &self.old {
            Some(old) => sigmoid(old.forward(x)).into_data().try_to_vec().expect("nets are f32"),
            None => vec![0.0; samples * classes],
        };
        for (row, label) in targets.chunks_mut(classes).zip(labels) {
            for class in &self.new {
                row[*class as usize] = if class == label { 1.0 } else { 0.0 };
            }
        }
        let targets = TensorData::new(targets, [samples, classes]);
        Tensor::from_data(targets, self.network.device())
    }

    /// Algorithms 4 and 5: every class gets m = B / (classes seen) exemplars, new ones by herding,
    /// past ones the first m of theirs. Tells the host which samples they are.
    pub(crate) fn choose_exemplars(&mut self, host: &mut Host<'_>) -> Result<()> {
        let each = self.room as usize / self.past.union(&self.new).count().max(1);
        if each == 0 {
            let (room, classes) = (self.room, self.past.union(&self.new).count());
            return Err(Error::new(format!(
                "icarl needs one exemplar for each of the {classes} classes seen so far, but the \
                 memory holds {room} samples; give it more with --memory N"
            )));
        }
        self.exemplars.values_mut().for_each(|list| list.truncate(each));
        let width = self.network.backbone.outputs();
        let mut of_class: BTreeMap<u32, (Vec<u64>, Vec<f32>)> = BTreeMap::new();
        self.features_of(Source::Current, host, |class, uid, features| {
            let (uids, rows) = of_class.entry(class).or_default();
            uids.push(uid);
            rows.extend_from_slice(features);
        })?;
        for (class, (uids, rows)) in of_class {
            let chosen = herd(&rows, width, each).into_iter().map(|at| uids[at]);
            self.exemplars.insert(class, chosen.collect());
        }
        let all: Vec<u64> = self.exemplars.values().flatten().copied().collect();
        host.replace(&all)
    }

    /// The mean of each class's exemplars, in the features of the network as it is now.
    pub(crate) fn take_means(&mut self, host: &mut Host<'_>) -> Result<()> {
        let width = self.network.backbone.outputs();
        let mut of_class: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        self.features_of(Source::Memory, host, |class, _, features| {
            of_class.entry(class).or_default().extend_from_slice(features);
        })?;
        let mean_of = |rows: Vec<f32>| {
            let mut mean: Vec<f32> = mean(&rows, width).into_iter().map(|x| x as f32).collect();
            normalise(&mut mean, width);
            mean
        };
        self.means = of_class.into_iter().map(|(class, rows)| (class, mean_of(rows))).collect();
        Ok(())
    }

    /// Calls `take` with class, identity and features of every sample of a source.
    fn features_of(
        &self,
        source: Source,
        host: &mut Host<'_>,
        mut take: impl FnMut(u32, u64, &[f32]),
    ) -> Result<()> {
        let width = self.network.backbone.outputs();
        let mut batches = host.iterate(&Iterate {
            source,
            filter: Filter::All,
            profile: Profile::None,
            batch: ROWS_AT_ONCE,
            epochs: 1,
            shuffled: false,
            columns: Vec::new(),
        })?;
        while let Some(rows) = batches.next()? {
            let features = self.features(rows.inputs());
            let samples = rows.labels().iter().zip(rows.uids()).zip(features.chunks_exact(width));
            samples.for_each(|((&class, &uid), features)| take(class, uid, features));
        }
        Ok(())
    }

    /// φ(x) of length 1, `[n, width]`: what the head sees, of the image or of it and its mirror.
    pub(crate) fn features(&self, inputs: &[f32]) -> Vec<f32> {
        let of = |inputs: &[f32]| -> Vec<f32> {
            let features = self.network.features(self.network.rows(&[inputs]));
            features.into_data().try_to_vec().expect("nets are f32")
        };
        let mut features = of(inputs);
        if self.config.mirrored {
            let columns = self.input_shape[2];
            let mirror = |row: &[f32]| row.iter().rev().copied().collect::<Vec<_>>();
            let mirrored: Vec<f32> = inputs.chunks(columns).flat_map(mirror).collect();
            features.iter_mut().zip(of(&mirrored)).for_each(|(a, b)| *a = (*a + b) / 2.0);
        }
        normalise(&mut features, self.network.backbone.outputs());
        features
    }

    /// Algorithm 1: minus the squared distance to each class's mean. Before there are means, the
    /// head's logits.
    pub(crate) fn nearest_mean(&self, inputs: &[f32], out: &mut [f32]) {
        if self.means.is_empty() {
            return self.network.predict(inputs, out);
        }
        let (inputs_each, classes) = (self.network.backbone.inputs(), self.network.head.outputs());
        let width = self.network.backbone.outputs();
        let pieces = inputs.chunks(ROWS_AT_ONCE * inputs_each);
        for (inputs, out) in pieces.zip(out.chunks_mut(ROWS_AT_ONCE * classes)) {
            let features = self.features(inputs);
            for (features, out) in features.chunks_exact(width).zip(out.chunks_mut(classes)) {
                out.fill(NO_MEAN);
                for (class, mean) in &self.means {
                    out[*class as usize] = -squared_distance(features, mean);
                }
            }
        }
    }
}

/// Mean over all elements of `−t·log σ(z) − (1 − t)·log(1 − σ(z))`; a scalar.
pub(crate) fn binary_cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let yes = log_sigmoid(logits.clone()) * targets.clone();
    let no = log_sigmoid(-logits) * (-targets + 1.0);
    (yes + no).mean().neg()
}

/// Σθ² over all parameters.
fn squares(tracked: &Net) -> Tensor<1> {
    let mut handles = tracked.clone();
    let each = handles.tensors_mut().into_iter().filter_map(|(_, tensor)| match tensor {
        TensorMut::Vector(t) => Some((t.clone() * t.clone()).sum()),
        TensorMut::Linear(t) => Some((t.clone() * t.clone()).sum()),
        TensorMut::Kernel(t) => Some((t.clone() * t.clone()).sum()),
        TensorMut::Running(_) => None,
    });
    each.reduce(|a, b| a + b).expect("a network has parameters")
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
