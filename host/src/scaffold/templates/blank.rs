//! {{id}}: answers with the class it has seen most. Replace it by your method.
#![deny(unsafe_code)]

use perdura_sdk::prelude::*;

hyper_parameters! {
    /// Hyper-parameters. Every one has a default and appears in `perdura plugins info {{id}}`.
    pub struct Config {
        /// Logit of a class is its count times this.
        pub scale: f32 = 1.0,
    }
}

/// The learner: what it needs to predict, to go on learning and to be saved.
pub struct {{Type}} {
    config: Config,
    counts: Vec<f32>,
}

impl ContinualLearner for {{Type}} {
    type Config = Config;

    fn about() -> About {
        About::new("answers with the class it has seen most")
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").scalar("seen")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        Ok({{Type}} { config, counts: vec![0.0; ctx.classes] })
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        for &label in step.current.labels() {
            self.counts[label as usize] += 1.0;
        }
        Ok(StepReport::new().scalar("seen", f64::from(self.counts.iter().sum::<f32>())))
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let row: Vec<f32> = self.counts.iter().map(|count| count * self.config.scale).collect();
        logits.write(&row.repeat(query.len));
        Ok(())
    }

    fn save(&self, state: &mut StateWriter) -> Result<()> {
        state.tensor("counts", &[self.counts.len()], &self.counts)
    }

    fn load(&mut self, state: &mut StateReader) -> Result<()> {
        self.counts = state.tensor("counts", &[self.counts.len()])?;
        Ok(())
    }
}

#[cfg(feature = "export")]
perdura_sdk::export_learner!({{Type}}, id = "{{id}}");

#[cfg(test)]
mod tests {
    use super::*;
    use perdura_sdk::testing::{Driver, Setting};

    #[test]
    fn the_most_frequent_class_wins() {
        let setting = Setting::new(3, &[2]);
        let mut learner = Driver::<{{Type}}>::new(Config::default(), setting).unwrap();
        learner.observe(&[0.0; 6], &[2, 2, 1]).unwrap();
        assert_eq!(learner.predict("main", &[0.0; 2]).unwrap().unwrap(), [0.0, 1.0, 2.0]);
    }
}
