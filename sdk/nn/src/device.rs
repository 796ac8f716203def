//! The one file that names a backend: everything else works on the [`Device`] made here.

pub use burn::tensor::Device;

/// The devices this build has.
pub const DEVICES: &[&str] = &["flex"];

/// A device this build does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown device `{name}`; this build has: {}", DEVICES.join(", "))]
pub struct DeviceError {
    name: String,
}

/// The device called `name`, one of [`DEVICES`], with its generator started from `seed`.
///
/// From then on the device is re-seeded with the call seed whenever a call of the learner begins: its
/// generator is a private static of the backend, which can be seeded and never saved. Tensors made on the
/// device carry no gradients; [`Network::tracked`](crate::Network::tracked) adds them for a step.
pub fn device(name: &str, seed: u64) -> Result<Device, DeviceError> {
    let (device, reseed): (Device, fn(u64)) = match name {
        "flex" => (Device::flex(), |seed| Device::flex().seed(seed)),
        _ => return Err(DeviceError { name: name.into() }),
    };
    reseed(seed);
    perdura_sdk::reseed_with(reseed);
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_lists_the_known_ones() {
        let error = device("cuda", 0).unwrap_err();
        assert_eq!(error.to_string(), "unknown device `cuda`; this build has: flex");
    }

    #[test]
    fn the_seed_starts_the_device_generator() {
        use burn::tensor::{Distribution, Tensor};
        let draw = |seed| {
            let flex = device("flex", seed).unwrap();
            Tensor::<1>::random([4], Distribution::Default, &flex).into_data()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
