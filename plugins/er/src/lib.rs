//! Experience replay (ER): every step learns from the current batch and a batch of the replay memory,
//! as one. The host keeps the memory (a reservoir) and draws from it.
#![deny(unsafe_code)]

use burn::tensor::Device;
use perdura_nn::{Mlp, MlpShape, Network, copy_out, labels, losses, rows, state};
use perdura_sdk::{Error, prelude::*};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.01,
        /// Samples replayed per step, m.
        pub replay: usize = 10,
        /// Widths of the hidden layers.
        pub hidden: Vec<usize> = vec![100, 100],
    }
}

impl Config {
    fn check(&self) -> Result<()> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::config("lr", "a number above 0", self.lr));
        }
        if self.hidden.contains(&0) {
            return Err(Error::config("hidden", "widths of at least 1", "0"));
        }
        Ok(())
    }
}

/// The learner: one network.
pub struct Er {
    lr: f64,
    shape: MlpShape,
    network: Mlp,
    device: Device,
}

impl ContinualLearner for Er {
    type Config = Config;

    fn about() -> About {
        About::new("replays samples of the memory beside every batch")
            .paper("Chaudhry et al., On Tiny Episodic Memories in Continual Learning, 2019, arXiv 1902.10486")
            .presets(include_str!("../presets.toml"))
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        let replay = Request::memory("replay", config.replay);
        Declaration::new().request(replay).view("main").scalar("loss")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let Config { lr, hidden, replay: _ } = config;
        let device = perdura_nn::device(&ctx.device, ctx.call.seed())?;
        let shape = MlpShape { inputs: ctx.input_width(), hidden, outputs: ctx.classes };
        let network = Mlp::new(&shape, &mut ctx.call.rng("init"), &device);
        Ok(Er { lr, shape, network, device })
    }

    /// `L = CE(f(X ∪ X_m), Y ∪ Y_m)`, one mean over `b + m` samples in one forward pass; `θ ← θ − lr·∇L`.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, replay) = (&step.current, step.draw("replay")?);
        let MlpShape { inputs: width, outputs: classes, .. } = self.shape;
        let inputs = rows(&[current.inputs(), replay.inputs()], width, &self.device);
        let labels = labels(&[current.labels(), replay.labels()], classes, &self.device);
        let tracked = self.network.tracked();
        let loss = losses::cross_entropy(tracked.forward(inputs), labels);
        let report = StepReport::new().scalar("loss", loss.clone().into_scalar());
        self.network.descend(&tracked, loss.backward(), self.lr);
        Ok(report)
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let inputs = rows(&[query.inputs], self.shape.inputs, &self.device);
        copy_out(self.network.forward(inputs), logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        Resources::new().with("parameters", self.network.parameter_bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)
    }
}

#[cfg(feature = "export")]
export_learner!(Er, id = "perdura/er");
