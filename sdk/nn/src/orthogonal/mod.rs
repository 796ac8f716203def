//! Directions that later training spares (algorithms 3.5): gradients that old samples depend on
//! span a basis, and later gradients are projected away from it, as in OGD (Farajtabar et al.,
//! AISTATS 2020). Symbols: θ are the parameters, f_y(x; θ) the logit of a sample's true class, Q the basis.
//!
//! 1. [`Basis`] holds orthonormal directions of one vector, or of the rows of one matrix:
//!    [`Basis::admit`] takes in a gradient, [`Basis::remove`] is the projection.
//! 2. [`Protected`] has one over all parameters of a network, or one for each layer:
//!    [`Protected::admit`], [`Protected::project`], and its own saved state.
//! 3. [`Points`] says where the gradients of an experience's [`Samples`] are taken;
//!    [`Protected::take_in`] takes them in when it ends, [`Protected::coverage_over`] says how much
//!    of what old samples depend on is protected later.

mod basis;
mod points;
mod protected;

pub use basis::{Basis, Bounds, Part, norm};
pub use points::{Points, Samples, label_gradient};
pub use protected::{BasisKind, Protected};
