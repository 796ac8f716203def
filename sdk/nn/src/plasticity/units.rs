//! Rates of units, for a method in which groups own units of one layer and which knows what stands
//! around them.

use super::rates::{Pace, Plasticity, each, mean, min, neutralise};

impl Pace {
    /// μ of every unit of a layer from `(s(γ, g), p_g)` of every group, p_g one number in [0, 1]
    /// for each unit; `None` where it is off or nobody owns anything. `budget_neutral` is about the
    /// mean over these units.
    ///
    /// # Panics
    /// [`Plasticity::Hat`], which is about the units on both sides of a parameter.
    pub fn unit_rates(&self, owners: &[(f32, Vec<f32>)]) -> Option<Vec<f32>> {
        let rate = match self.plasticity {
            Plasticity::None => return None,
            Plasticity::Mean => mean,
            Plasticity::Min => min,
            Plasticity::Hat => panic!("`hat` needs masks"),
        };
        if owners.is_empty() {
            return None;
        }
        let kappas: Vec<f32> = owners.iter().map(|(s, _)| self.speed.of(*s)).collect();
        let claims = owners.iter().map(|(_, p)| vec![p.clone()]).collect();
        let mut rates = each(claims, |p| rate(p, &kappas));
        if self.budget_neutral {
            neutralise(&mut rates);
        }
        rates.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plasticity::{Speed, SpeedCurve};

    fn pace(plasticity: Plasticity, budget_neutral: bool) -> Pace {
        let curve = SpeedCurve::Linear;
        let speed = Speed { curve, kappa_min: 0.2, kappa_max: 1.0, tau: 0.5 };
        Pace { plasticity, speed, budget_neutral }
    }

    /// Two groups, one unlike (κ = 0.2) and one half alike (κ = 0.6), on three units: owned by the
    /// first, by both, by nobody. Mean: (0.2 + 0.001)/1.001, (0.1 + 0.6 + 0.001)/1.501, 1. Min:
    /// 0.2, the smaller of 1 − 0.5·0.8 and 1 − 0.4, 1.
    #[test]
    fn rates_of_units_by_hand() {
        let owners = [(0.0, vec![1.0, 0.5, 0.0]), (0.5, vec![0.0, 1.0, 0.0])];
        let near = |found: &[f32], expected: [f32; 3]| {
            let same = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6);
            assert!(same && found.len() == 3, "{found:?}, expected {expected:?}");
        };
        let of = |kind, neutral| pace(kind, neutral).unit_rates(&owners).unwrap();
        near(&of(Plasticity::Mean, false), [0.201 / 1.001, 0.701 / 1.501, 1.0]);
        near(&of(Plasticity::Min, false), [0.2, 0.6, 1.0]);
        near(&of(Plasticity::Min, true), [0.2 / 0.6, 1.0, 1.0 / 0.6]);
        assert_eq!(pace(Plasticity::None, false).unit_rates(&owners), None);
        assert_eq!(pace(Plasticity::Mean, false).unit_rates(&[]), None);
    }

    #[test]
    #[should_panic(expected = "`hat` needs masks")]
    fn hat_is_about_masks() {
        pace(Plasticity::Hat, false).unit_rates(&[(0.0, vec![1.0])]);
    }
}
