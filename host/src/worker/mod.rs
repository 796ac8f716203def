//! Learners, wherever they run.
//!
//! The trainer talks to a [`LearnerPort`]. Behind it is either the plugin's object in this process
//! ([`in_process`]) or a worker process ([`spawn`]); both carry the same messages, so a method gives the
//! same numbers in either. While a learner works it may ask the host for services; the trainer offers
//! them as [`HostServices`]. Whatever goes wrong with a learner comes back as one [`CallFault`].
//!
//! A worker is this binary again (`perdura worker`, not listed in the help). [`protocol`] documents what
//! host and worker say to each other, well enough to write a worker in another language. [`Confinement`]
//! is what a worker gives up before it opens a plugin; `THREATS.md` says what that is good for.
//!
//! `unsafe` is found in three files: `shared.rs` (mapped memory), `serve.rs` (the beginning and the exit of a
//! worker) and `usage.rs` (what a process uses, and what one that has ended used).

mod child;
mod confine;
mod fault;
mod in_process;
mod link;
mod port;
mod process;
pub mod protocol;
mod serve;
mod shared;
mod spawn;
mod usage;
mod watch;
mod wire;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use child::Limits;
pub use confine::{Confinement, confine, is_gpu, lacking};
pub use fault::{CallFault, FaultKind, FaultTraces};
pub use in_process::{InProcessPort, in_process};
pub use port::{CallTimes, HostServices, LearnerPort, LookingOut, NoServices, Tier};
pub use process::{Deadlines, WorkerPort};
pub use serve::{HOST_VARIABLE, end_with_host, run, serve};
pub use spawn::{SpawnOptions, describe, open, spawn};
pub(crate) use usage::peak_of_ended;
pub use usage::{Usage, cpu_seconds_of};
