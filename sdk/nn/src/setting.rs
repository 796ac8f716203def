//! An [`Mlp`] that fits where its learner is: made from the context of `create`, fed from the host's slices.
//! For methods whose networks are plain MLPs; others build on [`rows`](crate::rows) and
//! [`labels`](crate::labels).

use burn::tensor::{Int, Tensor};
use perdura_sdk::{Context, Error, Result};

use crate::device::Device;
use crate::{Mlp, MlpShape, Network, Parameter};

impl Mlp {
    /// For `create`: on the device that the host wants, started from the call's seed; as wide as the
    /// benchmark's inputs and classes; weights from the call's stream `init`.
    pub fn of(context: &Context, hidden: &[usize]) -> Result<Mlp> {
        if hidden.contains(&0) {
            return Err(Error::config("hidden", "widths of at least 1", "0"));
        }
        let device = crate::device(&context.device, context.call.seed())?;
        let (inputs, hidden, outputs) = (context.input_width(), hidden.to_vec(), context.classes);
        Ok(Mlp::new(&MlpShape { inputs, hidden, outputs }, &mut context.call.rng("init"), &device))
    }

    /// Pieces of inputs as one matrix, ready for [`Mlp::forward`].
    pub fn rows(&self, pieces: &[&[f32]]) -> Tensor<2> {
        let (width, device) = self.input();
        crate::rows(pieces, width, &device)
    }

    /// Pieces of labels as one vector.
    pub fn labels(&self, pieces: &[&[u32]]) -> Tensor<1, Int> {
        crate::labels(pieces, self.outputs(), &self.input().1)
    }

    /// Pieces of logits as one matrix, as wide as the network's own.
    pub fn logits(&self, pieces: &[&[f32]]) -> Tensor<2> {
        crate::rows(pieces, self.outputs(), &self.input().1)
    }

    fn input(&self) -> (usize, Device) {
        match self.parameters()[0] {
            Parameter::Linear(weight) => (weight.dims()[0], weight.device()),
            _ => unreachable!("an MLP begins with a linear weight"),
        }
    }
}

#[cfg(test)]
mod tests {
    use perdura_sdk::prelude::*;
    use perdura_sdk::testing::{Driver, Setting};

    use super::*;

    hyper_parameters! {
        /// Widths alone.
        struct Config {
            hidden: Vec<usize> = vec![4],
        }
    }

    /// Checks its network against one made by hand, and answers nothing.
    struct Check;

    impl ContinualLearner for Check {
        type Config = Config;

        fn about() -> About {
            About::new("checks its network")
        }

        fn declare(_: &Config, _: &Context) -> Declaration {
            Declaration::new().view("main")
        }

        fn create(config: Config, ctx: &Context) -> Result<Self> {
            let network = Mlp::of(ctx, &config.hidden)?;
            let shape = MlpShape { inputs: 6, hidden: config.hidden, outputs: 3 };
            let device = crate::device("flex", ctx.call.seed())?;
            let by_hand = Mlp::new(&shape, &mut ctx.call.rng("init"), &device);
            let inputs = network.rows(&[&[1.0; 6], &[2.0; 12]]);
            assert_eq!((inputs.dims(), network.logits(&[&[0.0; 6]]).dims()), ([3, 6], [2, 3]));
            assert_eq!(network.labels(&[&[0], &[2, 1]]).dims(), [3]);
            let logits = |mlp: &Mlp| mlp.forward(inputs.clone()).into_data();
            assert_eq!(logits(&network), logits(&by_hand));
            Ok(Check)
        }

        fn observe(&mut self, _: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
            Ok(StepReport::new())
        }

        fn predict(&mut self, _: &Query<'_>, _: &mut Logits<'_>) -> Result<()> {
            Ok(())
        }

        fn save(&self, _: &mut StateWriter) -> Result<()> {
            Ok(())
        }

        fn load(&mut self, _: &mut StateReader) -> Result<()> {
            Ok(())
        }
    }

    fn made(hidden: Vec<usize>) -> std::result::Result<(), String> {
        let setting = Setting::new(3, &[1, 2, 3]).seed(5);
        let learner = Driver::<Check>::new(Config { hidden }, setting);
        learner.map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn a_network_takes_its_widths_and_chance_from_the_context() {
        assert_eq!(made(vec![4]), Ok(()));
        assert_eq!(made(vec![]), Ok(()));
    }

    #[test]
    fn a_layer_without_width_is_refused() {
        let expected = "hyper-parameter `hidden`: expected widths of at least 1, found 0";
        assert_eq!(made(vec![4, 0]), Err(expected.into()));
    }
}
