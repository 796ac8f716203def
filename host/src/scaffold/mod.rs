//! `perdura plugins new` and `perdura plugins build`: an author's way from a name to an installed
//! plugin. Both only touch the author's folder and the folder the plugin is installed in.
#![deny(unsafe_code)]

mod build;
mod error;
mod new;

pub use build::{BuildOptions, Installed, build};
pub use error::ScaffoldError;
pub use new::{Created, NewOptions, Sdk, Template, new};
