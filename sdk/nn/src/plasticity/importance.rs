//! Ownership without masks: how much the loss has fallen by way of each parameter, or how much what
//! the network says of a group's samples depends on it (the diagonal of the Fisher information).

use std::collections::BTreeMap;

use perdura_sdk::{Result, StateReader, StateWriter, hyper_parameters};

use crate::network::Network;
use crate::{numbers, state};

hyper_parameters! {
    /// Who owns a parameter, for networks without masks.
    pub enum Ownership {
        /// The group in whose steps the loss fell most by way of it: `|Σ g·Δθ|`.
        #[default]
        Path,
        /// The group whose answers depend on it most: `Σ (∂ log p(y|x)/∂w)²`, the empirical diagonal
        /// Fisher information, at the end of the group's last experience.
        Fisher,
    }
}

/// `ω_g(w) = |Σ g·Δθ|` over the steps in which group g was learned (the path integral of SI, Zenke
/// et al. 2017), g the gradient and Δθ the step. Networks are containers here: of the shape of the
/// trained one, with ω in place of parameters. With the
/// gradients of single samples in both places of [`add`](Self::add) it holds `Σ g²`, the Fisher
/// information.
#[derive(Clone, Debug)]
pub struct PathImportance<N> {
    groups: BTreeMap<usize, N>,
}

impl<N: Network> Default for PathImportance<N> {
    fn default() -> Self {
        PathImportance { groups: BTreeMap::new() }
    }
}

impl<N: Network> PathImportance<N> {
    /// Counts one step of a group in: `ω ← ω + g·(−Δθ)`, element by element; both in the shape of
    /// the network. Along a descent the product is not negative.
    pub fn add(&mut self, group: usize, gradient: &N, step: &N) {
        let mut product = gradient.clone();
        crate::update::multiply(&mut product, step);
        match self.groups.get_mut(&group) {
            Some(sum) => crate::update::sum(sum, &product),
            None => drop(self.groups.insert(group, product)),
        }
    }

    /// What a group had becomes what it has in `other`.
    pub fn replace(&mut self, group: usize, mut other: Self) {
        self.groups.extend(other.groups.remove_entry(&group));
    }

    /// `p_g(w)` in [0, 1]: ω over its largest value in the same tensor, so that layers of every
    /// scale count alike. 0 for a tensor, and a group, that nothing has come by. One vector per
    /// parameter tensor.
    pub fn ownership(&self, group: usize) -> Option<Vec<Vec<f32>>> {
        let normalised = |omega: Vec<f32>| {
            let omega = omega.into_iter().map(f32::abs);
            let omega: Vec<f32> = omega.collect();
            let largest = omega.iter().copied().fold(0.0, f32::max);
            let share = |w: f32| if largest > 0.0 { w / largest } else { 0.0 };
            omega.into_iter().map(share).collect()
        };
        let omega = self.groups.get(&group)?;
        Some(numbers::by_tensor(omega).into_iter().map(normalised).collect())
    }

    /// Groups that something has been counted in for.
    pub fn groups(&self) -> Vec<usize> {
        self.groups.keys().copied().collect()
    }

    pub fn bytes(&self) -> u64 {
        self.groups.values().map(Network::bytes).sum()
    }

    /// As `importance-<group>.<name of the parameter>`.
    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("importance", &self.groups())?;
        for (group, omega) in &self.groups {
            state::save(omega, &format!("importance-{group}."), out)?;
        }
        Ok(())
    }

    /// What [`save`](Self::save) wrote, of networks like this one.
    pub fn load(&mut self, like: &N, saved: &mut StateReader) -> Result<()> {
        let groups: Vec<usize> = saved.value("importance")?;
        self.groups.clear();
        for group in groups {
            let mut omega = like.clone();
            state::load(&mut omega, &format!("importance-{group}."), saved)?;
            self.groups.insert(group, omega);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Linear;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn net() -> Linear {
        let device = crate::device("flex", 0).unwrap();
        Linear::xavier(2, 2, &mut ChaCha8Rng::seed_from_u64(1), &device)
    }

    fn of(values: [f32; 6]) -> Linear {
        let [a, b, c, d, e, f] = values;
        numbers::filled(&net(), vec![vec![a, b, c, d], vec![e, f]])
    }

    /// Two steps of group 1: g·(−Δθ) = (1·0.5, 2·0.5, 0, 4·1) and (0.5·1, 0, 0, 0) add up to
    /// (1, 1, 0, 4), the largest of which is 4. The biases of neither step moved.
    #[test]
    fn importance_by_hand() {
        let mut importance = PathImportance::default();
        assert!(importance.ownership(1).is_none());
        importance.add(
            1,
            &of([1.0, 2.0, 3.0, -4.0, 1.0, 1.0]),
            &of([0.5, 0.5, 0.0, -1.0, 0.0, 0.0]),
        );
        importance.add(1, &of([0.5, 0.0, 0.0, 0.0, 0.0, 0.0]), &of([1.0; 6]));
        let p = importance.ownership(1).unwrap();
        assert_eq!(p, [vec![0.25, 0.25, 0.0, 1.0], vec![0.0, 0.0]]);
        assert_eq!(importance.groups(), [1]);
    }

    /// Gradients of single samples in both places: (1, 2) and (3, 0) have squares (10, 4), of which
    /// the first is largest. What was there before is gone.
    #[test]
    fn fisher_by_hand() {
        let one = of([1.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
        let two = of([3.0, 0.0, 0.0, 0.0, 0.0, -2.0]);
        let mut fisher = PathImportance::default();
        fisher.add(1, &one, &one);
        fisher.add(1, &two, &two);
        let mut importance = PathImportance::default();
        importance.add(0, &one, &one);
        importance.add(1, &one, &two);
        importance.replace(1, fisher);
        let p = importance.ownership(1).unwrap();
        assert_eq!(p, [vec![1.0, 0.4, 0.0, 0.0], vec![0.0, 1.0]]);
        assert_eq!(importance.ownership(0).unwrap()[0], [0.25, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn it_is_saved_and_loaded() {
        let mut importance = PathImportance::default();
        for group in [0, 3] {
            importance.add(group, &of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), &of([0.1; 6]));
        }
        let saved = |importance: &PathImportance<Linear>| {
            let mut out = StateWriter::new();
            importance.save(&mut out).unwrap();
            out.into_bytes().unwrap()
        };
        let bytes = saved(&importance);
        let mut other = PathImportance::default();
        other.load(&net(), &mut StateReader::from_bytes(&bytes).unwrap()).unwrap();
        assert_eq!(saved(&other), bytes);
    }
}
