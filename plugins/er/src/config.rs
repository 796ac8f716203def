//! Hyper-parameters of ER; most of what belongs to `plasticity` has an effect only where that is on.

use perdura_nn::plasticity::{GuideOptions, Ownership, Pace, Plasticity, Speed, SpeedCurve};
use perdura_nn::similarity::{Grouping, SimilarityGiven};
use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Error, Grants, hyper_parameters, prelude::Result};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.01,
        /// Samples replayed per step, m.
        pub replay: usize = 10,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,

        /// Rates by similarity for what other groups own: `none`, `mean`, `min`.
        pub plasticity: Plasticity = Plasticity::None,
        /// How similarity becomes speed.
        pub speed: SpeedCurve = SpeedCurve::Geometric,
        /// Speed at similarity 0, κ_min; 0 to κ_max.
        pub kappa_min: f64 = 0.1,
        /// Speed at similarity 1, κ_max; above 0.
        pub kappa_max: f64 = 1.0,
        /// Similarity from which `speed = "step"` goes at κ_max, τ; 0 to 1.
        pub tau: f64 = 0.5,
        /// Scale rates to a mean of 1.
        pub budget_neutral: bool = false,
        /// Who owns a parameter.
        pub ownership: Ownership = Ownership::Path,
        /// Which similarities decide the rates: the measured ones, or a control.
        pub similarity: SimilarityGiven = SimilarityGiven::True,
        /// Similarity between groups for `similarity = "oracle"`; 0 to 1.
        pub oracle_across: f64 = 0.2,
        /// Similarity from which an experience joins a group, τ_join; 0 to 1.
        pub tau_join: f64 = 0.5,
        /// Most groups; at least 1.
        pub groups_max: usize = 5,
        /// Groups given instead of found: that of experience i is `groups[i]`. Empty: found.
        pub groups: Vec<usize> = vec![],
        /// Samples of each side that are compared; at least 2.
        pub probe: usize = 200,
        /// Batches in the sliding window, where the experience cannot be looked through; at least
        /// 1.
        pub window: usize = 10,
        /// Windows in a row that must agree on a change of group, where boundaries are hidden; at
        /// least 1.
        pub confirm: usize = 2,
    }
}

impl Config {
    /// Refuses values outside their range, and those that do not go together.
    pub(crate) fn check(&self, grants: &Grants) -> Result<()> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::config("lr", "a number above 0", self.lr));
        }
        self.guide().check(grants, false)
    }

    /// Whether the learner looks for groups.
    pub(crate) fn is_paced(&self) -> bool {
        self.plasticity != Plasticity::None
    }

    pub(crate) fn guide(&self) -> GuideOptions {
        let Config { kappa_min, kappa_max, tau, plasticity, budget_neutral, .. } = *self;
        let speed = Speed { curve: self.speed, kappa_min, kappa_max, tau };
        let Config { tau_join, groups_max, probe, window, confirm, .. } = *self;
        let groups = self.groups.clone();
        GuideOptions {
            grouping: Grouping { tau_join, groups_max, groups, probe, window, confirm },
            pace: Pace { plasticity, speed, budget_neutral },
            similarity: self.similarity,
            oracle_across: self.oracle_across,
            ownership: self.ownership,
        }
    }

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
