//! {{id}}: DER++ (Buzzega et al. 2020, "Dark Experience for General Continual Learning"). Beside the
//! current batch, every step pulls the logits of replayed samples towards those of their own step, and
//! learns the labels of a second, independent draw. Change it into your method.
#![deny(unsafe_code)]

use perdura_nn::{BackboneConfig, Net, Network, losses, state};
use perdura_sdk::prelude::*;

hyper_parameters! {
    /// Hyper-parameters. Every one has a default and appears in `perdura plugins info {{id}}`.
    pub struct Config {
        /// Learning rate, constant.
        pub lr: f64 = 0.03,
        /// Samples of each draw, m.
        pub replay: usize = 128,
        /// Weight of the logits' distance, α.
        pub alpha: f64 = 0.2,
        /// Weight of the labels of the second draw, β.
        pub beta: f64 = 1.0,
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
        About::new("replays samples with the logits of their own step and, drawn anew, with labels")
    }

    fn declare(config: &Config, ctx: &Context) -> Declaration {
        let draw = |name| Request::memory(name, config.replay);
        let declared = Declaration::new().column("logits", ctx.classes).view("main").scalar("loss");
        declared.request(draw("dark").column("logits")).request(draw("labelled"))
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        let network = Net::of(ctx, &BackboneConfig::mlp(&config.hidden))?;
        Ok({{Type}} { config, network })
    }

    /// `L = CE(f(X), Y) + α·mean (f(X') - Z')² + β·CE(f(X''), Y'')`. The first draws are empty; every
    /// later sample has its logits, because every step hands them over.
    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (current, dark, labelled) = (&step.current, step.draw("dark")?, step.draw("labelled")?);
        let (network, mut tracked) = (&self.network, self.network.tracked());
        let logits = tracked.forward_train(network.rows(&[current.inputs()]))?;
        let column = logits.to_data().try_into_vec()?;
        let mut loss = losses::cross_entropy(logits, network.labels(&[current.labels()]));
        if !dark.is_empty() {
            let (z, y) = (dark.column("logits")?.values, labelled.labels());
            let now = tracked.forward_train(network.rows(&[dark.inputs()]))?;
            let replayed = tracked.forward_train(network.rows(&[labelled.inputs()]))?;
            let distance = losses::mean_squared_error(now, network.logits(&[z]));
            loss = loss + distance * self.config.alpha;
            loss = loss + losses::cross_entropy(replayed, network.labels(&[y])) * self.config.beta;
        }
        let report = StepReport::new().scalar("loss", loss.clone().into_scalar());
        self.network.descend(tracked, loss.backward(), self.config.lr);
        Ok(report.column("logits", column))
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
    fn stored_logits_pull_where_no_label_does() {
        let config = Config { lr: 0.1, alpha: 1.0, beta: 0.0, ..Config::default() };
        let mut learner = Driver::<{{Type}}>::new(config, Setting::new(2, &[2])).unwrap();
        let current = Samples::new(&[0.0, 1.0], &[0]);
        let none = Samples::default;
        let first = learner.step(&current, &[("dark", none()), ("labelled", none())]);
        assert_eq!(first.unwrap().column("logits").unwrap().len(), 2);
        let dark = Samples::new(&[1.0, 0.0], &[0]).column("logits", &[-1.0, 2.0]);
        for _ in 0..200 {
            let labelled = Samples::new(&[1.0, 0.0], &[0]);
            learner.step(&current, &[("dark", dark.clone()), ("labelled", labelled)]).unwrap();
        }
        let logits = learner.predict("main", &[1.0, 0.0]).unwrap().unwrap();
        assert!((logits[0] + 1.0).abs() < 0.2 && (logits[1] - 2.0).abs() < 0.2, "{logits:?}");
    }
}
