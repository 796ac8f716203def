//! Losses of the supervised phase that depend on whose sample it is: logits restricted to the
//! classes of a sample's own experience, and the distance to its old answers.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{KdReduction, ReplayKd};

/// Logit of a class that a sample's experience does not have: its probability is exactly 0, and
/// unlike infinity it can be multiplied by 0.
const ELSEWHERE: f32 = -1e9;

/// Which classes count for each of some samples; all of them with a task-free head.
#[derive(Clone, Debug)]
pub struct Own {
    samples: usize,
    classes: usize,
    /// `[samples, classes]`, 1 where the class counts.
    mask: Option<Vec<f32>>,
}

impl Own {
    /// All classes, for every sample.
    pub fn all(samples: usize, classes: usize) -> Own {
        Own { samples, classes, mask: None }
    }

    /// Those of each sample's experience; `None` for one that is not known, which leaves all.
    pub fn of_experiences<'a>(
        classes: usize,
        experiences: &[u32],
        classes_of: impl Fn(u32) -> Option<&'a [u32]>,
    ) -> Own {
        let mut mask = vec![0.0; experiences.len() * classes];
        for (&experience, row) in experiences.iter().zip(mask.chunks_mut(classes)) {
            match classes_of(experience) {
                None => row.fill(1.0),
                Some(own) => own.iter().for_each(|&class| row[class as usize] = 1.0),
            }
        }
        Own { samples: experiences.len(), classes, mask: Some(mask) }
    }

    /// One sample of them.
    pub fn row(&self, row: usize) -> Own {
        let own = |mask: &Vec<f32>| mask[row * self.classes..][..self.classes].to_vec();
        Own { samples: 1, classes: self.classes, mask: self.mask.as_ref().map(own) }
    }

    /// Both, one after the other.
    pub fn then(self, next: Own) -> Own {
        let samples = self.samples + next.samples;
        let mask = self.mask.zip(next.mask).map(|(mine, theirs)| [mine, theirs].concat());
        Own { samples, mask, ..self }
    }

    /// Logits `[samples, classes]` with those that do not count out of the way.
    pub fn restrict(&self, logits: Tensor<2>) -> Tensor<2> {
        let Some(mask) = &self.mask else { return logits };
        let shape = [self.samples, self.classes];
        let device = logits.device().without_autodiff();
        let away: Vec<f32> = mask.iter().map(|own| (1.0 - own) * ELSEWHERE).collect();
        let own = Tensor::<2>::from_data(TensorData::new(mask.clone(), shape), &device);
        logits * own + Tensor::<2>::from_data(TensorData::new(away, shape), &device)
    }

    /// The old answers of these samples: `stored` logits `[samples, classes]`, `present` where
    /// there is one. `None` where no sample has any.
    pub fn target(&self, stored: &[f32], present: &[u8], device: &Device) -> Option<Target> {
        let rows = present.iter().filter(|&&p| p != 0).count();
        if rows == 0 {
            return None;
        }
        let shape = [self.samples, self.classes];
        let all = vec![1.0; self.samples * self.classes];
        let mut weight = self.mask.clone().unwrap_or(all);
        for (&present, row) in present.iter().zip(weight.chunks_mut(self.classes)) {
            if present == 0 {
                row.fill(0.0);
            }
        }
        let elements = f64::from(weight.iter().sum::<f32>());
        let tensor =
            |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, shape), device);
        let logits = self.restrict(tensor(stored.to_vec()));
        Some(Target { logits, weight: tensor(weight), rows: rows as f64, elements })
    }
}

/// Old answers, and where they count.
pub struct Target {
    logits: Tensor<2>,
    /// 1 where a sample has an old answer and the class is one of its own.
    weight: Tensor<2>,
    rows: f64,
    elements: f64,
}

impl Target {
    /// Distance of `logits`, already restricted, to the old ones; a scalar.
    ///
    /// `SoftKl`: `Σ q·(log q − log p)` with `q = softmax(old/τ)`, `p = softmax(logits/τ)`, no
    /// factor τ². `LogitMse`: `Σ (old − logits)²`. Each divided as `reduction` says, over the
    /// samples with an old answer and their own classes.
    pub fn distance(
        self,
        logits: Tensor<2>,
        kind: ReplayKd,
        tau: f64,
        reduction: KdReduction,
    ) -> Tensor<1> {
        let elements = match kind {
            ReplayKd::SoftKl => {
                let old = self.logits.div_scalar(tau);
                let log_p = log_softmax(logits.div_scalar(tau), 1);
                softmax(old.clone(), 1) * (log_softmax(old, 1) - log_p)
            }
            ReplayKd::LogitMse => {
                let difference = logits - self.logits;
                difference.clone() * difference
            }
        };
        let divisor = match reduction {
            KdReduction::ElementMean => self.elements,
            KdReduction::BatchMean => self.rows,
            KdReduction::ClassMean => self.elements / self.rows,
        };
        (elements * self.weight).sum().div_scalar(divisor)
    }
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
