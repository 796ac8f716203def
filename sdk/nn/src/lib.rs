pub mod convert;
pub mod device;
pub mod losses;
pub mod mlp;
pub mod network;
mod setting;
pub mod state;

pub use convert::{copy_out, labels, rows};
pub use device::{DeviceError, device};
pub use mlp::{Linear, Mlp, MlpShape};
pub use network::{Network, Parameter, ParameterMut};
