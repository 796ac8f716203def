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
/// Tensors on it carry no gradients; [`Network::tracked`](crate::Network::tracked) adds them for a step.
pub fn device(name: &str, seed: u64) -> Result<Device, DeviceError> {
    let device = match name {
        "flex" => Device::flex(),
        _ => return Err(DeviceError { name: name.into() }),
    };
    device.seed(seed);
    Ok(device)
}

/// Starts the device's own generator from `seed`. Done when a call begins: that generator is a private
/// static of the backend, which can be seeded and never saved.
pub fn reseed(device: &Device, seed: u64) {
    device.seed(seed);
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
    fn reseeding_repeats_the_device_generator() {
        use burn::tensor::{Distribution, Tensor};
        let flex = device("flex", 1).unwrap();
        let draw = || Tensor::<1>::random([4], Distribution::Default, &flex).into_data();
        reseed(&flex, 7);
        let first = draw();
        reseed(&flex, 7);
        assert_eq!(first, draw());
    }
}
