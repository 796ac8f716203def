//! The Perdura host: runs continual-learning methods that are dropped in as plugins, on equal terms.
//!
//! What happens from a command to a table, and where:
//!
//! 1. [`cli`] reads the command line; [`planning`] turns it into plans that leave nothing open.
//! 2. [`plugin`] finds and checks the plugin's file; [`stream`] makes the benchmark from [`data`],
//!    which [`fetch`] downloads.
//! 3. [`schedule`] starts a process for every run.
//! 4. In it, [`trainer`] feeds the learner: batches and draws from [`memory`], made into inputs by
//!    [`augment`], all chance from [`rng`]. The learner lives behind a [`worker::LearnerPort`].
//! 5. [`score`] makes predictions in throw-away instances; [`metrics`] are functions of those.
//! 6. [`run`] holds what a run leaves behind; [`compare`] and [`mod@stats`] make tables of it,
//!    [`report`] pages; [`index`] finds runs among many; [`tune`] chooses
//!    hyper-parameters.
//!
//! [`mlflow`] tells a tracking server of runs while they go on.
//!
//! [`interrupt`] hears when a process is to end; what a run needs to go on later is in its checkpoints.
//! [`reproduce`] knows published results and when ours count as the same; [`mod@check`] holds a plugin to
//! what the trait promises, before anything is trained. [`doctor`] says what a build and a machine have,
//! [`bench`] where time goes.
//!
//! Data flow one way: stream -> step -> learner -> report -> results. `examples/embed-host` shows how a
//! program uses the host as a library.

pub mod augment;
pub mod bench;
pub mod check;
pub mod cli;
pub mod compare;
pub mod data;
pub mod doctor;
pub mod fetch;
mod http;
pub mod index;
pub mod interrupt;
pub mod memory;
pub mod metrics;
pub mod mlflow;
pub mod names;
pub mod planning;
pub mod plugin;
pub mod report;
pub mod reproduce;
pub mod rng;
pub mod run;
pub mod scaffold;
pub mod schedule;
pub mod score;
pub mod stats;
pub mod stream;
pub mod trainer;
pub mod tune;
pub mod worker;

/// Turns this process into a worker if the host started it as one. A program that embeds the host calls
/// this first in `main`: a worker is the same program again, with the one argument `worker`, and so is the
/// process in which a check drops a learner.
pub fn serve_if_worker() {
    if std::env::args_os().skip(1).eq(["worker"]) {
        worker::run(|file| {
            data::forget_digits().map_err(|error| format!("the bundled digits stay: {error}"))?;
            plugin::open_checked(file).map_err(|error| error.to_string())
        })
    }
    if std::env::args_os().skip(1).eq([check::FAREWELL_ARGUMENT]) {
        if let Err(reason) = check::farewell_child() {
            eprintln!("error: {reason}");
            std::process::exit(2);
        }
        std::process::exit(0);
    }
}
