//! From ownership and speeds to the rate of every parameter.

use perdura_sdk::hyper_parameters;

use super::speed::Speed;
use crate::masks::{Layers, Units};
use crate::network::Network;
use crate::numbers;

hyper_parameters! {
    /// How the claims of several groups on a parameter become one rate.
    pub enum Plasticity {
        /// Off: every parameter at the full rate.
        #[default]
        None,
        /// `μ = [Σ_g p_g·κ_g + p_0]/[Σ_g p_g + p_0]`, `p_0 = 0.001`.
        Mean,
        /// `μ = min_g [1 − p_g·(1 − κ_g)]`: one unlike owner is enough.
        Min,
        /// `μ = 1 − min(max_g a_out^g·(1 − κ_g), max_g a_in^g·(1 − κ_g))`: HAT's gate with speeds.
        /// It needs masks.
        Hat,
    }
}

/// Claim of nobody: what a parameter without owners goes by.
const P_0: f32 = 1e-3;

/// One group's claim.
#[derive(Clone, Debug)]
pub struct Owner {
    /// s(γ, g), in [0, 1].
    pub similarity: f32,
    pub claim: Claim,
}

/// How a group owns parameters.
#[derive(Clone, Debug)]
pub enum Claim {
    /// By its masks, units of the head last; `p = min(a_out, a_in)`.
    Units(Units),
    /// One by one: for every parameter tensor its numbers.
    Parameters(Vec<Vec<f32>>),
}

/// Hyper-parameters of plasticity: `plasticity`, those of [`Speed`], `budget_neutral`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub plasticity: Plasticity,
    pub speed: Speed,
    /// Rates are scaled to a mean of 1 over all parameters: where to be fast without being faster.
    pub budget_neutral: bool,
}

impl Pace {
    /// μ in the shape of `net`; `None` where it is off or nobody owns anything. `layers` are those
    /// of the masks.
    ///
    /// # Panics
    /// Where [`Claim::Units`] come without layers, or [`Plasticity::Hat`] meets claims by
    /// parameter: a plugin refuses that when it is made.
    pub fn rates<N: Network>(
        &self,
        net: &N,
        layers: Option<&Layers>,
        owners: &[Owner],
    ) -> Option<N> {
        if self.plasticity == Plasticity::None || owners.is_empty() {
            return None;
        }
        let kappas: Vec<f32> = owners.iter().map(|owner| self.speed.of(owner.similarity)).collect();
        let spread = |units: &Units| {
            let layers = layers.expect("masks come with their layers");
            numbers::by_tensor(&layers.spread(net, units))
        };
        let mut rates = match self.plasticity {
            Plasticity::Hat => {
                let slowed: Vec<Units> = owners.iter().zip(&kappas).map(slowed).collect();
                let held = slowed.into_iter().reduce(largest).expect("an owner at least");
                each(vec![spread(&held)], |held| 1.0 - held[0])
            }
            kind => {
                let claims = owners.iter().map(|owner| match &owner.claim {
                    Claim::Units(units) => spread(units),
                    Claim::Parameters(values) => values.clone(),
                });
                let rate = if kind == Plasticity::Min { min } else { mean };
                each(claims.collect(), |p| rate(p, &kappas))
            }
        };
        if self.budget_neutral {
            neutralise(&mut rates);
        }
        Some(numbers::filled(net, rates))
    }
}

/// `a·(1 − κ)` for every unit.
fn slowed((owner, kappa): (&Owner, &f32)) -> Units {
    let Claim::Units(units) = &owner.claim else { panic!("`hat` needs masks") };
    units.iter().map(|layer| layer.iter().map(|a| a * (1.0 - kappa)).collect()).collect()
}

fn largest(mut mine: Units, theirs: Units) -> Units {
    for (mine, theirs) in mine.iter_mut().flatten().zip(theirs.iter().flatten()) {
        *mine = mine.max(*theirs);
    }
    mine
}

/// One number per parameter from the numbers of all groups.
pub(super) fn each(claims: Vec<Vec<Vec<f32>>>, rate: impl Fn(&[f32]) -> f32) -> Vec<Vec<f32>> {
    let mut p = vec![0.0; claims.len()];
    let tensors = 0..claims[0].len();
    let mut of_tensor = |tensor: usize| {
        let numbers = 0..claims[0][tensor].len();
        let mut of = |number: usize| {
            p.iter_mut().zip(&claims).for_each(|(p, claim)| *p = claim[tensor][number]);
            rate(&p)
        };
        numbers.map(&mut of).collect()
    };
    tensors.map(&mut of_tensor).collect()
}

pub(super) fn mean(p: &[f32], kappas: &[f32]) -> f32 {
    let (mut above, mut below) = (0.0, 0.0);
    for (p, kappa) in p.iter().zip(kappas) {
        above += p * kappa;
        below += p;
    }
    (above + P_0) / (below + P_0)
}

pub(super) fn min(p: &[f32], kappas: &[f32]) -> f32 {
    let rates = p.iter().zip(kappas).map(|(p, kappa)| 1.0 - p * (1.0 - kappa));
    rates.fold(f32::INFINITY, f32::min)
}

/// Scales to a mean of 1; where everything stands still there is nothing to scale.
pub(super) fn neutralise(rates: &mut [Vec<f32>]) {
    let count: usize = rates.iter().map(Vec::len).sum();
    let sum: f64 = rates.iter().flatten().map(|&rate| f64::from(rate)).sum();
    if sum > 0.0 {
        let factor = (count as f64 / sum) as f32;
        rates.iter_mut().flatten().for_each(|rate| *rate *= factor);
    }
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
