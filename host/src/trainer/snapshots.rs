//! Scores snapshots of the learner while training goes on: a queue, and a few threads ("lanes")
//! that have one throw-away instance at a time each. What comes out depends on the snapshots alone,
//! not on when a lane came to one; nothing flows back to the learner.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Ledger;
use super::opener::Opener;
use super::points::score_fault;
use crate::interrupt::Interrupt;
use crate::run::{Anytime, AnytimeCurve, AnytimeSummary, Fault};
use crate::score::{Around, Moment, ScoreFault, Scorer, right_row};
use crate::stream::Scenario;
use crate::worker::{LearnerPort, Tier};

/// Snapshots that wait while all lanes are busy: enough that none of them idles, and no more,
/// because each is a whole state in memory.
const WAITING_MAX: usize = 1;
/// How often it is looked whether the run is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Right answers at one point: by curve, then experience.
type Right = Vec<Vec<Option<u32>>>;

/// What was scored so far, as a checkpoint stores it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SoFar {
    /// Step after which each experience ended.
    ends: Vec<u64>,
    points: BTreeMap<u64, Right>,
    /// The earliest snapshot that could not be scored.
    fault: Option<(u64, Fault)>,
    /// Time the lanes have worked, all together.
    worked: Duration,
}

/// What all lanes share.
struct Exam {
    scorer: Arc<Scorer>,
    /// Views, by their index, and scenarios they are scored in.
    curves: Vec<(usize, Scenario)>,
    interrupt: Interrupt,
    /// Process of each lane's instance; 0 where there is none.
    workers: Vec<AtomicU32>,
}

struct Job {
    step: u64,
    experience: usize,
    state: Arc<Vec<u8>>,
}

struct News {
    step: u64,
    outcome: Result<Right, ScoreFault>,
    worked: Duration,
}

/// A point that has just been scored.
pub struct Fresh {
    pub step: u64,
    /// By curve, then experience.
    pub accuracy: Vec<Vec<Option<f64>>>,
}

/// The snapshots of one run.
pub struct Snapshots {
    every: u64,
    exam: Arc<Exam>,
    opener: Opener,
    so_far: SoFar,
    /// Taken and not scored yet, by step.
    in_flight: BTreeMap<u64, Arc<Vec<u8>>>,
    /// Started with the first snapshot.
    lanes: Option<Lanes>,
}

impl Snapshots {
    /// For snapshots every so many steps, scored by so many lanes at a time.
    pub fn new(
        (every, lanes): (u64, usize),
        (scorer, opener): (Arc<Scorer>, Opener),
        curves: Vec<(usize, Scenario)>,
        interrupt: Interrupt,
    ) -> Snapshots {
        let workers = (0..lanes.max(1)).map(|_| AtomicU32::new(0)).collect();
        let exam = Arc::new(Exam { scorer, curves, interrupt, workers });
        let (so_far, in_flight, lanes) = (SoFar::default(), BTreeMap::new(), None);
        Snapshots { every, exam, opener, so_far, in_flight, lanes }
    }

    /// Takes up what a checkpoint holds: what was scored, and the states that were not.
    pub fn restore(&mut self, so_far: SoFar, waiting: BTreeMap<u64, Vec<u8>>) {
        self.so_far = so_far;
        for (step, state) in waiting {
            let experience = self.so_far.ends.iter().filter(|end| **end < step).count();
            self.enqueue(step, experience, state);
        }
    }

    /// Whether a further snapshot would be of use: behind one that could not be scored, none is.
    pub fn wanted(&self) -> bool {
        self.so_far.fault.is_none()
    }

    /// An experience has ended after so many steps.
    pub fn experience_ended(&mut self, step: u64) {
        self.so_far.ends.push(step);
    }

    /// Has a state scored that was saved after `step` steps, in this experience. Waits for a place
    /// where too many are on their way. In a run that is to end, the state is only kept for the
    /// checkpoint.
    pub fn submit(&mut self, step: u64, experience: usize, state: Vec<u8>) -> Vec<Fresh> {
        let most = self.exam.workers.len() + WAITING_MAX;
        let mut fresh = Vec::new();
        while self.in_flight.len() >= most && !self.exam.interrupt.asked() {
            fresh.extend(self.wait());
        }
        self.enqueue(step, experience, state);
        fresh
    }

    fn enqueue(&mut self, step: u64, experience: usize, state: Vec<u8>) {
        let state = Arc::new(state);
        self.in_flight.insert(step, state.clone());
        let lanes = self.lanes.get_or_insert_with(|| Lanes::start(&self.exam, &self.opener));
        lanes.send(Job { step, experience, state });
    }

    /// What the lanes have done since.
    pub fn news(&mut self) -> Vec<Fresh> {
        let mut fresh = Vec::new();
        while let Some(news) = self.lanes.as_ref().and_then(|lanes| lanes.news.try_recv().ok()) {
            fresh.extend(self.take_in(news));
        }
        fresh
    }

    /// Waits until all are scored. `false`: the run is to end, and some are not.
    pub fn settle(&mut self, told: &mut dyn FnMut(Fresh)) -> bool {
        while !self.in_flight.is_empty() {
            if self.exam.interrupt.asked() {
                return false;
            }
            self.wait().into_iter().for_each(&mut *told);
        }
        true
    }

    /// Waits for a lane, but not for long.
    fn wait(&mut self) -> Option<Fresh> {
        let lanes = self.lanes.as_ref().expect("what is on its way is in a lane");
        match lanes.news.recv_timeout(LOOK_EVERY) {
            Ok(news) => self.take_in(news),
            Err(_) => {
                let ended = lanes.threads.iter().any(JoinHandle::is_finished);
                assert!(!ended, "a lane ends with the run");
                None
            }
        }
    }

    fn take_in(&mut self, News { step, outcome, worked }: News) -> Option<Fresh> {
        self.so_far.worked += worked;
        match outcome {
            // It stays on its way: the checkpoint holds it.
            Err(ScoreFault::Interrupted) => None,
            Err(fault) => {
                self.in_flight.remove(&step);
                if self.so_far.fault.as_ref().is_none_or(|(first, _)| step < *first) {
                    let fault = Fault { step: Some(step), ..*score_fault(fault) };
                    self.so_far.fault = Some((step, fault));
                }
                None
            }
            Ok(right) => {
                self.in_flight.remove(&step);
                let samples = self.samples();
                let share = |row: &Vec<Option<u32>>| {
                    let pairs = row.iter().zip(&samples);
                    pairs.map(|(r, n)| r.map(|r| f64::from(r) / f64::from(*n))).collect()
                };
                let accuracy = right.iter().map(share).collect();
                self.so_far.points.insert(step, right);
                Some(Fresh { step, accuracy })
            }
        }
    }

    /// What a checkpoint stores of those that are scored.
    pub fn so_far(&self) -> SoFar {
        self.so_far.clone()
    }

    /// What it stores of those that are not.
    pub fn in_flight(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.in_flight.iter().map(|(step, state)| (*step, state.as_slice()))
    }

    /// Processes of the instances that are being scored.
    pub fn workers(&self) -> impl Iterator<Item = u32> {
        self.exam.workers.iter().map(|pid| pid.load(Ordering::Relaxed)).filter(|pid| *pid > 0)
    }

    /// Time that lanes have worked, all together.
    pub fn worked(&self) -> Duration {
        self.so_far.worked
    }

    /// All that was scored, up to the first snapshot that could not be.
    pub fn result(&self) -> (Anytime, AnytimeSummary) {
        let SoFar { ends, points, fault, .. } = &self.so_far;
        let until = fault.as_ref().map_or(u64::MAX, |(step, _)| *step);
        let kept: Vec<(&u64, &Right)> = points.range(..until).collect();
        let views = &self.exam.scorer.views;
        let curve = |(index, (view, scenario)): (usize, &(usize, Scenario))| AnytimeCurve {
            view: views[*view].name.clone(),
            scenario: scenario.to_string(),
            right: kept.iter().map(|(_, right)| right[index].clone()).collect(),
        };
        let anytime = Anytime {
            every: self.every,
            ends: ends.clone(),
            samples: self.samples(),
            steps: kept.iter().map(|(step, _)| **step).collect(),
            curves: self.exam.curves.iter().enumerate().map(curve).collect(),
        };
        let fault = fault.as_ref().map(|(_, fault)| fault.clone());
        let summary = AnytimeSummary { every: self.every, points: kept.len() as u64, fault };
        (anytime, summary)
    }

    /// Test samples of each experience.
    fn samples(&self) -> Vec<u32> {
        let experiences = self.exam.scorer.benchmark.experiences.iter();
        experiences.map(|experience| experience.test.len() as u32).collect()
    }
}

/// Threads that score.
struct Lanes {
    /// Taken to end them.
    jobs: Option<Sender<Job>>,
    news: Receiver<News>,
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    fn start(exam: &Arc<Exam>, opener: &Opener) -> Lanes {
        let (jobs, inbox) = channel();
        let (outbox, news) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let lane = |number| {
            let (exam, inbox, outbox) = (exam.clone(), inbox.clone(), outbox.clone());
            let mut opener = opener.beside();
            std::thread::spawn(move || {
                // The lock is held while waiting: one lane is woken for one job.
                let next = || inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(job) = next() {
                    let begun = Instant::now();
                    let outcome = exam.score(number, &mut opener, &job);
                    exam.workers[number].store(0, Ordering::Relaxed);
                    let worked = begun.elapsed();
                    // Nobody listens any more where the run has ended.
                    let _ = outbox.send(News { step: job.step, outcome, worked });
                }
            })
        };
        let threads = (0..exam.workers.len()).map(lane).collect();
        Lanes { jobs: Some(jobs), news, threads }
    }

    fn send(&self, job: Job) {
        let jobs = self.jobs.as_ref().expect("taken when the lanes are dropped");
        // A lane that is gone is noticed where its news are waited for.
        let _ = jobs.send(job);
    }
}

impl Drop for Lanes {
    /// Waits for instances that are still there, so that their processes and folders go with them:
    /// in a run that is to end, until their next answer.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Exam {
    /// Scores one snapshot in lane `lane`.
    fn score(&self, lane: usize, opener: &mut Opener, job: &Job) -> Result<Right, ScoreFault> {
        let worker = &self.workers[lane];
        let mut open = |create: &_| {
            let port = opener.open(create)?;
            if port.tier() != Tier::InProcess {
                let pid = port.usage().map_or(0, |usage| usage.pid);
                worker.store(pid, Ordering::Relaxed);
            }
            Ok(port)
        };
        let mut look = |_: &dyn LearnerPort| {};
        let (open, look) = (&mut open, &mut look);
        // Where the run's own time goes is another question: lanes work beside it.
        let ledger = &mut Ledger::default();
        let around = Around { open, look, interrupt: &self.interrupt, ledger };
        let Job { step, experience, state } = job;
        let moment = Moment::During { step: *step, experience: *experience };
        let scored = self.scorer.score(state, moment, around)?;
        let experiences = self.scorer.benchmark.experiences.len();
        let right = |(view, scenario): &(usize, Scenario)| match &scored[*view].predictions {
            Some(predictions) => right_row(predictions, *scenario, experiences),
            None => vec![None; experiences],
        };
        Ok(self.curves.iter().map(right).collect())
    }
}
