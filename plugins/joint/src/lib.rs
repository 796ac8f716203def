//! Joint training: the learner of `sgd` on the union of all experiences, mixed. Not continual learning but
//! its upper bound; all that makes it `joint` is the wish for that stream.
#![deny(unsafe_code)]

use burn::tensor::Device;
use perdura_nn::{Mlp, MlpShape, Network, copy_out, labels, losses, rows, state};
use perdura_sdk::{Error, prelude::*};

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Learning rate, constant; above 0.
        pub lr: f64 = 0.03,
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
pub struct Joint {
    lr: f64,
    shape: MlpShape,
    network: Mlp,
    device: Device,
}

impl ContinualLearner for Joint {
    type Config = Config;

    fn about() -> About {
        About::new("trains on all experiences at once: the upper bound")
            .presets(include_str!("../presets.toml"))
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        let wishes = Wishes { stream: StreamShape::Union, ..Wishes::default() };
        Declaration::new().view("main").scalar("loss").wishes(wishes)
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let Config { lr, hidden } = config;
        let device = perdura_nn::device(&ctx.device, ctx.call.seed())?;
        let shape = MlpShape { inputs: ctx.input_width(), hidden, outputs: ctx.classes };
        let network = Mlp::new(&shape, &mut ctx.call.rng("init"), &device);
        Ok(Joint { lr, shape, network, device })
    }

    /// `L = CE(f(X), Y)`; `θ ← θ − lr·∇L`.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let inputs = rows(&[step.current.inputs()], self.shape.inputs, &self.device);
        let labels = labels(&[step.current.labels()], self.shape.outputs, &self.device);
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
export_learner!(Joint, id = "perdura/joint");
