//! Hyper-parameters of CLS-ER; the defaults are those of S-MNIST with a memory of 200 samples.

use perdura_nn::teaching::EmaBn;
use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Error, hyper_parameters, prelude::Result};

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
    /// Refuses values outside their range.
    pub(crate) fn check(&self) -> Result<()> {
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

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
