//! What the tests of this crate share: the built programs and plugins, a sandbox to run them in, and what
//! a run leaves behind. No assertion about the host itself lives here.

mod built;
mod results;
mod sandbox;

pub use built::{Built, built};
pub use results::{RunResult, files_below};
pub use sandbox::{Answer, Sandbox, in_child, processes_of};
