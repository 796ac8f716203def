//! The arithmetic of learners: networks, losses, updates and saved state on top of burn.
//!
//! A training step, in order:
//!
//! 1. [`device`] once, when the learner is made: everything after it works on any backend.
//! 2. [`rows`] and [`labels`] copy the host's slices into tensors.
//! 3. [`Network::tracked`] makes a copy of the network that records gradients; a loss from [`losses`]
//!    is computed with it.
//! 4. [`Network::descend`] takes the gradients back: `θ ← θ − lr·g`. [`Network::average`] moves a
//!    network towards another.
//! 5. [`state::save`] and [`state::load`] put a network into the learner's saved state, [`copy_out`]
//!    brings logits to the host.
//!
//! ```
//! use perdura_nn::{Mlp, MlpShape, Network, labels, losses, rows};
//! use perdura_sdk::rand::{SeedableRng, rngs::StdRng};
//!
//! let device = perdura_nn::device("flex", 1)?;
//! let shape = MlpShape { inputs: 2, hidden: vec![8], outputs: 2 };
//! let mut network = Mlp::new(&shape, &mut StdRng::seed_from_u64(1), &device);
//! let x = rows(&[&[0.0, 1.0], &[1.0, 0.0]], 2, &device);
//! let y = labels(&[&[0, 1]], 2, &device);
//!
//! let mut last = f32::INFINITY;
//! for _ in 0..100 {
//!     let tracked = network.tracked();
//!     let loss = losses::cross_entropy(tracked.forward(x.clone()), y.clone());
//!     last = loss.clone().into_scalar();
//!     network.descend(&tracked, loss.backward(), 0.5);
//! }
//! assert!(last < 0.1);
//! # Ok::<(), perdura_nn::DeviceError>(())
//! ```
//!
//! Networks compute in f32. Results are the same bytes from run to run with one thread, one build and one
//! model of CPU.
#![deny(unsafe_code)]

mod convert;
mod device;
pub mod losses;
mod mlp;
mod network;
mod setting;
pub mod state;

pub use convert::{copy_out, labels, rows};
pub use device::{DEVICES, Device, DeviceError, device};
pub use mlp::{Linear, Mlp, MlpShape};
pub use network::{Network, Parameter, ParameterMut};
