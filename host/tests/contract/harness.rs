//! Runs a toy learner with the real trainer, memory and scorer over a small synthetic stream, in this
//! process. Toys write what they are given into a journal; tests read it afterwards. One file, so that the
//! whole of what a toy may do is seen at once.

use perdura::augment::{SslAugment, TrainAugment};
use perdura::data::{DataPair, Dataset, ImageShape};
use perdura::interrupt::Interrupt;
use perdura::memory::{Capacity, ReplayMemory};
use perdura::run::After;
use perdura::score::{Around, Scorer, ViewPredictions, load};
use perdura::stream::{Benchmark, Construction, EvalHead, Recipe, Scenario, StreamOptions};
use perdura::trainer::{
    Desk, Ledger, Observer, Place, Point, Score, Standing, Stop, Trainer, World, check_declaration,
    declared,
};
use perdura::worker::{LearnerPort, NoServices, in_process};
use perdura_abi::message::{ContextMsg, CreateMsg, EventMsg};
use perdura_abi::{MessageBuf, Op};
use perdura_sdk::prelude::*;
use perdura_sdk::testing::root_of;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Classes, of which two make an experience.
pub const CLASSES: u32 = 6;
/// Training samples of each experience.
pub const SAMPLES: usize = 12;
/// Samples of a step: three steps an epoch.
pub const BATCH: u32 = 4;

/// What a toy implements: the trait without names, state and scores.
pub trait Toy: Default + Send + 'static {
    fn declare() -> Declaration;
    fn begin(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        Ok(())
    }
    fn observe(&mut self, _: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        Ok(StepReport::new())
    }
    fn end(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        Ok(())
    }
    fn finish(&mut self, _: &Call, _: &mut Host<'_>) -> Result<()> {
        Ok(())
    }
    fn predict(&mut self, _: &Query<'_>, _: &mut Logits<'_>) -> Result<()> {
        Ok(())
    }
    /// One number is state enough for a toy.
    fn state(&self) -> f32 {
        0.0
    }
    fn restore(&mut self, _: f32) {}
}

struct Learner<T>(T);

hyper_parameters! {
    /// Toys have none.
    pub struct Nothing {}
}

impl<T: Toy> ContinualLearner for Learner<T> {
    type Config = Nothing;

    fn about() -> About {
        About::new("a toy")
    }
    fn declare(_: &Nothing, _: &Context) -> Declaration {
        T::declare()
    }
    fn create(_: Nothing, _: &Context) -> Result<Self> {
        Ok(Learner(T::default()))
    }
    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.0.begin(info, host)
    }
    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        self.0.observe(step, host)
    }
    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.0.end(info, host)
    }
    fn end_of_stream(&mut self, call: &Call, host: &mut Host<'_>) -> Result<()> {
        self.0.finish(call, host)
    }
    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.0.predict(query, logits)
    }
    fn save(&self, state: &mut StateWriter) -> Result<()> {
        state.tensor("state", &[1], &[self.0.state()])
    }
    fn load(&mut self, state: &mut StateReader) -> Result<()> {
        self.0.restore(state.tensor("state", &[1])?[0]);
        Ok(())
    }
}

/// Samples that a toy was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub uids: Vec<u64>,
    pub labels: Vec<u32>,
    pub slots: Option<Vec<u32>>,
    pub experiences: Option<Vec<u32>>,
    pub groups: Option<Vec<u32>>,
    pub inputs: Vec<f32>,
}

impl Seen {
    pub fn of(rows: &Rows<'_>) -> Self {
        Seen {
            uids: rows.uids().to_vec(),
            labels: rows.labels().to_vec(),
            slots: rows.slots().map(<[u32]>::to_vec),
            experiences: rows.experiences().map(<[u32]>::to_vec),
            groups: rows.groups().map(<[u32]>::to_vec),
            inputs: rows.inputs().to_vec(),
        }
    }

    pub fn sorted(&self) -> Vec<u64> {
        sorted(&self.uids)
    }
}

pub fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort_unstable();
    items
}

#[derive(Default)]
struct Journal {
    rows: Vec<(String, Seen)>,
    said: Vec<(String, String)>,
}

thread_local! {
    // A toy in this process works on the test's own thread.
    static JOURNAL: RefCell<Journal> = RefCell::default();
}

/// Writes samples into the journal.
pub fn note(what: &str, rows: &Rows<'_>) {
    JOURNAL.with_borrow_mut(|j| j.rows.push((what.into(), Seen::of(rows))));
}

/// Writes anything else into the journal.
pub fn say(what: &str, value: impl std::fmt::Debug) {
    JOURNAL.with_borrow_mut(|j| j.said.push((what.into(), format!("{value:?}"))));
}

/// Where and how a toy is run.
#[derive(Clone, Copy)]
pub struct Setup {
    pub scenario: Scenario,
    pub epochs: u32,
    pub memory: Option<usize>,
    /// What the toy wishes, if `None`.
    pub policy: Option<InsertionPolicy>,
    pub online: bool,
    /// Crops at random and offers self-supervised views, so that augmented inputs differ.
    pub augment: bool,
    pub validation: f64,
    pub seed: u64,
    pub construction: Construction,
    /// Steps between two scores, besides those at boundaries.
    pub score_every: Option<u64>,
    /// Outputs that take part in a prediction.
    pub eval_head: EvalHead,
}

impl Default for Setup {
    fn default() -> Self {
        let (online, augment, validation, seed) = (false, false, 0.0, 0);
        let (scenario, epochs, memory) = (Scenario::ClassIl, 1, None);
        let construction = Construction::Split { experiences: 3 };
        let (score_every, policy, eval_head) = (None, None, EvalHead::All);
        Setup {
            scenario,
            epochs,
            memory,
            policy,
            online,
            augment,
            validation,
            seed,
            construction,
            score_every,
            eval_head,
        }
    }
}

impl Setup {
    pub fn memory(samples: usize) -> Self {
        Setup { memory: Some(samples), ..Setup::default() }
    }

    pub fn benchmark(&self) -> Benchmark {
        let recipe = Recipe {
            name: "toy",
            about: "",
            data: "toy",
            scenario: self.scenario,
            construction: self.construction,
            epochs: self.epochs,
            batch: BATCH,
            drop_last: false,
            statistics: &[],
            train_augment: TrainAugment { crop_padding: usize::from(self.augment), flip: false },
            ssl_augment: self.augment.then_some(SslAugment::MNIST),
        };
        let Setup { validation, score_every, eval_head, .. } = *self;
        let options =
            StreamOptions { validation, score_every, eval_head, ..StreamOptions::default() };
        let (train, test) = (images(3 * SAMPLES as u32), images(CLASSES * 2));
        let data = DataPair { name: "toy".into(), train, test, scale: 1.0 };
        recipe.assemble(data, &options, self.seed).unwrap()
    }

    /// A whole run; the message of what ended it early is the error.
    pub fn run<T: Toy>(&self) -> Result<Ran, String> {
        match self.run_from::<T>(None, usize::MAX)? {
            End::Ran(ran) => Ok(*ran),
            End::Left(_) => unreachable!("there are fewer points"),
        }
    }

    /// A run from the beginning or from where one was left, to its end or to the so many-th point.
    pub fn run_from<T: Toy>(&self, from: Option<Left>, leave_at: usize) -> Result<End, String> {
        JOURNAL.take();
        let benchmark = Arc::new(self.benchmark());
        let grants = benchmark.grants(self.online);
        let context = ContextMsg {
            classes: benchmark.classes,
            input_shape: benchmark.input_shape(),
            device: "flex".into(),
            threads: 1,
            grants,
        };
        let config = serde_json::json!({});
        let (views, seed) = (Vec::new(), self.seed);
        let mut scorer = Scorer { benchmark: benchmark.clone(), views, context, config, seed };
        let mut port = open::<T>(&scorer.create_message());
        let declaration = declared(&mut *port).unwrap();
        check_declaration(&declaration, &benchmark, self.memory.is_some())?;
        scorer.views = declaration.views.clone();
        let width = benchmark.input_shape().iter().product();
        let policy = self.policy.unwrap_or(declaration.wishes.policy);
        let memory = self.memory.map(|samples| {
            ReplayMemory::new(Capacity::Samples(samples), width, &declaration.columns)
                .and_then(|m| m.with_policy(policy, benchmark.experiences.len()))
                .unwrap()
        });
        let world = World::new(benchmark, self.seed, grants, declaration, memory);
        let mut desk = Desk::new(world, Box::new(|_| {}));
        let scoring: fn(&CreateMsg) -> Box<dyn LearnerPort> = open::<T>;
        let (scores, events) = (Vec::new(), Vec::new());
        let (left, points, snapshots) = (None, 0, Vec::new());
        let mut watcher =
            Watcher { scorer, scoring, scores, snapshots, events, leave_at, left, points };
        let mut ledger = Ledger::default();
        let ended = match from {
            None => Trainer::new(&mut *port, &mut desk, &mut watcher, &mut ledger).train(),
            Some(Left { standing, state, memory, .. }) => {
                load(&mut *port, &state[..]).unwrap();
                desk.world.memory = memory;
                Trainer::new(&mut *port, &mut desk, &mut watcher, &mut ledger).go_on(standing)
            }
        };
        let Journal { rows, said } = JOURNAL.take();
        let Watcher { scores, snapshots, events, left, .. } = watcher;
        match ended {
            Ok(()) => {}
            Err(Stop::Interrupted) => {
                let (standing, state) = left.expect("set where it is left");
                let memory = desk.world.memory.as_ref().map(stored);
                let left = Left { standing, state, memory, rows, scores, events };
                return Ok(End::Left(Box::new(left)));
            }
            Err(Stop::Fault(fault)) => return Err(fault.message),
        }
        let (memory, state) = (desk.world.memory, desk.saved);
        Ok(End::Ran(Box::new(Ran { rows, said, memory, state, scores, snapshots, events })))
    }
}

/// The memory as a checkpoint brings it back.
fn stored(memory: &ReplayMemory) -> ReplayMemory {
    let head = serde_json::to_string(&memory.head()).unwrap();
    let lists = memory.sections().into_iter().map(|(name, bytes)| (name, bytes.to_vec()));
    let head = serde_json::from_str(&head).unwrap();
    ReplayMemory::from_sections(&head, lists.collect()).unwrap()
}

fn open<T: Toy>(create: &CreateMsg) -> Box<dyn LearnerPort> {
    Box::new(in_process(root_of::<Learner<T>>(), create, &mut NoServices).unwrap())
}

/// Sample `i` is of class `i % 6`; its first pixel is `i`, all others are at least 1.
fn images(count: u32) -> Dataset {
    let shape = ImageShape { channels: 1, height: 4, width: 4 };
    let image = |i: u32| (0..16).map(move |p| if p == 0 { i as u8 } else { (100 + p) as u8 });
    let labels = (0..count).map(|i| i % CLASSES).collect();
    Dataset { images: (0..count).flat_map(image).collect(), labels, shape, classes: 6 }
}

/// Class of a training or test sample.
pub fn class_of(uid: u64) -> u32 {
    uid as u32 % CLASSES
}

/// Experience of a training or test sample.
pub fn experience_of(uid: u64) -> u32 {
    class_of(uid) / 2
}

/// Training samples of an experience.
pub fn uids_of(experience: u32) -> Vec<u64> {
    (0..3 * SAMPLES as u64).filter(|&uid| experience_of(uid) == experience).collect()
}

/// How a run ended that was to be left somewhere.
pub enum End {
    /// It was over before.
    Ran(Box<Ran>),
    Left(Box<Left>),
}

/// A run that was left, as a checkpoint has it; and what had been seen until then.
#[derive(Clone)]
pub struct Left {
    standing: Standing,
    state: Vec<u8>,
    memory: Option<ReplayMemory>,
    pub rows: Vec<(String, Seen)>,
    pub scores: Vec<(After, Vec<ViewPredictions>)>,
    pub events: Vec<(u64, EventMsg)>,
}

/// What a run left behind.
pub struct Ran {
    pub rows: Vec<(String, Seen)>,
    said: Vec<(String, String)>,
    pub memory: Option<ReplayMemory>,
    /// The learner's state at the end.
    pub state: Vec<u8>,
    pub scores: Vec<(After, Vec<ViewPredictions>)>,
    /// Steps after which snapshots were due.
    pub snapshots: Vec<u64>,
    pub events: Vec<(u64, EventMsg)>,
}

impl Ran {
    pub fn rows(&self, what: &str) -> Vec<&Seen> {
        self.rows.iter().filter(|(name, _)| name == what).map(|(_, seen)| seen).collect()
    }

    pub fn said(&self, what: &str) -> Vec<&str> {
        self.said.iter().filter(|(name, _)| name == what).map(|(_, text)| text.as_str()).collect()
    }

    /// Samples of the memory at the end, by slot.
    pub fn held(&self) -> Vec<u64> {
        let memory = self.memory.as_ref().unwrap();
        (0..memory.len() as u32).map(|slot| memory.uid(slot)).collect()
    }
}

/// Scores as the recorder does, and keeps events.
struct Watcher {
    scorer: Scorer,
    scoring: fn(&CreateMsg) -> Box<dyn LearnerPort>,
    scores: Vec<(After, Vec<ViewPredictions>)>,
    snapshots: Vec<u64>,
    events: Vec<(u64, EventMsg)>,
    leave_at: usize,
    points: usize,
    /// What a checkpoint would hold, where the run was left.
    left: Option<(Standing, Vec<u8>)>,
}

impl Observer for Watcher {
    fn point(
        &mut self,
        point: &Point<'_>,
        port: &mut dyn LearnerPort,
        desk: &mut Desk,
        ledger: &mut Ledger,
    ) -> Result<(), Stop> {
        let leave = self.points == self.leave_at;
        self.points += 1;
        if point.score == Score::Snapshot && !leave {
            self.snapshots.push(desk.world.place.step);
        }
        if !leave && point.score.row().is_none() {
            return Ok(());
        }
        desk.saved.clear();
        port.call(Op::SAVE, &MessageBuf::new(), desk, &mut MessageBuf::new()).unwrap();
        if leave {
            let standing = serde_json::to_string(&point.standing(&desk.world)).unwrap();
            self.left = Some((serde_json::from_str(&standing).unwrap(), desk.saved.clone()));
            return Err(Stop::Interrupted);
        }
        let after = point.score.row().expect("or it was left");
        let mut open = |create: &CreateMsg| Ok((self.scoring)(create));
        let interrupt = &Interrupt::never();
        let around = Around { open: &mut open, look: &mut |_| {}, interrupt, ledger };
        let scored = self.scorer.score(&desk.saved, after, around).unwrap();
        self.scores.push((after, scored));
        Ok(())
    }
    fn experience_begun(&mut self, _: &Place, _: u64) {}
    fn experience_ended(&mut self, _: &Place, _: u64, _: f64) {}
    fn epoch_ended(&mut self, _: &Place, _: u64, _: BTreeMap<String, f64>) {}
    fn learner_event(&mut self, place: &Place, event: EventMsg) {
        self.events.push((place.step, event));
    }
    fn step_ended(&mut self, _: &Place, _: &BTreeMap<String, f64>) {}
}
