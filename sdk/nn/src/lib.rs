pub mod convert;
pub mod device;
pub mod losses;
pub mod mlp;
pub mod network;

pub use convert::{copy_out, labels, rows};
pub use device::{DeviceError, device, reseed};
pub use mlp::{Linear, Mlp, MlpShape};
pub use network::{Network, Parameter, ParameterMut};
