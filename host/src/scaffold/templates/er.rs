//! {{id}}: experience replay. Every step learns from the current batch and from samples of the replay
//! memory, as one. The host keeps the memory and draws from it. Change it into your method.
#![deny(unsafe_code)]

use perdura_nn::{BackboneConfig, Net, Network, losses, state};
use perdura_sdk::prelude::*;

hyper_parameters! {
    /// Hyper-parameters. Every one has a default and appears in `perdura plugins info {{id}}`.
    pub struct Config {
        /// Learning rate, constant.
        pub lr: f64 = 0.01,
        /// Samples replayed per step, m.
        pub replay: usize = 10,
        /// Widths of the hidden layers.
        pub hidden: Vec<usize> = vec![100, 100],
    }
}

/// The learner: what it needs to predict, to go on learning and to be saved.
pub struct {{Type}} {
    config: Config,
    network: Net,
}

impl ContinualLearner for {{Type}} {
    type Config = Config;

    fn about() -> About {
        About::new("replays samples of the memory beside every batch")
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        let replay = Request::memory("replay", config.replay);
        Declaration::new().request(replay).view("main").scalar("loss")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        let network = Net::of(ctx, &BackboneConfig::mlp(&config.hidden))?;
        Ok({{Type}} { config, network })
    }

    /// `L = CE(f(X and X_m), Y and Y_m)`, one mean over b + m samples. The first draw is empty.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, replay) = (&step.current, step.draw("replay")?);
        let inputs = self.network.rows(&[current.inputs(), replay.inputs()]);
        let labels = self.network.labels(&[current.labels(), replay.labels()]);
        let mut tracked = self.network.tracked();
        let loss = losses::cross_entropy(tracked.forward_train(inputs)?, labels);
        let report = StepReport::new().scalar("loss", loss.clone().into_scalar());
        self.network.descend(tracked, loss.backward(), self.config.lr);
        Ok(report)
    }

    fn predict(&mut self, query: &Query<'_>, out: &mut Logits<'_>) -> Result<()> {
        self.network.predict(query.inputs, out.as_mut_slice());
        Ok(())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        state::save(&self.network, "", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        state::load(&mut self.network, "", saved)
    }
}

#[cfg(feature = "export")]
export_learner!({{Type}}, id = "{{id}}");

#[cfg(test)]
mod tests {
    use super::*;
    use perdura_sdk::testing::{Driver, Samples, Setting};

    #[test]
    fn replayed_samples_are_learned_too() {
        let config = Config { lr: 0.1, ..Config::default() };
        let mut learner = Driver::<{{Type}}>::new(config, Setting::new(2, &[2])).unwrap();
        let current = Samples::new(&[0.0, 1.0], &[0]);
        for _ in 0..100 {
            let replayed = Samples::new(&[1.0, 0.0], &[1]);
            learner.step(&current, &[("replay", replayed)]).unwrap();
        }
        let logits = learner.predict("main", &[0.0, 1.0, 1.0, 0.0]).unwrap().unwrap();
        assert!(logits[0] > logits[1] && logits[2] < logits[3]);
    }
}
