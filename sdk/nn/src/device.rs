//! Where learners compute. With `flex.rs` and `libtorch.rs` the only file that names a backend:
//! everything else works on the [`Device`] made here.
//!
//! burn-tch is marked deprecated upstream from 0.22. It is here because convolutions are several
//! times faster on LibTorch than on flex (design section 6). The way out, once a CubeCL backend is
//! as fast on a CPU: delete the feature `libtorch`, `libtorch.rs` and the arms that it guards.

pub use burn::tensor::Device;

/// The devices this build has. `N` is the number of a GPU; `+bf16` computes in bf16, see
/// [`Precision`].
pub const DEVICES: &[&str] = &[
    "flex",
    #[cfg(feature = "libtorch")]
    "libtorch",
    #[cfg(feature = "libtorch")]
    "libtorch+bf16",
    #[cfg(feature = "libtorch")]
    "libtorch:cuda:N",
    #[cfg(feature = "libtorch")]
    "libtorch:cuda:N+bf16",
    #[cfg(feature = "cuda")]
    "cuda:N",
];

/// The numbers that convolutions, and what lies between them, are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    F32,
    /// bf16: half the memory traffic, and twice as fast where the processor multiplies it.
    /// Parameters, running statistics, gradients of parameters, heads and losses stay f32.
    Bf16,
}

/// A device that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("unknown device `{name}`; this build has: {}", DEVICES.join(", "))]
    Unknown { name: String },
    #[error(
        "device `{name}` needs a build with {what}, this build has: {}; build host and plugins \
         with `--features perdura-nn/{feature}`{remedy}",
        DEVICES.join(", ")
    )]
    NotBuilt { name: String, what: &'static str, feature: &'static str, remedy: &'static str },
    #[error(
        "device `{name}`: {backend} finds {found} GPUs; choose a number below that, or `{other}`"
    )]
    NoGpu { name: String, backend: &'static str, found: usize, other: &'static str },
    #[error("device `{name}`: this method computes in f32 only; choose `{plain}`")]
    F32Only { name: String, plain: String },
}

/// The device called `name`, one of [`DEVICES`], with its generator started from `seed`. A name
/// with `+bf16` is refused: whoever has a ResNet calls [`device_and_precision`].
///
/// From then on the device is re-seeded with the call seed whenever a call of the learner begins:
/// its generator is a private static of the backend, which can be seeded and never saved. Tensors
/// made on the device carry no gradients; [`Network::tracked`](crate::Network::tracked) adds them
/// for a step.
pub fn device(name: &str, seed: u64) -> Result<Device, DeviceError> {
    match device_and_precision(name, seed)? {
        (device, Precision::F32) => Ok(device),
        (_, Precision::Bf16) => {
            let plain = name.trim_end_matches("+bf16").into();
            Err(DeviceError::F32Only { name: name.into(), plain })
        }
    }
}

/// The same with the precision that the name asks for, which
/// [`Backbone::compute_in`](crate::Backbone::compute_in) takes.
pub fn device_and_precision(name: &str, seed: u64) -> Result<(Device, Precision), DeviceError> {
    let unknown = || DeviceError::Unknown { name: name.into() };
    let (plain, precision) = match name.strip_suffix("+bf16") {
        Some(plain) if plain.starts_with("libtorch") => (plain, Precision::Bf16),
        Some(_) => return Err(unknown()),
        None => (name, Precision::F32),
    };
    let number = |gpu: &str| gpu.parse::<usize>().ok();
    let device = match plain.split_once(':') {
        None if plain == "flex" => Device::flex(),
        None if plain == "libtorch" => libtorch(name)?,
        Some(("libtorch", gpu)) => {
            let number = gpu.strip_prefix("cuda:").and_then(number).ok_or_else(unknown)?;
            libtorch_gpu(name, number)?
        }
        Some(("cuda", gpu)) => cuda(name, number(gpu).ok_or_else(unknown)?)?,
        _ => return Err(unknown()),
    };
    device.seed(seed);
    let seeded = device.clone();
    perdura_sdk::reseed_with(move |seed| seeded.seed(seed));
    Ok((device, precision))
}

/// True where a tensor can give its numbers away and take them back without a copy.
pub(crate) fn in_main_memory(device: &Device) -> bool {
    *device == Device::flex()
}

#[cfg(not(feature = "libtorch"))]
fn libtorch(name: &str) -> Result<Device, DeviceError> {
    let remedy = " (sdk/nn/libtorch.sh sets LibTorch up)";
    let (what, feature) = ("LibTorch", "libtorch");
    Err(DeviceError::NotBuilt { name: name.into(), what, feature, remedy })
}

#[cfg(not(feature = "libtorch"))]
fn libtorch_gpu(name: &str, _: usize) -> Result<Device, DeviceError> {
    libtorch(name)
}

#[cfg(feature = "libtorch")]
#[allow(deprecated, clippy::unnecessary_wraps)] // see the head of this file
fn libtorch(_: &str) -> Result<Device, DeviceError> {
    Ok(Device::libtorch())
}

#[cfg(feature = "libtorch")]
#[allow(deprecated)] // see the head of this file
fn libtorch_gpu(name: &str, number: usize) -> Result<Device, DeviceError> {
    let found = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    let (backend, other) = ("LibTorch", "libtorch");
    match number < found {
        true => Ok(Device::libtorch_cuda(number)),
        false => Err(DeviceError::NoGpu { name: name.into(), backend, found, other }),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _: usize) -> Result<Device, DeviceError> {
    let (what, feature, remedy) = ("CUDA", "cuda", "");
    Err(DeviceError::NotBuilt { name: name.into(), what, feature, remedy })
}

#[cfg(feature = "cuda")]
fn cuda(name: &str, number: usize) -> Result<Device, DeviceError> {
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_iter().count();
    let (backend, other) = ("CUDA", "flex");
    match number < found {
        true => Ok(Device::cuda(number)),
        false => Err(DeviceError::NoGpu { name: name.into(), backend, found, other }),
    }
}
