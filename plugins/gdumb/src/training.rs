//! Training a network on the memory: gradient descent with momentum, decay and clipping, on batches
//! of which some are mixed.

use perdura_nn::{Net, Network, losses, numbers};
use perdura_sdk::rand::RngExt;
use perdura_sdk::{Error, prelude::*};

use crate::config::Config;
use crate::cutmix::{Mixed, cutmix};
use crate::schedule::rate;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Trained {
    pub steps: u64,
    /// Mean loss of the last epoch.
    pub loss: f64,
}

/// Trains `network` on all samples of the memory; an error when there is none.
pub fn train(
    network: &mut Net,
    config: &Config,
    call: &Call,
    host: &mut Host<'_>,
) -> Result<Trained> {
    let mut batches = host.iterate(&Iterate {
        source: Source::Memory,
        filter: Filter::All,
        profile: Profile::Train,
        batch: config.batch,
        epochs: config.epochs,
        shuffled: true,
        columns: Vec::new(),
    })?;
    let per_epoch = batches.left() / config.epochs as u64;
    if per_epoch == 0 {
        return Err(Error::new("the memory holds no samples to train on; give it more room"));
    }
    let mut rng = call.rng("cutmix");
    let mut descent = Descent::default();
    let (mut steps, mut sum) = (0, 0.0);
    while let Some(rows) = batches.next()? {
        let epoch = (steps / per_epoch) as usize;
        if steps % per_epoch == 0 {
            sum = 0.0;
        }
        let mixed = rng.random::<f64>() < config.cutmix_p;
        let mixed = mixed.then(|| {
            let shape = rows.input_shape().try_into().expect("checked when it was created");
            cutmix((rows.inputs(), rows.labels()), shape, config.cutmix_alpha, &mut rng)
        });
        descent.lr = rate(epoch, (config.lr_max, config.lr_min));
        sum += descent.step(network, config, &rows, mixed)?;
        steps += 1;
    }
    Ok(Trained { steps, loss: sum / per_epoch as f64 })
}

/// Gradient descent with momentum, as PyTorch has it.
#[derive(Debug, Default)]
struct Descent {
    lr: f64,
    /// v, `[parameter_count]`; empty before the first step.
    velocity: Vec<f32>,
}

impl Descent {
    /// `L = λ·CE(f(x), y) + (1 − λ)·CE(f(x), y')`, with λ = 1 where nothing is mixed. Its gradient
    /// g is shortened to a norm of `clip`, then `v ← μ·v + g + δ·θ` and `θ ← θ − lr·v`, δ being the
    /// weight decay. Returns L.
    fn step(
        &mut self,
        network: &mut Net,
        config: &Config,
        rows: &Rows<'_>,
        mixed: Option<Mixed>,
    ) -> Result<f64> {
        let mut tracked = network.tracked();
        let inputs = mixed.as_ref().map_or(rows.inputs(), |mixed| &mixed.inputs);
        let logits = tracked.forward_train(network.rows(&[inputs]))?;
        let own = network.labels(&[rows.labels()]);
        let loss = match &mixed {
            None => losses::cross_entropy(logits, own),
            Some(Mixed { others, own: share, .. }) => {
                let others = network.labels(&[others]);
                losses::cross_entropy(logits.clone(), own) * *share
                    + losses::cross_entropy(logits, others) * (1.0 - share)
            }
        };
        let value = loss.clone().into_scalar();
        let gradient = numbers::gradient(&tracked, loss.backward());
        let parameters = numbers::parameters(network);
        self.turn(&gradient, &parameters, config);
        numbers::descend(network, &tracked, &self.velocity, self.lr);
        Ok(value)
    }

    /// The new velocity.
    fn turn(&mut self, gradient: &[f32], parameters: &[f32], config: &Config) {
        let norm = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
        let scale = if norm > config.clip { (config.clip / norm) as f32 } else { 1.0 };
        let (momentum, decay) = (config.momentum as f32, config.weight_decay as f32);
        self.velocity.resize(gradient.len(), 0.0);
        let ours = self.velocity.iter_mut().zip(gradient).zip(parameters);
        ours.for_each(|((v, g), theta)| *v = momentum * *v + (scale * g + decay * theta));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// g = (30, 40) has norm 50 and becomes (6, 8); with a decay of 0.5 and θ = (2, −4) the first
    /// velocity is (7, 6), the second, after g = (1, 0), half of it more: (3.5 + 2, 3 − 2).
    #[test]
    fn momentum_decay_and_clipping_by_hand() {
        let config = Config { momentum: 0.5, weight_decay: 0.5, ..Config::default() };
        let mut descent = Descent::default();
        descent.turn(&[30.0, 40.0], &[2.0, -4.0], &config);
        assert_eq!(descent.velocity, [7.0, 6.0]);
        descent.turn(&[1.0, 0.0], &[2.0, -4.0], &config);
        assert_eq!(descent.velocity, [5.5, 1.0]);
    }
}
