//! Hyper-parameters of OGD; the defaults are those of its public experiments.

pub use perdura_nn::orthogonal::BasisKind;
use perdura_nn::{BackboneConfig, BackboneKind};
use perdura_sdk::{Context, Error, hyper_parameters, prelude::Result};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.001,
        /// Samples of each experience whose gradients are kept, n; at least 1.
        pub samples: usize = 100,
        /// Most directions kept, K_max, in each basis; at least 1. With more, every experience is
        /// cut to an equal quota.
        pub capacity: usize = 2000,
        /// What is left of a gradient, as a share of its norm, at which it counts as known; between
        /// 0 and 1.
        pub tau_rank: f64 = 0.1,
        /// At which points of the parameters gradients are taken.
        pub anchors: Anchors = Anchors::Working,
        /// One basis for all parameters, or one for each layer.
        pub basis: BasisKind = BasisKind::Network,
        /// One head over all classes, or over those of the sample's own experience.
        pub head: HeadKind = HeadKind::TaskFree,
        /// Samples replayed per step, m; the gradient of both losses is projected. 0 for none.
        pub replay: usize = 0,
        /// Samples of earlier experiences, from the memory, on which the coverage is measured at
        /// the end of each epoch; 0 for none.
        pub coverage: usize = 0,
        /// Probability that a step updates the stable average, r_S; with anchors on averages.
        pub r_stable: f64 = 0.9,
        /// Decay of the stable average per update, α_S.
        pub alpha_stable: f64 = 0.99,
        /// Probability that a step updates the plastic average, r_P.
        pub r_plastic: f64 = 1.0,
        /// Decay of the plastic average per update, α_P.
        pub alpha_plastic: f64 = 0.99,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,
    }
}

hyper_parameters! {
    /// At which points of the parameters gradients are taken.
    pub enum Anchors {
        /// At the network that is trained, θ_W (the paper).
        #[default]
        Working,
        /// At five points of the way from the stable average θ_S over the plastic one θ_P to θ_W,
        /// each for a fifth of the samples.
        Segments,
        /// At θ_W, and the differences θ_W − θ_P, θ_W − θ_S and θ_P − θ_S are directions too.
        Chords,
    }
}

hyper_parameters! {
    /// Which classes compete.
    pub enum HeadKind {
        /// All classes.
        #[default]
        TaskFree,
        /// Those of the sample's own experience, in training and when scored. Heads are then left
        /// out of the projection.
        TaskAware,
    }
}

impl Config {
    /// Refuses values outside their range, and what the stream does not grant.
    pub(crate) fn check(&self, ctx: &Context) -> Result<()> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::config("lr", "a number above 0", self.lr));
        }
        if !(self.tau_rank > 0.0 && self.tau_rank < 1.0) {
            return Err(Error::config("tau_rank", "a number between 0 and 1", self.tau_rank));
        }
        for (key, value) in [("samples", self.samples), ("capacity", self.capacity)] {
            if value == 0 {
                return Err(Error::config(key, "at least 1", value));
            }
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
        let told = ctx.grants.boundaries && ctx.grants.experience_classes;
        if self.head == HeadKind::TaskAware && !told {
            let found = "task_aware in a stream without them";
            let expected = "task_free, or a stream that tells experiences and their classes";
            return Err(Error::config("head", expected, found));
        }
        match ctx.grants.second_pass && ctx.grants.boundaries {
            true => Ok(()),
            false => Err(Error::new(
                "ogd takes gradients of samples of an experience that has ended, but this stream \
                 passes once or hides its boundaries; leave --online out, or choose another \
                 benchmark",
            )),
        }
    }

    /// Whether averages of the network are kept.
    pub(crate) fn averages(&self) -> bool {
        self.anchors != Anchors::Working
    }

    pub(crate) fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}
