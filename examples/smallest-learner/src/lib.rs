//! Nearest class mean: keeps the mean input of every class and answers with the nearest. It forgets
//! nothing, needs no memory and no gradient, and is the smallest learner that learns.
#![deny(unsafe_code)]

use perdura_sdk::prelude::*;

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// Logits are minus the squared distance, divided by this.
        pub temperature: f32 = 1.0,
    }
}

pub struct NearestMean {
    config: Config,
    width: usize,
    sums: Vec<f32>,
    counts: Vec<f32>,
}

impl ContinualLearner for NearestMean {
    type Config = Config;

    fn about() -> About {
        About::new("answers with the class whose mean input is nearest")
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").scalar("classes_seen")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        let (classes, width) = (ctx.classes, ctx.input_width());
        let (sums, counts) = (vec![0.0; classes * width], vec![0.0; classes]);
        Ok(NearestMean { config, width, sums, counts })
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let batch = &step.current;
        for (input, &label) in batch.inputs().chunks(self.width).zip(batch.labels()) {
            self.counts[label as usize] += 1.0;
            let sum = &mut self.sums[label as usize * self.width..][..self.width];
            sum.iter_mut().zip(input).for_each(|(s, x)| *s += x);
        }
        let seen = self.counts.iter().filter(|&&n| n > 0.0).count();
        Ok(StepReport::new().scalar("classes_seen", seen as f64))
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let rows = query.inputs.chunks(self.width);
        for (input, out) in rows.zip(logits.as_mut_slice().chunks_mut(self.counts.len())) {
            for (class, logit) in out.iter_mut().enumerate() {
                let count = self.counts[class].max(1.0);
                let mean = self.sums[class * self.width..].iter().map(|s| s / count);
                let distance: f32 = input.iter().zip(mean).map(|(x, m)| (x - m).powi(2)).sum();
                let unseen = if self.counts[class] == 0.0 { 1e6 } else { 0.0 };
                *logit = -(distance + unseen) / self.config.temperature;
            }
        }
        Ok(())
    }

    fn save(&self, state: &mut StateWriter) -> Result<()> {
        state.tensor("sums", &[self.counts.len(), self.width], &self.sums)?;
        state.tensor("counts", &[self.counts.len()], &self.counts)
    }

    fn load(&mut self, state: &mut StateReader) -> Result<()> {
        self.sums = state.tensor("sums", &[self.counts.len(), self.width])?;
        self.counts = state.tensor("counts", &[self.counts.len()])?;
        Ok(())
    }
}

#[cfg(feature = "export")]
perdura_sdk::export_learner!(NearestMean, id = "examples/nearest-mean");

#[cfg(test)]
mod tests {
    use super::*;
    use perdura_sdk::testing::{Driver, Setting};

    #[test]
    fn the_nearest_mean_wins_and_survives_a_save() {
        let mut learner =
            Driver::<NearestMean>::new(Config::default(), Setting::new(3, &[2])).unwrap();
        let observed = learner.observe(&[0.0, 0.0, 0.0, 2.0, 4.0, 4.0], &[0, 0, 1]).unwrap();
        assert_eq!(observed.scalar("classes_seen"), Some(2.0));
        // Means are (0, 1) and (4, 4); (0, 3) is 4 from the first, 17 from the second.
        let logits = learner.predict("main", &[0.0, 3.0]).unwrap().unwrap();
        assert_eq!(logits[..2], [-4.0, -17.0]);
        let state = learner.save().unwrap();
        let mut other =
            Driver::<NearestMean>::new(Config::default(), Setting::new(3, &[2])).unwrap();
        other.load(&state).unwrap();
        assert_eq!(other.predict("main", &[0.0, 3.0]).unwrap().unwrap(), logits);
    }
}
