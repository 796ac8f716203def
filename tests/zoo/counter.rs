//! A learner that counts labels, shared by the well-behaved animals of the zoo. Its scalar `steps` is
//! the number of steps that all learners of one mapped file have seen together: a static, so that a test
//! can tell whether two learners share one.

use perdura_sdk::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps of all learners that share this copy of the file.
static STEPS: AtomicU64 = AtomicU64::new(0);

hyper_parameters! {
    /// Hyper-parameters.
    pub struct Config {
        /// What one sample counts.
        pub weight: f32 = 1.0,
    }
}

pub struct Counter {
    weight: f32,
    counts: Vec<f32>,
}

impl ContinualLearner for Counter {
    type Config = Config;

    fn about() -> About {
        About::new("answers with the most frequent class")
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").scalar("steps")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        Ok(Counter { weight: config.weight, counts: vec![0.0; ctx.classes] })
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        for &label in step.current.labels() {
            self.counts[label as usize] += self.weight;
        }
        let steps = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(StepReport::new().scalar("steps", steps as f64))
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        logits.write(&self.counts.repeat(query.len));
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
