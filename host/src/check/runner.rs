//! Carries out checks, some at a time, each once those it needs are settled, and ends those that take too
//! long.

use rustix::process::{Pid, Signal, kill_process_group};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use super::finding::{Finding, Kind};
use super::report::{Checked, Entry, Report};
use super::trial::{Subject, Trial, Watched};
use super::{Check, CheckOptions, all};
use crate::names::{did_you_mean, list};
use crate::planning::{PlanError, complete_config};
use crate::plugin::{Cache, Found, LoadError, spawn_options};
use crate::run::utc_text;
use crate::worker::describe;

/// What kept the suite from starting. What a plugin does is a finding, not an error.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("there is no check `{found}`{hint}; there are: {known}")]
    Unknown { found: String, hint: String, known: String },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Set(Box<PlanError>),
    #[error("no folder for the check can be made: {0}")]
    Folder(#[from] std::io::Error),
}

/// A check may take as long as this many calls that just meet their deadline.
const PATIENCE_DEADLINES: u32 = 12;
/// How often the runner looks whether a check takes too long.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Checks a plugin; `tell` hears of each check in the order of the list. The report of a whole level is
/// kept in the cache.
pub fn run(
    found: &Found,
    options: &CheckOptions,
    tell: &mut dyn FnMut(&Entry),
) -> Result<Report, CheckError> {
    let (begun, started) = (Instant::now(), utc_text(SystemTime::now()));
    let checks = selected(options)?;
    let cache = Cache::from_env();
    let subject = subject(found, options)?;
    let board = Board { state: Mutex::new(State::new(checks.len())), changed: Condvar::new() };
    let suite = Suite { subject: &subject, options, checks: &checks, board: &board };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| suite.work());
        }
        suite.watch(tell);
    });
    let state = board.state.into_inner().expect("no holder panics");
    let entries: Vec<Entry> = state.entries.into_iter().flatten().collect();
    let report = Report {
        format: Report::FORMAT,
        plugin: Checked {
            id: found.manifest.id.clone(),
            version: found.manifest.version.clone(),
            sha256: found.sha256.clone(),
        },
        host: env!("CARGO_PKG_VERSION").into(),
        level: options.level,
        tier: subject.tier,
        seed: options.seed,
        set: options.set.iter().cloned().collect(),
        started,
        seconds: begun.elapsed().as_secs_f64(),
        passed: entries.iter().all(|entry| !entry.kind.is_broken()),
        checks: entries,
    };
    if options.only.is_empty() {
        report.store(&cache)?;
    }
    Ok(report)
}

/// The checks of the level, or those that are named.
fn selected(options: &CheckOptions) -> Result<Vec<&'static Check>, CheckError> {
    let every = all();
    let names: Vec<String> = every.iter().map(|check| check.name.to_owned()).collect();
    if let Some(found) = options.only.iter().find(|name| !names.contains(name)) {
        let (hint, known) = (did_you_mean(found, &names), list(&names));
        return Err(CheckError::Unknown { found: found.clone(), hint, known });
    }
    let wanted = |check: &&Check| match options.only.as_slice() {
        [] => check.level <= options.level,
        only => only.iter().any(|name| name == check.name),
    };
    Ok(every.into_iter().filter(wanted).collect())
}

fn subject(found: &Found, options: &CheckOptions) -> Result<Subject, CheckError> {
    let mut subject = Subject {
        found: found.clone(),
        start: spawn_options(found)?,
        tier: options.tier,
        allow_read: options.allow_read.clone(),
        described: Err(Finding::skipped("it has not been asked")),
        config: serde_json::Value::Null,
        by_default: options.set.is_empty(),
        seed: options.seed,
        deadline: options.deadline,
    };
    let folder = tempfile::tempdir()?;
    let asked = describe(&subject.spawn_options(&folder.path().join("log")));
    subject.described = asked.map_err(Finding::from);
    if let Ok(description) = &subject.described {
        subject.config = complete_config(description, None, &options.set)
            .map_err(|error| CheckError::Set(Box::new(error)))?;
    }
    Ok(subject)
}

/// What is settled and what goes on.
struct State {
    begun: Vec<bool>,
    going_on: Vec<Option<Arc<Mutex<Watched>>>>,
    entries: Vec<Option<Entry>>,
}

impl State {
    fn new(checks: usize) -> State {
        let (begun, going_on) = (vec![false; checks], vec![None; checks]);
        State { begun, going_on, entries: vec![None; checks] }
    }
}

struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

struct Suite<'a> {
    subject: &'a Subject,
    options: &'a CheckOptions,
    checks: &'a [&'static Check],
    board: &'a Board,
}

impl Suite<'_> {
    /// Takes one check after another until all have begun.
    fn work(&self) {
        while let Some(index) = self.next() {
            let entry = self.carry_out(index);
            let mut state = self.board.state();
            state.going_on[index] = None;
            state.entries[index] = Some(entry);
            self.board.changed.notify_all();
        }
    }

    /// The next check whose needs are settled; waits for one. `None` once all have begun.
    fn next(&self) -> Option<usize> {
        let mut state = self.board.state();
        loop {
            let waiting = (0..self.checks.len()).filter(|&index| !state.begun[index]);
            let mut some_wait = false;
            for index in waiting {
                some_wait = true;
                let mut needs = self.needs_of(index);
                if needs.all(|need| state.entries[need].is_some()) {
                    state.begun[index] = true;
                    return Some(index);
                }
            }
            if !some_wait {
                return None;
            }
            state = self.board.changed.wait(state).expect("no holder panics");
        }
    }

    /// Those of the check's needs that are carried out in this suite.
    fn needs_of(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let needs = self.checks[index].needs.iter();
        needs.filter_map(|need| self.checks.iter().position(|check| check.name == *need))
    }

    fn carry_out(&self, index: usize) -> Entry {
        let (check, begun) = (self.checks[index], Instant::now());
        let mut entry = Entry {
            check: check.name.into(),
            about: check.about.into(),
            level: check.level,
            kind: Kind::Pass,
            cause: None,
            remedy: None,
            folder: None,
            seconds: 0.0,
            measured: Default::default(),
        };
        let outcome = match self.unmet(index) {
            Some(need) => Err(Finding::skipped(format!("`{need}` did not pass"))),
            None => self.attempt(index, &mut entry),
        };
        if let Err(finding) = outcome {
            entry.kind = finding.kind;
            entry.cause = Some(finding.cause);
            let remedy = finding.remedy.unwrap_or_else(|| check.remedy.into());
            entry.remedy = (finding.kind != Kind::Skipped).then_some(remedy);
        }
        entry.seconds = begun.elapsed().as_secs_f64();
        entry
    }

    /// A need of the check that did not pass.
    fn unmet(&self, index: usize) -> Option<&'static str> {
        let state = self.board.state();
        let passed = |need: &usize| {
            let kind = state.entries[*need].as_ref().map(|entry| entry.kind);
            matches!(kind, Some(Kind::Pass | Kind::Warning))
        };
        self.needs_of(index).find(|need| !passed(need)).map(|need| self.checks[need].name)
    }

    fn attempt(&self, index: usize, entry: &mut Entry) -> Result<(), Finding> {
        let check = self.checks[index];
        let mut trial = Trial::new(self.subject)
            .map_err(|e| Finding::skipped(format!("no folder can be made: {e}")))?;
        self.board.state().going_on[index] = Some(trial.watched.clone());
        let run = AssertUnwindSafe(|| (check.run)(&mut trial));
        let outcome = catch_unwind(run).unwrap_or_else(|panic| Err(host_failed(panic.as_ref())));
        let expired = trial.watched.lock().expect("no holder panics").expired;
        let outcome = match outcome {
            Err(finding) if expired => Err(too_long(self.patience(), &finding)),
            outcome => outcome,
        };
        entry.measured = std::mem::take(&mut trial.measured);
        if outcome.as_ref().is_err_and(|finding| finding.kind.is_broken()) {
            entry.folder = self.leave_behind(check, &trial);
        }
        outcome
    }

    /// Writes what the check leaves behind. Where that is not possible the finding still counts.
    fn leave_behind(&self, check: &Check, trial: &Trial<'_>) -> Option<std::path::PathBuf> {
        let Found { manifest, sha256, .. } = &self.subject.found;
        let name = format!("{}-{}", manifest.id.replace('/', "-"), &sha256[..8]);
        let folder = self.options.out.join(name).join(check.name);
        let journal = trial.journal.lock().expect("no holder panics");
        match journal.write(&folder, &trial.logs) {
            Ok(()) => Some(folder),
            Err(error) => {
                tracing::warn!("{} cannot be written: {error}", folder.display());
                None
            }
        }
    }

    fn patience(&self) -> Duration {
        self.options.deadline * PATIENCE_DEADLINES
    }

    /// Tells of what is settled, in order, and ends the workers of checks that take too long: a learner
    /// that keeps asking the host never runs into the deadline of a call.
    fn watch(&self, tell: &mut dyn FnMut(&Entry)) {
        let mut told = 0;
        let mut state = self.board.state();
        while told < self.checks.len() {
            while let Some(Some(entry)) = state.entries.get(told) {
                tell(entry);
                told += 1;
            }
            for watched in state.going_on.iter().flatten() {
                let mut watched = watched.lock().expect("no holder panics");
                if !watched.expired && watched.started.elapsed() > self.patience() {
                    watched.expired = true;
                }
                if watched.expired {
                    watched.workers.iter().for_each(|&pid| end_group(pid));
                }
            }
            state = self.board.changed.wait_timeout(state, LOOK_EVERY).expect("no holder panics").0;
        }
    }
}

/// Ends a worker that its session still holds, so that the number is its own.
fn end_group(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn too_long(patience: Duration, finding: &Finding) -> Finding {
    let seconds = patience.as_secs_f64();
    let cause = format!("it was not done after {seconds} s, and was ended: {}", finding.cause);
    let remedy = "look for a loop that keeps asking the host; --deadline gives more time";
    Finding { kind: Kind::Timeout, cause, remedy: Some(remedy.into()) }
}

fn host_failed(panic: &(dyn Any + Send)) -> Finding {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let remedy = Some("this is a fault of the host: please report it".into());
    Finding { kind: Kind::Crash, cause: format!("the check itself panicked: {text}"), remedy }
}
