//! CLS-ER (Arani, Sarfraz, Zonooz, ICLR 2022): a working network learns from the stream and the
//! replay memory; a plastic (fast) and a stable (slow) network are moving averages of it and teach
//! it on replayed samples. The stable one is the result.
//!
//! `config.rs` holds the hyper-parameters, `method.rs` the step in the paper's order, this file the
//! rest of a learner's life.
#![deny(unsafe_code)]

mod config;
mod method;

pub use config::{Config, TeacherSelect};
pub use method::ClsEr;

use perdura_nn::{Net, Network, state};
use perdura_sdk::{Error, prelude::*};

impl ContinualLearner for ClsEr {
    type Config = Config;

    fn about() -> About {
        About::new("replay with a fast and a slow average of the network as teachers")
            .paper(
                "Arani, Sarfraz, Zonooz: Learning Fast, Learning Slow, ICLR 2022, arXiv 2201.12604",
            )
            .presets(include_str!("../presets.toml"))
            .devices(perdura_nn::DEVICES)
    }

    fn declare(config: &Config, _: &Context) -> Declaration {
        Declaration::new()
            .request(Request::memory("replay", config.replay))
            .view("stable")
            .view("plastic")
            .view("working")
            .scalar("loss")
            .scalar("loss_ce")
            .scalar("loss_cons")
            .scalar("n_select_stable")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        config.check()?;
        let working = Net::of(ctx, &config.backbone())?;
        Ok(ClsEr::new(config, working))
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let learned = self.learn(&step.current, step.draw("replay")?)?;
        self.consolidate(&mut step.call.rng("update"));
        Ok(StepReport::new()
            .scalar("loss", learned.loss)
            .scalar("loss_ce", learned.loss_ce)
            .scalar("loss_cons", learned.loss_cons)
            .scalar("n_select_stable", learned.n_select_stable))
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let network = match query.view {
            "stable" => &self.stable,
            "plastic" => &self.plastic,
            "working" => &self.working,
            other => return Err(Error::new(format!("no view is called `{other}`"))),
        };
        network.predict(query.inputs, logits.as_mut_slice());
        Ok(())
    }

    fn resources(&self) -> Resources {
        Resources::new().with("parameters", 3 * self.working.bytes())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("steps", &self.steps)?;
        state::save(&self.working, "working.", out)?;
        state::save(&self.plastic, "plastic.", out)?;
        state::save(&self.stable, "stable.", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.steps = saved.value("steps")?;
        state::load(&mut self.working, "working.", saved)?;
        state::load(&mut self.plastic, "plastic.", saved)?;
        state::load(&mut self.stable, "stable.", saved)
    }
}

#[cfg(feature = "export")]
export_learner!(ClsEr, id = "perdura/cls-er");
