//! Hyper-parameters of GDumb; the defaults are those of its paper.

use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Context, Error, hyper_parameters, prelude::Result};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Highest learning rate, at which every cycle begins; above 0.
        pub lr_max: f64 = 0.05,
        /// Lowest learning rate; from 0 to `lr_max`.
        pub lr_min: f64 = 0.0005,
        /// Passes over the memory, first epoch and all cycles; at least 1.
        pub epochs: usize = 256,
        /// Samples per step on the memory; at least 1.
        pub batch: usize = 16,
        /// Momentum of gradient descent; from 0 to below 1.
        pub momentum: f64 = 0.9,
        /// Weight decay, added to the gradient as this times the parameters; 0 or more.
        pub weight_decay: f64 = 1e-6,
        /// A gradient with a larger norm is shortened to this; above 0.
        pub clip: f64 = 10.0,
        /// Probability that a batch is mixed by CutMix; from 0 to 1.
        pub cutmix_p: f64 = 0.5,
        /// Both parameters of the beta distribution of CutMix's share; above 0, at most 2.
        pub cutmix_alpha: f64 = 1.0,
        /// Which samples the memory keeps.
        pub sampler: Sampler = Sampler::Greedy,
        /// When a network is trained.
        pub train: TrainAt = TrainAt::EachExperience,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,
    }
}

hyper_parameters! {
    /// Which samples the memory keeps.
    pub enum Sampler {
        /// The first ones of each class, classes sharing the memory equally (the paper).
        #[default]
        Greedy,
        /// The host's policy: a class-balanced reservoir, or what `--policy` says.
        Host,
    }
}

hyper_parameters! {
    /// When a network is trained.
    pub enum TrainAt {
        /// Anew at the end of every experience, so that there is an answer after each; where
        /// boundaries are hidden, when the stream is over.
        #[default]
        EachExperience,
        /// Once, when the stream is over.
        EndOfStream,
    }
}

impl Config {
    /// Refuses values outside their range.
    pub(crate) fn check(&self, ctx: &Context) -> Result<()> {
        let above_0 = |value: f64| value > 0.0 && value.is_finite();
        for (key, value) in [("lr_max", self.lr_max), ("clip", self.clip)] {
            if !above_0(value) {
                return Err(Error::config(key, "a number above 0", value));
            }
        }
        if !(0.0..=self.lr_max).contains(&self.lr_min) {
            return Err(Error::config("lr_min", "a number from 0 to `lr_max`", self.lr_min));
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(Error::config("momentum", "a number from 0 to below 1", self.momentum));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(Error::config("weight_decay", "a number of at least 0", self.weight_decay));
        }
        for (key, value) in [("epochs", self.epochs), ("batch", self.batch)] {
            if value == 0 {
                return Err(Error::config(key, "at least 1", value));
            }
        }
        if !(above_0(self.cutmix_alpha) && self.cutmix_alpha <= 2.0) {
            let expected = "a number above 0, at most 2";
            return Err(Error::config("cutmix_alpha", expected, self.cutmix_alpha));
        }
        if !(0.0..=1.0).contains(&self.cutmix_p) {
            return Err(Error::config("cutmix_p", "a number from 0 to 1", self.cutmix_p));
        }
        if self.cutmix_p > 0.0 && ctx.input_shape.len() != 3 {
            let found = format!("{} for inputs of shape {:?}", self.cutmix_p, ctx.input_shape);
            return Err(Error::config("cutmix_p", "0 where inputs are not images", found));
        }
        Ok(())
    }

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
