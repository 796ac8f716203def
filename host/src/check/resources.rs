//! What a learner takes: memory against what it claims, time per step, and a long stream without growth.

use std::collections::BTreeMap;
use std::time::Instant;

use super::conduct::THREADS_MAX;
use super::finding::{Finding, require};
use super::session::{Move, Session};
use super::toy::Stage;
use super::trial::Trial;
use super::{Check, Level};
use crate::worker::open;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "memory-claim",
        about: "the learner holds about the bytes that it claims, and claims those that it saves",
        level: Level::Standard,
        needs: &["every-call"],
        remedy: "count parameters, buffers, optimizer and private samples in `resources`",
        run: memory_claim,
    },
    Check {
        name: "step-time",
        about: "the time of a step is recorded",
        level: Level::Standard,
        needs: &["reports"],
        remedy: "this check fails with its steps alone",
        run: step_time,
    },
    Check {
        name: "soak",
        about: "1,000 steps leave memory, threads and descriptors as they were after 250",
        level: Level::Strict,
        needs: &["reports"],
        remedy: "look for what is kept of every step: graphs, samples, logs, open files",
        run: soak,
    },
];

const MIB: f64 = (1 << 20) as f64;
/// What an allocator, a tensor library and one step take beside the learner.
const WORK_BYTES: f64 = 16.0 * MIB;
/// Gradients, averages and copies of one step, in claims.
const WORK_CLAIMS: f64 = 4.0;
/// Names and shapes in a saved state that hold no numbers.
const STATE_OVERHEAD_BYTES: f64 = 65_536.0;

fn memory_claim(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let log = trial.next_log();
    let empty = open(&trial.subject.spawn_options(&log))?;
    let before = anonymous_bytes(empty.pid())?;
    drop(empty);
    let mut session = trial.open()?;
    session.ignores_reports = true;
    session.train()?;
    let held = anonymous_bytes(session.pid())? - before;
    let claim = total(&session.claimed()?);
    let state = session.save()?.len() as f64;
    for (name, value) in [("held", held), ("claimed", claim), ("saved", state)] {
        trial.measure(&format!("{name}_bytes"), value);
    }
    fits(held, claim, state)
}

fn fits(held: f64, claim: f64, state: f64) -> Result<(), Finding> {
    require(held <= WORK_CLAIMS * claim + WORK_BYTES, || {
        format!("it claims {claim} bytes, but its process grew by {held}")
    })?;
    require(claim <= held.max(0.0) + WORK_BYTES, || {
        format!("it claims {claim} bytes, but its process grew by {held} only")
    })?;
    require(state <= claim + STATE_OVERHEAD_BYTES, || {
        format!("it claims {claim} bytes, but its saved state has {state}")
    })
}

fn total(claimed: &BTreeMap<String, u64>) -> f64 {
    claimed.values().sum::<u64>() as f64
}

/// Memory of a process that is no file: heap and stacks.
fn anonymous_bytes(pid: u32) -> Result<f64, Finding> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bytes = anonymous_in(&status);
    bytes.ok_or_else(|| Finding::skipped("the memory of its process cannot be read"))
}

fn anonymous_in(status: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(rest.split_ascii_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

/// Steps that are timed, after as many that are not.
const TIMED_STEPS: usize = 50;

fn step_time(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open_on(Stage { epochs: 20, ..trial.stage() })?;
    let mut times_ms = Vec::new();
    for one in session.moves() {
        let begun = Instant::now();
        if session.make(&one)?.is_some() {
            times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        if times_ms.len() == 2 * TIMED_STEPS {
            break;
        }
    }
    let timed = &mut times_ms[TIMED_STEPS..];
    timed.sort_by(f64::total_cmp);
    trial.measure("step_time_median_ms", timed[timed.len() / 2]);
    trial.measure("step_time_p95_ms", timed[timed.len() * 95 / 100]);
    Ok(())
}

const SOAK_STEPS: usize = 1000;
/// A fragmented heap grows by this much without a leak.
const GROWTH_BYTES_MAX: f64 = 8.0 * MIB;

/// What a process holds.
struct Holding {
    bytes: f64,
    threads: usize,
    descriptors: usize,
    claim: f64,
}

fn holding(session: &mut Session) -> Result<Holding, Finding> {
    let entries = |name: &str| {
        let folder = format!("/proc/{}/{name}", session.pid());
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    };
    let (threads, descriptors) = (entries("task"), entries("fd"));
    let bytes = anonymous_bytes(session.pid())?;
    Ok(Holding { bytes, threads, descriptors, claim: total(&session.claimed()?) })
}

fn soak(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let stage = trial.stage();
    let per_epoch =
        trial.open()?.desk.world.benchmark.steps_per_epoch(0) as usize * stage.experiences;
    let epochs = SOAK_STEPS.div_ceil(per_epoch) as u32;
    let mut session = trial.open_on(Stage { epochs, ..stage })?;
    let (mut steps, mut early) = (0, None);
    for one in session.moves() {
        steps += usize::from(matches!(one, Move::Step { .. }));
        session.make(&one)?;
        if steps == SOAK_STEPS / 4 && early.is_none() {
            early = Some(holding(&mut session)?);
        }
    }
    let (early, late) = (early.expect("a quarter comes first"), holding(&mut session)?);
    let growth = late.bytes - early.bytes;
    trial.measure("growth_bytes", growth);
    // A method may open networks: then it claims more too.
    let owned = WORK_CLAIMS * (late.claim - early.claim).max(0.0);
    require(growth <= GROWTH_BYTES_MAX + owned, || {
        format!("memory grew by {:.1} MiB from step 250 to step {steps}", growth / MIB)
    })?;
    require(late.threads <= early.threads.max(THREADS_MAX), || {
        format!("{} threads became {}", early.threads, late.threads)
    })?;
    require(late.descriptors <= early.descriptors, || {
        format!("{} open descriptors became {}", early.descriptors, late.descriptors)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_held_against_process_and_state() {
        let cause = |held, claim, state| fits(held, claim, state).unwrap_err().cause;
        assert!(fits(20.0 * MIB, MIB, MIB).is_ok());
        assert!(fits(MIB, 0.0, 65_536.0).is_ok());
        assert!(cause(21.0 * MIB, MIB, MIB).contains("but its process grew by 22020096"));
        assert!(cause(MIB, 18.0 * MIB, MIB).ends_with("grew by 1048576 only"));
        assert!(cause(MIB, 0.0, 65_537.0).contains("saved state has 65537"));
    }

    #[test]
    fn anonymous_memory_is_read_from_the_kernel() {
        assert_eq!(anonymous_in("VmRSS:\t 9 kB\nRssAnon:\t    12 kB\n"), Some(12_288.0));
        assert_eq!(anonymous_in("VmRSS:\t 9 kB\n"), None);
        assert!(anonymous_bytes(std::process::id()).unwrap() > 0.0);
        assert!(anonymous_bytes(u32::MAX).is_err());
    }
}
