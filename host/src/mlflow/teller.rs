//! The thread that tells a server what waits: run by run, piece by piece. A server that does not
//! answer is asked again after growing pauses; what it does not want is left out. Either is said once.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Times;
use super::client::{Client, Trouble};
use super::outbox::{Piece, State};
use crate::run::{MlflowRun, RunFolder};

/// What the thread and those who fill the outboxes share.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.lock())
    }

    /// Nothing in the state is ever half done: a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the thread to tell what waits, so long at most. Returns how many runs are left with
    /// something.
    pub fn farewell(&self, patience: Duration) -> usize {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        state.closing = Some(until);
        self.news.notify_all();
        while !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.news.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.runs.values().filter(|outbox| outbox.waits() || outbox.dropped > 0).count()
    }

    /// Waits so long, or until nothing more comes. False when it is over.
    fn rest(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let closed = state.closing;
            if closed.is_some_and(|closed| now >= closed) {
                return false;
            }
            if now >= until {
                return true;
            }
            let waited = self.news.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            // Who says good-bye is not kept waiting for a round; a pause has its reason and goes on.
            if state.closing.is_some() && closed.is_none() {
                return true;
            }
        }
    }

    /// What is to be told next: of which run, and its id.
    fn take(&self) -> Option<(usize, Option<String>, Piece)> {
        let mut state = self.lock();
        let next = |(run, outbox): (&usize, &mut super::Outbox)| {
            Some((*run, outbox.run_id.clone(), outbox.take()?))
        };
        state.runs.iter_mut().find_map(next)
    }

    fn outbox(&self, run: usize, change: impl FnOnce(&mut super::Outbox)) {
        if let Some(outbox) = self.lock().runs.get_mut(&run) {
            change(outbox);
        }
    }

    fn note(&self, note: String) {
        self.lock().notes.push(note);
    }
}

/// Tells until nothing more comes and all is told, or the time for that is over.
pub fn work(shared: &Shared, mut client: Client, times: Times) {
    let (mut pause, mut said) = (times.pause_min, BTreeSet::new());
    let mut down = false;
    loop {
        let Some((run, run_id, piece)) = shared.take() else {
            if shared.lock().closing.is_some() || !shared.rest(times.round) {
                break;
            }
            continue;
        };
        match tell(&mut client, run_id.as_deref(), &piece) {
            Ok(opened) => {
                if std::mem::take(&mut down) {
                    shared.note("MLflow answers again".into());
                }
                pause = times.pause_min;
                shared.outbox(run, |outbox| outbox.told(&piece));
                if let Some(run_id) = opened {
                    remember(shared, &client, run, run_id);
                }
            }
            Err(Trouble::Refused { code, message }) => {
                // The same reason is said once.
                if said.insert(code.clone()) {
                    shared.note(format!("MLflow does not want what it is told: {message}"));
                }
                shared.outbox(run, |outbox| outbox.refused(&piece));
            }
            Err(Trouble::Later(text)) => {
                if !std::mem::replace(&mut down, true) {
                    let uri = client.uri();
                    let note = format!("no word from MLflow at {uri}: {text}; it is tried again");
                    shared.note(note);
                }
                shared.outbox(run, |outbox| outbox.put_back(piece));
                if !shared.rest(pause) {
                    break;
                }
                pause = (pause * 2).min(times.pause_max);
            }
        }
    }
    shared.lock().ended = true;
    shared.news.notify_all();
}

/// Tells one piece. Returns the id of a run that was opened.
fn tell(
    client: &mut Client,
    run_id: Option<&str>,
    piece: &Piece,
) -> Result<Option<String>, Trouble> {
    match (piece, run_id) {
        (Piece::Open { opening, known }, _) => client.open(opening, known.as_deref()).map(Some),
        (Piece::Batch { params, metrics }, Some(id)) => {
            client.batch(id, params, metrics).map(|()| None)
        }
        (Piece::End(end), Some(id)) => client.end(id, end).map(|()| None),
        (_, None) => unreachable!("an outbox opens its run first"),
    }
}

/// Keeps the id of a run, in its folder too: the process that goes on with it goes on there.
fn remember(shared: &Shared, client: &Client, run: usize, run_id: String) {
    let folder = shared.change(|state| {
        let outbox = state.runs.get_mut(&run)?;
        outbox.run_id = Some(run_id.clone());
        Some(outbox.folder.clone())
    });
    let Some(folder) = folder else { return };
    let known = MlflowRun { uri: client.uri().to_owned(), run_id };
    let written = RunFolder::open(&folder).and_then(|folder| folder.set_mlflow_run(&known));
    if let Err(error) = written {
        shared.note(format!("the run's name at MLflow is not kept: {error}"));
    }
}
