//! What the tests of this crate share: the built programs and plugins, a sandbox to run them in, and what
//! a run leaves behind, and a learner to talk to. No assertion about the host itself lives here.

mod built;
mod learner;
mod results;
mod sandbox;

pub use built::{Built, built, plugin_names};
pub use learner::{Learner, Report, Samples};
pub use results::{RunResult, files_below};
pub use sandbox::{Answer, Sandbox, answer_of, in_child, processes_of};
