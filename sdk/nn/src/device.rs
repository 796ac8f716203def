//! The one file that names a backend: everything else works on the [`Device`] made here.
//!
//! burn-tch is marked deprecated upstream from 0.22. It is here because convolutions are several
//! times faster on LibTorch than on flex (design section 6). The way out, once a CubeCL backend is
//! as fast on a CPU: delete the feature `libtorch` and the arms that it guards.

pub use burn::tensor::Device;

/// The devices this build has. With LibTorch, `libtorch:cuda:N` is GPU number N.
pub const DEVICES: &[&str] = match cfg!(feature = "libtorch") {
    true => &["flex", "libtorch", "libtorch:cuda:N"],
    false => &["flex"],
};

/// A device that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("unknown device `{name}`; this build has: {}", DEVICES.join(", "))]
    Unknown { name: String },
    #[error(
        "device `{name}` needs a build with LibTorch, this build has: {}; build host and plugins \
         with `--features perdura-nn/libtorch` (sdk/nn/libtorch.sh sets LibTorch up)",
        DEVICES.join(", ")
    )]
    NotBuilt { name: String },
    #[error(
        "device `{name}`: LibTorch finds {found} GPUs; choose a number below that, or `libtorch`"
    )]
    NoGpu { name: String, found: i64 },
}

/// The device called `name`, one of [`DEVICES`], with its generator started from `seed`.
///
/// From then on the device is re-seeded with the call seed whenever a call of the learner begins:
/// its generator is a private static of the backend, which can be seeded and never saved. Tensors
/// made on the device carry no gradients; [`Network::tracked`](crate::Network::tracked) adds them
/// for a step.
pub fn device(name: &str, seed: u64) -> Result<Device, DeviceError> {
    let device = match name.split_once(':') {
        None if name == "flex" => Device::flex(),
        None if name == "libtorch" => libtorch(name)?,
        Some(("libtorch", gpu)) => libtorch_gpu(name, gpu)?,
        _ => return Err(DeviceError::Unknown { name: name.into() }),
    };
    device.seed(seed);
    let seeded = device.clone();
    perdura_sdk::reseed_with(move |seed| seeded.seed(seed));
    Ok(device)
}

/// True where a tensor can give its numbers away and take them back without a copy.
pub(crate) fn in_main_memory(device: &Device) -> bool {
    *device == Device::flex()
}

#[cfg(not(feature = "libtorch"))]
fn libtorch(name: &str) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { name: name.into() })
}

#[cfg(not(feature = "libtorch"))]
fn libtorch_gpu(name: &str, _: &str) -> Result<Device, DeviceError> {
    libtorch(name)
}

#[cfg(feature = "libtorch")]
#[allow(deprecated, clippy::unnecessary_wraps)] // see the head of this file
fn libtorch(_: &str) -> Result<Device, DeviceError> {
    Ok(Device::libtorch())
}

#[cfg(feature = "libtorch")]
#[allow(deprecated)] // see the head of this file
fn libtorch_gpu(name: &str, gpu: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown { name: name.into() };
    let number: usize =
        gpu.strip_prefix("cuda:").and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
    let found = tch::Cuda::device_count();
    match (number as i64) < found {
        true => Ok(Device::libtorch_cuda(number)),
        false => Err(DeviceError::NoGpu { name: name.into(), found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> String {
        device(name, 0).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_device_lists_the_known_ones() {
        let expected = format!("unknown device `gpu`; this build has: {}", DEVICES.join(", "));
        assert_eq!(message("gpu"), expected);
    }

    #[test]
    #[cfg(not(feature = "libtorch"))]
    fn a_device_that_was_not_built_says_how_to_build_it() {
        for name in ["libtorch", "libtorch:cuda:0"] {
            assert!(message(name).contains("--features perdura-nn/libtorch"), "{}", message(name));
        }
    }

    #[test]
    #[cfg(feature = "libtorch")]
    fn a_gpu_that_is_not_there() {
        assert!(message("libtorch:cuda:99").contains("choose a number below that"));
        assert!(message("libtorch:mps").starts_with("unknown device"));
    }

    #[test]
    fn the_seed_starts_the_device_generator() {
        use burn::tensor::{Distribution, Tensor};
        for name in DEVICES.iter().filter(|name| !name.contains("cuda")) {
            let draw = |seed| {
                let device = device(name, seed).unwrap();
                Tensor::<1>::random([4], Distribution::Default, &device).into_data()
            };
            assert_eq!(draw(7), draw(7), "{name}");
            assert_ne!(draw(7), draw(8), "{name}");
        }
    }
}
