//! What a layer gives, whatever its kind, and how two of them are fused.

use burn::tensor::{Tensor, TensorData};
use perdura_nn::pool;
use perdura_sdk::rand::{Rng, RngExt};

/// Output of one layer.
#[derive(Clone, Debug)]
pub enum Features {
    /// Of a hidden layer, `[n, units]`.
    Units(Tensor<2>),
    /// Of a convolutional stage, `[n, channels, height, width]`.
    Maps(Tensor<4>),
}

impl Features {
    /// `h ⊗ m`, element by element over the whole tensors.
    pub fn times(self, other: Features) -> Features {
        match (self, other) {
            (Features::Units(h), Features::Units(m)) => Features::Units(h * m),
            (Features::Maps(h), Features::Maps(m)) => Features::Maps(h * m),
            _ => unreachable!("both networks are of one kind"),
        }
    }

    /// One row per sample, `[n, units]`: maps are averaged over their pixels.
    pub fn pooled(self) -> Tensor<2> {
        match self {
            Features::Units(t) => t,
            Features::Maps(t) => pool(t),
        }
    }

    /// Whole channels (units, in a hidden layer) of each sample set to 0 with probability `p`, the
    /// others divided by `1 − p`.
    pub fn with_channels_dropped(self, p: f64, rng: &mut impl Rng) -> Features {
        let mut mask = |n: usize, channels: usize| {
            let kept = (1.0 / (1.0 - p)) as f32;
            let factor = |_| if rng.random::<f64>() < p { 0.0 } else { kept };
            (0..n * channels).map(factor).collect::<Vec<f32>>()
        };
        match self {
            Features::Units(t) => {
                let ([n, units], device) = (t.dims(), t.device().without_autodiff());
                let mask = TensorData::new(mask(n, units), [n, units]);
                Features::Units(t * Tensor::<2>::from_data(mask, &device))
            }
            Features::Maps(t) => {
                let ([n, channels, ..], device) = (t.dims(), t.device().without_autodiff());
                let mask = TensorData::new(mask(n, channels), [n, channels, 1, 1]);
                Features::Maps(t * Tensor::<4>::from_data(mask, &device))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

    /// Of 400 channels of 2x2 pixels each is 0 or 1/(1 − 0.25), whole; about a quarter is dropped.
    #[test]
    fn whole_channels_are_dropped_and_the_others_scaled() {
        let device = perdura_nn::device("flex", 0).unwrap();
        let maps = Features::Maps(Tensor::ones([4, 100, 2, 2], &device));
        let dropped = maps.with_channels_dropped(0.25, &mut StdRng::seed_from_u64(1));
        let Features::Maps(dropped) = dropped else { panic!("they stay maps") };
        let values = dropped.into_data().try_to_vec::<f32>().unwrap();
        let channels: Vec<&[f32]> = values.chunks(4).collect();
        let whole = |c: &&[f32]| c.iter().all(|v| *v == c[0] && (*v == 0.0 || *v == 4.0 / 3.0));
        assert!(channels.iter().all(whole));
        let share = channels.iter().filter(|c| c[0] == 0.0).count() as f64 / 400.0;
        // Five standard deviations.
        assert!((share - 0.25).abs() < 5.0 * (0.25f64 * 0.75 / 400.0).sqrt(), "{share}");
    }

    /// Two samples of two channels: the mean over the pixels of each; units stay as they are.
    #[test]
    fn maps_are_averaged_over_their_pixels() {
        let device = perdura_nn::device("flex", 0).unwrap();
        let maps = Tensor::<4>::from_data(
            [[[[1.0, 3.0]], [[0.0, 0.0]]], [[[5.0, 5.0]], [[2.0, 4.0]]]],
            &device,
        );
        let pooled = Features::Maps(maps).pooled().into_data();
        assert_eq!(pooled.as_slice::<f32>().unwrap(), [2.0, 0.0, 5.0, 3.0]);
        let units = Tensor::<2>::from_data([[1.0, 2.0]], &device);
        assert_eq!(Features::Units(units.clone()).pooled().into_data(), units.into_data());
    }
}
