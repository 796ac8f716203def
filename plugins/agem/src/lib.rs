//! Averaged gradient episodic memory (A-GEM): a step that would go uphill on samples of earlier
//! experiences is bent until it goes level. The host keeps these samples, the same number of each
//! experience, and draws from them. With a reservoir in their place this is A-GEM-R.
#![deny(unsafe_code)]

use burn::tensor::Tensor;
use perdura_nn::{BackboneConfig, BackboneKind, Net, Network, flat, losses, state};
use perdura_sdk::{Error, prelude::*};

hyper_parameters! {
    /// What the memory holds.
    pub enum Memory {
        /// The same number of samples of each experience, which count once it has ended: A-GEM.
        #[default]
        Ring,
        /// Every sample of the stream with equal probability, those of the current experience too:
        /// A-GEM-R. Needs no boundaries.
        Reservoir,
    }
}

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.1,
        /// Samples of the memory that a step may not go uphill on, m; at least 1.
        pub replay: usize = 128,
        /// What the memory holds.
        pub memory: Memory = Memory::Ring,
        /// Network before the head.
        pub backbone: BackboneKind = BackboneKind::Mlp,
        /// Widths of the hidden layers, for `mlp`.
        pub hidden: Vec<usize> = vec![100, 100],
        /// Channels of the first stage, for `resnet18` and `resnet18_pool`.
        pub width: usize = 64,
    }
}

impl Config {
    fn check(&self) -> Result<()> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::config("lr", "a number above 0", self.lr));
        }
        if self.replay == 0 {
            return Err(Error::config("replay", "at least 1", self.replay));
        }
        Ok(())
    }

    fn backbone(&self) -> BackboneConfig {
        let (kind, hidden, width) = (self.backbone, self.hidden.clone(), self.width);
        BackboneConfig { kind, hidden, width }
    }
}

/// The learner: one network.
pub struct AGem {
    lr: f64,
    network: Net,
}

impl ContinualLearner for AGem {
    type Config = Config;

    fn about() -> About {
        About::new("bends steps that would go uphill on samples of the memory")
            .paper(
                "Chaudhry et al., Efficient Lifelong Learning with A-GEM, ICLR 2019, \
                 arXiv 1812.00420",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    /// A-GEM: of each experience the samples of its last steps in its first epoch, a random choice,
    /// because the host's order is one; drawn from once the experience is past. Where boundaries are
    /// hidden nothing is ever past, and the host refuses the ring; a user who then chooses another
    /// policy has the whole memory.
    fn declare(config: &Config, ctx: &Context) -> Declaration {
        let reference = Request::memory("reference", config.replay);
        let (reference, wishes) = match config.memory {
            Memory::Ring => {
                let (policy, insert_epochs) = (InsertionPolicy::Ring, InsertEpochs::First);
                let wishes = Wishes { policy, insert_epochs, ..Wishes::default() };
                let filter = if ctx.grants.boundaries { Filter::Past } else { Filter::All };
                (reference.filter(filter), wishes)
            }
            Memory::Reservoir => (reference, Wishes::default()),
        };
        let scalars = ["loss", "loss_ref", "dot", "ref_sq", "projected"];
        let declaration = Declaration::new().request(reference).wishes(wishes).view("main");
        scalars.into_iter().fold(declaration, Declaration::scalar)
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let network = Net::of(ctx, &config.backbone())?;
        Ok(AGem { lr: config.lr, network })
    }

    /// `g = ∇CE(f(X), Y)` and `g_ref = ∇CE(f(X_m), Y_m)` at the same weights. Equation 11: where
    /// `g·g_ref < 0` the step goes down `g − (g·g_ref / g_ref·g_ref)·g_ref`, elsewhere down g.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, reference) = (&step.current, step.draw("reference")?);
        let mut tracked = self.network.tracked();
        let (loss, g) = self.slope(&mut tracked, current)?;
        let mut report = StepReport::new().scalar("loss", loss);
        let mut direction = g;
        if !reference.is_empty() {
            let (loss_ref, g_ref) = self.slope(&mut tracked, reference)?;
            let dot: f64 = (direction.clone() * g_ref.clone()).sum().into_scalar();
            let ref_sq: f64 = (g_ref.clone() * g_ref.clone()).sum().into_scalar();
            let uphill = dot < 0.0;
            if uphill {
                direction = direction - g_ref.mul_scalar(dot / ref_sq);
            }
            report = report
                .scalar("loss_ref", loss_ref)
                .scalar("dot", dot)
                .scalar("ref_sq", ref_sq)
                .scalar("projected", f64::from(u8::from(uphill)));
        }
        flat::descend(&mut self.network, &tracked, direction, self.lr);
        Ok(report)
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        Resources::new().with("parameters", self.network.bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)
    }
}

impl AGem {
    /// Cross-entropy of some samples and its gradient. `tracked` keeps its weights.
    fn slope(&self, tracked: &mut Net, rows: &Rows<'_>) -> Result<(f64, Tensor<1>)> {
        let logits = tracked.forward_train(self.network.rows(&[rows.inputs()]))?;
        let loss = losses::cross_entropy(logits, self.network.labels(&[rows.labels()]));
        let value = loss.clone().into_scalar();
        Ok((value, flat::gradient(tracked, loss.backward())))
    }
}

#[cfg(feature = "export")]
export_learner!(AGem, id = "perdura/agem");
