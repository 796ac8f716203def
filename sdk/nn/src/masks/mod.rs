//! Hard attention to the task (HAT; Serrà et al., ICML 2018, arXiv 1801.01423): learned masks over
//! the units of a network, one set per task or group, that keep what one has learned from what the
//! others do. Symbols: e_l the embedding of layer l, a_l its mask, s the annealed scale.
//!
//! 1. [`GroupMasks::open`] gives a group embeddings `e_l ~ N(mean, 1)`; [`Embeddings::masks`] are
//!    `a_l = σ(s·e_l)`, with s from [`annealed`].
//! 2. [`forward`] runs a network whose units are multiplied by masks: after the ReLU of every
//!    hidden layer of an MLP; of a ResNet after the ReLU that follows each batch normalisation, that
//!    of the shortcut's sum included. Each row of a batch may have masks of its own ([`RowMasks`]).
//! 3. [`sparsity`] is added to the loss. [`Embeddings::factors`] compensate the gradients of the
//!    embeddings, [`Embeddings::clamp`] keeps them within ±6.
//! 4. [`GroupMasks::gate`] is what an update of the network is scaled by
//!    ([`Update::scale`](crate::Update::scale)): `1 − min(a_out, a_in)` of the other groups' masks.
//!
//! [`MaskLearning`] is all of it in the life of a learner with groups, but for the passes.
//!
//! **The head** has no embeddings. A group owns the outputs of its classes, as if their mask were 1:
//! weights to them are gated by the mask of the last layer, their biases wholly. Tasks with classes
//! of their own have heads of their own by that, and where groups share classes nothing leaks
//! through the head.
//!
//! **Batch normalisation.** A unit without gradient would still drift through running statistics
//! that all share, so every group has statistics of its own, and the rows of a mixed batch are
//! normalised group by group ([`GroupRows`]).

mod embeddings;
mod forward;
mod groups;
mod layers;
mod learning;
mod rows;
mod statistics;

pub use embeddings::{Embeddings, annealed, sparsity};
pub use forward::{RowMasks, forward, predict};
pub use groups::GroupMasks;
pub use layers::{Ends, Layers, Units};
pub use learning::{MaskLearning, MaskOptions};
pub use rows::{GroupRows, GroupStatistics};
pub use statistics::Statistics;
