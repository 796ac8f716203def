//! From a similarity to a speed.

use perdura_sdk::{Error, Result, hyper_parameters};

hyper_parameters! {
    /// How similarity becomes speed.
    pub enum SpeedCurve {
        /// `κ_min·(κ_max/κ_min)^s`.
        #[default]
        Geometric,
        /// `κ_min + (κ_max − κ_min)·s`.
        Linear,
        /// κ_max where `s ≥ τ`, else 0.
        Step,
    }
}

/// κ. Plugins name the hyper-parameters alike: `speed`, `kappa_min`, `kappa_max`, `tau`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    pub curve: SpeedCurve,
    /// Speed at similarity 0.
    pub kappa_min: f64,
    /// Speed at similarity 1.
    pub kappa_max: f64,
    /// Similarity from which a step goes at κ_max.
    pub tau: f64,
}

impl Speed {
    /// Refuses values outside their range: `0 ≤ κ_min ≤ κ_max`, `0 ≤ τ ≤ 1`; the geometric curve
    /// needs κ_min above 0.
    pub fn check(&self) -> Result<()> {
        let Speed { curve, kappa_min, kappa_max, tau } = *self;
        if !(kappa_max > 0.0 && kappa_max.is_finite()) {
            return Err(Error::config("kappa_max", "a number above 0", kappa_max));
        }
        if !(0.0..=kappa_max).contains(&kappa_min) {
            let expected = "a number from 0 to kappa_max";
            return Err(Error::config("kappa_min", expected, kappa_min));
        }
        if curve == SpeedCurve::Geometric && kappa_min == 0.0 {
            let expected = "a number above 0 for the geometric curve (or `speed = \"linear\"`)";
            return Err(Error::config("kappa_min", expected, kappa_min));
        }
        if !(0.0..=1.0).contains(&tau) {
            return Err(Error::config("tau", "a number from 0 to 1", tau));
        }
        Ok(())
    }

    /// κ(s), for s in [0, 1].
    pub fn of(&self, s: f32) -> f32 {
        let (s, Speed { kappa_min, kappa_max, .. }) = (f64::from(s), *self);
        let kappa = match self.curve {
            SpeedCurve::Geometric => kappa_min * (kappa_max / kappa_min).powf(s),
            SpeedCurve::Linear => kappa_min + (kappa_max - kappa_min) * s,
            SpeedCurve::Step if s >= self.tau => kappa_max,
            SpeedCurve::Step => 0.0,
        };
        kappa as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(curve: SpeedCurve) -> Speed {
        Speed { curve, kappa_min: 0.1, kappa_max: 1.0, tau: 0.5 }
    }

    /// Geometric from 0.1 to 1: half way lies √0.1 = 0.3162278; linear: 0.55.
    #[test]
    fn curves_by_hand() {
        let of = |curve| [0.0, 0.5, 1.0].map(|s| speed(curve).of(s));
        let near = |found: [f32; 3], expected: [f32; 3]| {
            found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6)
        };
        assert!(near(of(SpeedCurve::Geometric), [0.1, 0.316_227_8, 1.0]));
        assert!(near(of(SpeedCurve::Linear), [0.1, 0.55, 1.0]));
        assert_eq!(of(SpeedCurve::Step), [0.0, 1.0, 1.0]);
        assert_eq!(speed(SpeedCurve::Step).of(0.49), 0.0);
    }

    /// κ_min = κ_max = 1 is 1 to the bit, at every similarity.
    #[test]
    fn a_constant_speed_of_one_is_one() {
        for curve in [SpeedCurve::Geometric, SpeedCurve::Linear] {
            let speed = Speed { kappa_min: 1.0, ..speed(curve) };
            assert!((0..=100).all(|s| speed.of(s as f32 / 100.0) == 1.0), "{curve:?}");
        }
    }

    #[test]
    fn curves_rise() {
        for curve in [SpeedCurve::Geometric, SpeedCurve::Linear, SpeedCurve::Step] {
            let at = |s: i32| speed(curve).of(s as f32 / 100.0);
            assert!((0..100).all(|s| at(s) <= at(s + 1)), "{curve:?}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let of = |speed: Speed| speed.check().unwrap_err().to_string();
        let good = speed(SpeedCurve::Geometric);
        assert!(good.check().is_ok());
        assert_eq!(
            of(Speed { kappa_max: 0.0, ..good }),
            "hyper-parameter `kappa_max`: expected a number above 0, found 0"
        );
        for kappa_min in [-0.1, 1.1, f64::NAN] {
            let expected = "hyper-parameter `kappa_min`: expected a number from 0 to kappa_max";
            assert!(of(Speed { kappa_min, ..good }).starts_with(expected));
        }
        let geometric = of(Speed { kappa_min: 0.0, ..good });
        assert!(geometric.contains("above 0 for the geometric curve"), "{geometric}");
        assert!(Speed { kappa_min: 0.0, ..speed(SpeedCurve::Linear) }.check().is_ok());
        assert_eq!(
            of(Speed { tau: 1.5, ..good }),
            "hyper-parameter `tau`: expected a number from 0 to 1, found 1.5"
        );
    }
}
