//! Plasticity by similarity (algorithms 3.3): parameters that other groups own move slowly where
//! those groups are unlike the one being learned, and freely where they are alike. It is what HAT's
//! gate is a limit of, with a speed in place of a lock. Symbols: γ the group that is being learned,
//! p_g(w) in [0, 1] how far group g owns parameter w, s(γ, g) their similarity, κ the speed curve,
//! μ(w) the rate that w's update is multiplied by.
//!
//! 1. Who owns what: the masks of groups
//!    ([`GroupMasks::units`](crate::masks::GroupMasks::units), spread over parameters by
//!    [`Layers::spread`](crate::masks::Layers::spread)), or without masks
//!    [`PathImportance`], by one of two rules ([`Ownership`]).
//! 2. [`Speed::of`] turns a similarity into a speed.
//! 3. [`Pace::rates`] aggregates both to μ; [`Update::scale`](crate::Update::scale) applies it: the
//!    update is multiplied and not the gradient. With plain gradient descent that is the same.
//!    Where ownership is about units, [`Pace::unit_rates`] gives the rates of those.
//! 4. [`Guide`] is all of it in a learner's life, with groups as [`Discovery`] finds them.
//!
//! [`Discovery`]: crate::similarity::Discovery

mod guide;
mod importance;
mod rates;
mod speed;
mod units;

pub use guide::{Guide, GuideOptions, label_log_probability};
pub use importance::{Ownership, PathImportance};
pub use rates::{Claim, Owner, Pace, Plasticity};
pub use speed::{Speed, SpeedCurve};
