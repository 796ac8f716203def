//! How a plugin behaves in its process: threads, descriptors, what it prints.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::finding::{Finding, require};
use super::trial::{THREADS, Trial};
use super::{Check, Level};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "threads",
        about: "no more threads than the budget, and one that waits, at any time",
        level: Level::Standard,
        needs: &["every-call"],
        remedy: "size thread pools by `ctx.threads`; RAYON_NUM_THREADS is set to it",
        run: threads,
    },
    Check {
        name: "descriptors",
        about: "files and sockets of the process stay open, and no more are left open",
        level: Level::Standard,
        needs: &["every-call"],
        remedy: "close what was opened, and nothing else",
        run: descriptors,
    },
    Check {
        name: "quiet",
        about: "a short stream prints less than 64 KiB",
        level: Level::Standard,
        needs: &["every-call"],
        remedy: "report numbers as scalars and what happens as events; use `tracing` for the rest",
        run: quiet,
    },
];

/// The thread of the worker, and beside a pool one that waits for it.
const OTHER_THREADS: usize = 2;

/// Threads that a learner may have at any time.
pub(super) const THREADS_MAX: usize = THREADS + OTHER_THREADS;

fn threads(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.ignores_reports = true;
    let (tasks, done) =
        (PathBuf::from(format!("/proc/{}/task", session.pid())), AtomicBool::new(false));
    let count = || std::fs::read_dir(&tasks).map_or(0, Iterator::count);
    let (outcome, most) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = count();
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(500));
                most = most.max(count());
            }
            most
        });
        let outcome = session.train().and_then(|_| session.answers());
        done.store(true, Ordering::Relaxed);
        (outcome, watch.join().expect("counting does not panic"))
    });
    trial.measure("threads_most", most as f64);
    // Bad logits are another check's.
    outcome.map(drop).or_else(super::life::tolerate)?;
    require(most > 0, || "its threads cannot be counted".into())?;
    require(most <= THREADS_MAX, || format!("{most} threads at a time with a budget of {THREADS}"))
}

/// What the descriptors of a process stand for.
fn open_files(pid: u32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| {
        let number = entry.file_name().to_string_lossy().into_owned();
        let target = std::fs::read_link(entry.path()).ok()?;
        Some(format!("{number} ({})", target.display()))
    };
    let mut files: Vec<String> = entries.filter_map(name).collect();
    files.sort();
    files
}

/// Descriptors that a library may keep: a source of chance, a log.
const KEPT_MAX: usize = 4;

fn descriptors(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.ignores_reports = true;
    let before = open_files(session.pid());
    require(!before.is_empty(), || "its descriptors cannot be counted".into())?;
    session.train()?;
    let after = open_files(session.pid());
    if let Some(lost) = before.iter().find(|file| !after.contains(file)) {
        return Err(Finding::fail(format!("descriptor {lost} was closed or replaced")));
    }
    let more = after.len() - before.len();
    trial.measure("descriptors_more", more as f64);
    let last = || after.iter().find(|file| !before.contains(file)).cloned().unwrap_or_default();
    require(more <= KEPT_MAX, || format!("{more} descriptors were left open, such as {}", last()))
}

const PRINTED_BYTES_MAX: u64 = 64 << 10;

fn quiet(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.ignores_reports = true;
    session.train()?;
    // In the sandbox a worker prints into a file of its own, which joins the log when it ends.
    drop(session);
    let log = trial.logs.last().expect("the worker has a log");
    let bytes = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
    trial.measure("printed_bytes", bytes as f64);
    require(bytes < PRINTED_BYTES_MAX, || format!("it printed {bytes} bytes in one short stream"))
}
