//! Hyper-parameters of HAT; the defaults are the authors', without the two that need held-out data.

use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Error, hyper_parameters, prelude::Result};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate; above 0.
        pub lr: f64 = 0.05,
        /// Largest scale of the embeddings, s_max; above 0.
        pub s_max: f64 = 400.0,
        /// Weight of the sparsity term, λ_c; 0 or more.
        pub lambda_c: f64 = 0.75,
        /// Mean of the embeddings that a task begins with: above 0 more units are open.
        pub mask_mean: f64 = 0.0,
        /// Largest norm of a step's gradient, that of the embeddings included; above 0.
        pub grad_norm_max: f64 = 10000.0,
        /// Epochs without a better score on held-out samples after which the learning rate is
        /// divided by `lr_factor`; 0: it is constant and nothing is held out. The authors' is 5.
        pub patience: usize = 0,
        /// What the learning rate is divided by; above 1.
        pub lr_factor: f64 = 3.0,
        /// A task whose learning rate would fall below this is finished; 0 or more.
        pub lr_min: f64 = 0.0001,
        /// At the end of a task go back to the weights that scored best on held-out samples, as the
        /// authors do.
        pub restore_best: bool = false,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`; at least one layer.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,
    }
}

impl Config {
    /// Refuses values outside their range.
    pub(crate) fn check(&self) -> Result<()> {
        let positive =
            [("lr", self.lr), ("s_max", self.s_max), ("grad_norm_max", self.grad_norm_max)];
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(key, "a number above 0", value));
            }
        }
        for (key, value) in [("lambda_c", self.lambda_c), ("lr_min", self.lr_min)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::config(key, "a number of at least 0", value));
            }
        }
        if !(self.lr_factor > 1.0 && self.lr_factor.is_finite()) {
            return Err(Error::config("lr_factor", "a number above 1", self.lr_factor));
        }
        Ok(())
    }

    /// Whether the learner looks at held-out samples.
    pub(crate) fn validates(&self) -> bool {
        self.patience > 0 || self.restore_best
    }

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
