//! Hyper-parameters of CLS-ER; the defaults are those of S-MNIST with a memory of 200 samples.

use perdura_nn::masks::MaskOptions;
use perdura_nn::plasticity::{GuideOptions, Ownership, Pace, Plasticity, Speed, SpeedCurve};
use perdura_nn::similarity::{Grouping, SimilarityGiven};
use perdura_nn::teaching::EmaBn;
use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Error, Grants, hyper_parameters, prelude::Result};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.03,
        /// Samples replayed per step, m.
        pub replay: usize = 128,
        /// Weight of the consistency loss, λ; 0 or more.
        pub reg_weight: f64 = 2.0,
        /// Probability that a step updates the stable network, r_S.
        pub r_stable: f64 = 0.9,
        /// Decay of the stable network per update, α_S.
        pub alpha_stable: f64 = 0.99,
        /// Probability that a step updates the plastic network, r_P.
        pub r_plastic: f64 = 1.0,
        /// Decay of the plastic network per update, α_P.
        pub alpha_plastic: f64 = 0.99,
        /// How the teacher of a replayed sample is chosen.
        pub teacher_select: TeacherSelect = TeacherSelect::PerSample,
        /// Where the teachers' running statistics come from, for networks that have some.
        pub ema_bn: EmaBn = EmaBn::Code,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,

        /// Masks over the units of all three networks.
        pub masks: Masks = Masks::None,
        /// Largest scale of the masks' embeddings, s_max; above 0.
        pub s_max: f64 = 400.0,
        /// Weight of the masks' sparsity term, λ_c; 0 or more.
        pub lambda_c: f64 = 0.75,
        /// Mean of the embeddings that a group begins with: above 0 more units are open.
        pub mask_mean: f64 = 0.0,
        /// Learn masks at a scale that rises to s_max; without, they are hard from the start and
        /// stay what they were drawn.
        pub mask_anneal: bool = true,
        /// Steps in which a group learns its masks, where boundaries are hidden; at least 1.
        pub mask_steps: u64 = 1000,
        /// Temperature of the group probabilities at test, T_p; 0 gives all to the nearest group.
        pub temperature: f64 = 0.1,
        /// Also a view that is told the true group of a test sample, for benchmarks that know it.
        pub oracle_view: bool = false,

        /// Rates by similarity for what other groups own.
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
        /// Who owns a parameter where no masks say so.
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

hyper_parameters! {
    /// Whether groups of similar experiences have masks.
    pub enum Masks {
        /// The plain method.
        #[default]
        None,
        /// Each group learns masks, which keep what it has learned from the new batches of others.
        /// Groups are of experiences, which must be told.
        Groups,
        /// The same where experiences are hidden: groups are of the batches in a sliding window.
        Window,
    }
}

hyper_parameters! {
    /// How the teacher of a replayed sample is chosen.
    pub enum TeacherSelect {
        /// For each sample the network that gives its label the higher probability (the paper).
        #[default]
        PerSample,
        /// For the whole replayed batch the network with the higher mean log-probability of the
        /// labels.
        PerBatch,
    }
}

impl Config {
    /// Refuses values outside their range, and those that do not go together.
    pub(crate) fn check(&self, grants: &Grants) -> Result<()> {
        self.check_plain()?;
        self.check_told(grants)?;
        self.guide().check(grants, self.masks != Masks::None)?;
        self.mask_options().check()?;
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let expected = "a number of at least 0";
            return Err(Error::config("temperature", expected, self.temperature));
        }
        if self.oracle_view && self.masks == Masks::None {
            let expected = "false without masks: there is nothing to be told";
            return Err(Error::config("oracle_view", expected, true));
        }
        if self.ema_bn == EmaBn::Average && self.masks != Masks::None {
            let expected = "`code` with masks: running statistics are those of each group";
            return Err(Error::config("ema_bn", expected, "`average`"));
        }
        Ok(())
    }

    /// Groups of experiences where there are experiences, of windows where there are none.
    fn check_told(&self, grants: &Grants) -> Result<()> {
        match self.masks {
            Masks::Groups if !grants.boundaries => {
                let expected = "`none`, `window` (groups found on a sliding window), or a stream \
                                that tells its experiences";
                Err(Error::config("masks", expected, "`groups` in a stream that hides them"))
            }
            Masks::Window if grants.boundaries => {
                let expected = "`none`, or `groups` in a stream that tells its experiences";
                Err(Error::config("masks", expected, "`window`"))
            }
            _ => Ok(()),
        }
    }

    fn check_plain(&self) -> Result<()> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::config("lr", "a number above 0", self.lr));
        }
        if !(self.reg_weight >= 0.0 && self.reg_weight.is_finite()) {
            return Err(Error::config("reg_weight", "a number of at least 0", self.reg_weight));
        }
        let shares = [
            ("r_stable", self.r_stable),
            ("alpha_stable", self.alpha_stable),
            ("r_plastic", self.r_plastic),
            ("alpha_plastic", self.alpha_plastic),
        ];
        for (key, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(key, "a number from 0 to 1", value));
            }
        }
        Ok(())
    }

    /// Whether the learner looks for groups at all.
    pub(crate) fn has_groups(&self) -> bool {
        self.masks != Masks::None || self.plasticity != Plasticity::None
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

    pub(crate) fn mask_options(&self) -> MaskOptions {
        let Config { s_max, lambda_c, mask_mean, mask_anneal, mask_steps, .. } = *self;
        MaskOptions { s_max, lambda_c, mask_mean, mask_anneal, mask_steps }
    }

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
