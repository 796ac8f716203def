//! The arithmetic of learners: networks, losses, updates and saved state on top of burn.
//!
//! A training step, in order:
//!
//! 1. [`device`] once, when the learner is made: everything after it works on any backend.
//! 2. [`rows`] and [`labels`] copy the host's slices into tensors.
//! 3. [`Network::tracked`] makes a copy of the network that records gradients; a loss from
//!    [`losses`] is computed with its [`forward_train`](Net::forward_train).
//! 4. [`Network::descend`] takes the gradients back: `θ ← θ − lr·g`. [`Network::average`] moves a
//!    network towards another, [`Network::lead`] several towards one in a single pass. [`flat`] is
//!    for steps that weigh or project the whole gradient.
//! 5. [`state::save`] and [`state::load`] put a network into the learner's saved state,
//!    [`Net::predict`] brings logits to the host.
//!
//! In a learner [`Net::of`] does the first two steps. Here, by hand:
//!
//! ```
//! use perdura_nn::{BackboneConfig, Net, NetShape, Network, losses};
//! use perdura_sdk::rand::{SeedableRng, rngs::StdRng};
//!
//! let device = perdura_nn::device("flex", 1)?;
//! let backbone = BackboneConfig { hidden: vec![8], ..BackboneConfig::default() };
//! let shape = NetShape { backbone, input: vec![2], classes: 2 };
//! let mut network = Net::new(&shape, &mut StdRng::seed_from_u64(1), &device)?;
//! let x = network.rows(&[&[0.0, 1.0], &[1.0, 0.0]]);
//! let y = network.labels(&[&[0, 1]]);
//!
//! let mut last = f32::INFINITY;
//! for _ in 0..100 {
//!     let mut tracked = network.tracked();
//!     let loss = losses::cross_entropy(tracked.forward_train(x.clone())?, y.clone());
//!     last = loss.clone().into_scalar();
//!     network.descend(tracked, loss.backward(), 0.5);
//! }
//! assert!(last < 0.1);
//! # Ok::<(), perdura_sdk::Error>(())
//! ```
//!
//! # Batch statistics
//!
//! A network with [`BatchNorm`] has parameters, which gradients move, and buffers, the running mean
//! and variance, which passes in training mode move. Three rules:
//!
//! * `forward` evaluates: running statistics normalise, nothing moves. `forward_train` (blocks that
//!   take a [`Mode`]: `Mode::Train`) normalises by the batch and moves the statistics *of the
//!   network it is called on*. On a tracked copy that is the copy, and `descend` takes them over
//!   with the gradients; two passes on one copy move them twice. On a teacher, which has no
//!   gradients, it is the teacher.
//! * [`Network::average`] averages parameters only, as CLS-ER's authors do; whoever wants the
//!   statistics averaged too calls [`Network::average_buffers`].
//! * State files hold both; [`Network::parameter_count`] and [`Network::buffer_count`] count them
//!   apart.
//!
//! A batch with one value per channel has no variance: `forward_train` refuses it with an error
//! that a learner passes on with `?`.
//!
//! Networks compute in f32; a ResNet on a device `..+bf16` computes in bf16, with parameters and
//! running statistics in f32 ([`device_and_precision`]). Results are the same bytes from run to run with one thread, one build
//! and one model of CPU.
#![deny(unsafe_code)]

mod averages;
mod backbone;
pub mod barlow;
mod batch_norm;
mod conv;
mod convert;
mod device;
pub mod eigen;
pub mod flat;
mod flex;
mod init;
#[cfg(feature = "libtorch")]
mod libtorch;
mod linear;
mod look_ahead;
mod loops;
pub mod losses;
pub mod masks;
pub mod matrix;
mod mlp;
mod net;
mod network;
pub mod numbers;
pub mod orthogonal;
pub mod plasticity;
mod resnet18;
pub mod similarity;
pub mod state;
pub mod teaching;
mod update;

pub use backbone::{Backbone, BackboneConfig, BackboneKind, images};
pub use batch_norm::{BatchNorm, Mode};
pub use conv::{Conv, ConvShape};
pub use convert::{copy_out, labels, rows};
pub use device::{DEVICES, Device, DeviceError, Precision, device, device_and_precision};
pub use linear::Linear;
pub use look_ahead::{distance, hold, look_ahead};
pub use mlp::Mlp;
pub use net::{Net, NetShape};
pub use network::{Listing, Network, TensorMut};
pub use resnet18::{ResNet18, ResNetShape, Stem, pool};
pub use update::{Update, clip_factor};

/// A step makes and drops tensors of up to megabytes; how fast that goes is a tenth of a small step.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
