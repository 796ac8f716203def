//! Hyper-parameters of iCaRL; the defaults are those of S-MNIST.

use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Context, Error, hyper_parameters, prelude::Result};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.1,
        /// Weight of the sum of squared parameters in the loss; 0 or more.
        pub weight_decay: f64 = 0.0,
        /// Features of an image are the mean of its own and its mirror image's, as in newer code.
        pub mirrored: bool = false,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,
    }
}

impl Config {
    /// Refuses values outside their range, and streams in which no class is ever new.
    pub(crate) fn check(&self, ctx: &Context) -> Result<()> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::config("lr", "a number above 0", self.lr));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(Error::config("weight_decay", "a number of at least 0", self.weight_decay));
        }
        if self.mirrored && ctx.input_shape.len() != 3 {
            let found = format!("true for inputs of shape {:?}", ctx.input_shape);
            return Err(Error::config("mirrored", "false where inputs are not images", found));
        }
        let grants = ctx.grants;
        match grants.boundaries && grants.experience_classes && grants.second_pass {
            true => Ok(()),
            false => Err(Error::new(
                "icarl chooses exemplars of new classes when their experience ends, but this \
                 stream passes once, or hides boundaries or classes; leave --online out, or \
                 choose a Class-IL benchmark",
            )),
        }
    }

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
