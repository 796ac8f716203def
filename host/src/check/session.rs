//! A learner in a worker on its way through a toy stream: the calls of the trainer one by one, so that a
//! check can leave some out, change their order, or look at the learner in between. How views are asked is in
//! [`super::questions`].

use perdura_abi::MessageBuf;
use perdura_abi::message::{CreateMsg, InsertionPolicy, SeedMsg, StreamShape, View};
use perdura_abi::table::Op;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::evidence::Journal;
use super::finding::Finding;
use super::toy::{MEMORY_SAMPLES, Stage};
use super::trial::{Trial, Watched};
use crate::memory::{Capacity, ReplayMemory};
use crate::rng::call_seed;
use crate::score::load;
use crate::stream::{Benchmark, epoch_order};
use crate::trainer::{Desk, Item, World, check_declaration, declared};
use crate::worker::{CallFault, LearnerPort, NoServices, WorkerPort};

/// One thing the trainer does.
#[derive(Clone, Debug)]
pub enum Move {
    Begin(u32),
    Step { experience: u32, epoch: u32, number: u64, items: Vec<Item> },
    End(u32),
    Finish,
}

/// A learner and the host's side of its stream.
pub struct Session {
    port: WorkerPort,
    pub desk: Desk,
    /// The whole stream; what is trained on may be its union.
    pub benchmark: Arc<Benchmark>,
    pub create: CreateMsg,
    /// What steps report may make no sense.
    pub ignores_reports: bool,
    /// After every call, the memory that its message lay in is overwritten.
    pub scrubs: bool,
    pub(super) message: MessageBuf,
    pub reply: MessageBuf,
    calls: u64,
    worker: u32,
    journal: Arc<Mutex<Journal>>,
    watched: Arc<Mutex<Watched>>,
}

impl Session {
    pub(super) fn open(trial: &mut Trial<'_>, stage: Stage) -> Result<Session, Finding> {
        let benchmark = Arc::new(stage.benchmark());
        let create = trial.subject.create_message(&benchmark, stage.seed);
        let mut port = trial.spawn(&create)?;
        let declaration = declared(&mut port)?;
        let unsound = |problem: String| Finding::fail(problem).after("its declaration");
        check_declaration(&declaration, &benchmark, true).map_err(unsound)?;
        let grants = create.context.grants;
        let trained = match declaration.wishes.stream {
            StreamShape::Union => Arc::new(benchmark.union()),
            StreamShape::Experiences => benchmark.clone(),
        };
        let world = World::new(trained, stage.seed, grants, declaration, None);
        let worker = port.pid();
        trial.watched.lock().expect("no holder panics").workers.push(worker);
        let mut session = Session {
            port,
            desk: Desk {
                world,
                cancelled: Arc::default(),
                saved: Vec::new(),
                checkpoint: None,
                events: Vec::new(),
                log: Box::new(|_| {}),
            },
            benchmark,
            create,
            ignores_reports: false,
            scrubs: false,
            message: MessageBuf::new(),
            reply: MessageBuf::new(),
            calls: 0,
            worker,
            journal: trial.journal.clone(),
            watched: trial.watched.clone(),
        };
        session.empty_memory()?;
        Ok(session)
    }

    /// Number of the worker's process.
    pub fn pid(&self) -> u32 {
        self.worker
    }

    pub fn views(&self) -> Vec<View> {
        self.desk.world.declaration.views.clone()
    }

    /// Gives the learner a memory without samples, if it uses one.
    pub fn empty_memory(&mut self) -> Result<(), Finding> {
        let world = &mut self.desk.world;
        if !world.declaration.uses_the_memory() {
            return Ok(());
        }
        // A ring needs boundaries; a user chooses another policy there.
        let policy = match (world.grants.boundaries, world.declaration.wishes.policy) {
            (false, InsertionPolicy::Ring) => InsertionPolicy::Reservoir,
            (_, policy) => policy,
        };
        let width = self.benchmark.input_shape().iter().product();
        let capacity = Capacity::Samples(MEMORY_SAMPLES);
        let memory = ReplayMemory::new(capacity, width, &world.declaration.columns)
            .and_then(|memory| memory.with_policy(policy, self.benchmark.experiences.len()));
        world.memory = Some(memory.map_err(|e| Finding::fail(e.to_string()).after("its columns"))?);
        Ok(())
    }

    /// Everything the trainer would do, in order.
    pub fn moves(&self) -> Vec<Move> {
        let benchmark = &self.desk.world.benchmark;
        let mut moves = Vec::new();
        for experience in 0..benchmark.experiences.len() as u32 {
            moves.push(Move::Begin(experience));
            for epoch in 0..benchmark.epochs {
                let train = |index| Item::Train { experience, index };
                let seed = self.desk.world.seed;
                let order = epoch_order(benchmark, experience as usize, epoch, seed);
                let order: Vec<Item> = order.into_iter().map(train).collect();
                let batches = benchmark.batches(&order).into_iter().enumerate();
                moves.extend(batches.map(|(number, items)| {
                    let (number, items) = (number as u64, items.to_vec());
                    Move::Step { experience, epoch, number, items }
                }));
            }
            moves.push(Move::End(experience));
        }
        moves.push(Move::Finish);
        moves
    }

    /// The whole stream. Returns what the steps reported.
    pub fn train(&mut self) -> Result<Vec<BTreeMap<String, f64>>, Finding> {
        let moves = self.moves();
        self.follow(&moves)
    }

    /// Some moves. Returns what the steps among them reported.
    pub fn follow(&mut self, moves: &[Move]) -> Result<Vec<BTreeMap<String, f64>>, Finding> {
        let mut scalars = Vec::new();
        for one in moves {
            scalars.extend(self.make(one)?);
        }
        Ok(scalars)
    }

    /// Makes one move. What the scenario hides from the learner is not told; a boundary that it hides is
    /// no call.
    pub fn make(&mut self, what: &Move) -> Result<Option<BTreeMap<String, f64>>, Finding> {
        let boundaries = self.desk.world.grants.boundaries;
        match what {
            Move::Begin(experience) => {
                let world = &mut self.desk.world;
                world.in_experience = true;
                world.place.experience = *experience;
                world.place.epochs = world.benchmark.epochs;
                if let (true, Some(memory)) = (boundaries, &mut world.memory) {
                    memory.mark_boundary();
                }
                if boundaries || *experience == 0 {
                    self.boundary(Op::BEGIN_EXPERIENCE)?;
                }
            }
            Move::Step { experience, epoch, number, items } => {
                let world = &mut self.desk.world;
                world.place.experience = *experience;
                world.place.epoch = *epoch;
                world.place.step_in_epoch = *number;
                let samples = world.benchmark.steps_per_epoch(*experience as usize);
                world.place.steps_per_epoch = samples;
                return self.step(items).map(Some);
            }
            Move::End(experience) => {
                if boundaries {
                    self.desk.world.place.finished = Some(*experience);
                    self.boundary(Op::END_EXPERIENCE)?;
                }
                self.desk.world.in_experience = false;
            }
            Move::Finish => {
                let seed = call_seed(self.desk.world.seed, "boundary", self.calls);
                self.calls += 1;
                self.message.clear();
                self.message.set_header(&SeedMsg { seed });
                self.call(Op::END_OF_STREAM)?;
            }
        }
        Ok(None)
    }

    fn boundary(&mut self, op: Op) -> Result<(), Finding> {
        let header = self.desk.world.experience_message(self.calls);
        self.calls += 1;
        self.message.clear();
        self.message.set_header(&header);
        Ok(self.call(op)?)
    }

    /// One step with these samples.
    pub fn step(&mut self, items: &[Item]) -> Result<BTreeMap<String, f64>, Finding> {
        let message = self.step_message(items);
        self.send(Op::OBSERVE, &message)?;
        self.message = message;
        self.apply()
    }

    /// Takes in the report of the step that was just sent.
    pub fn apply(&mut self) -> Result<BTreeMap<String, f64>, Finding> {
        let world = &mut self.desk.world;
        let number = world.place.step;
        let mut applied = world.apply(&self.reply).map(|applied| applied.scalars);
        if applied.is_err() && self.ignores_reports {
            // The batch is offered to the memory even so.
            applied = world.apply(&MessageBuf::new()).map(|applied| applied.scalars);
        }
        world.place.step += 1;
        // Between steps there is no current batch to draw from.
        world.batch.clear();
        applied.map_err(|unsound| {
            Finding::fail(unsound.problem).after(format!("report of step {number}"))
        })
    }

    /// The message of a step with these samples, which are the current batch from now on.
    pub fn step_message(&mut self, items: &[Item]) -> MessageBuf {
        let world = &mut self.desk.world;
        world.batch = items.to_vec();
        world.insert_before_draws();
        let mut message = std::mem::take(&mut self.message);
        world.write_step(&mut message);
        message
    }

    /// A call with the message that was made last.
    pub(super) fn call(&mut self, op: Op) -> Result<(), CallFault> {
        let message = std::mem::take(&mut self.message);
        let outcome = self.send(op, &message);
        self.message = message;
        outcome
    }

    /// Any call with any message; the answer is in `reply`.
    pub fn send(&mut self, op: Op, message: &MessageBuf) -> Result<(), CallFault> {
        let outcome = self.port.call(op, message, &mut self.desk, &mut self.reply);
        self.record(op, message, &outcome);
        self.desk.world.iterations.clear();
        self.desk.events.clear();
        if self.scrubs && outcome.is_ok() {
            self.scrub()?;
        }
        outcome
    }

    fn record(&self, op: Op, message: &MessageBuf, outcome: &Result<(), CallFault>) {
        let mut journal = self.journal.lock().expect("no holder panics");
        journal.record(self.worker, op.name(), message, outcome.as_ref().map(|()| &self.reply));
    }

    /// Overwrites the shared memory of the last message, by a call whose message nobody reads.
    fn scrub(&mut self) -> Result<(), CallFault> {
        let mut garbage = MessageBuf::new();
        garbage.push(&[1 << 16], &[1.0e9f32; 1 << 16]);
        self.port.call(Op::DECLARE, &garbage, &mut NoServices, &mut MessageBuf::new())
    }

    /// The state as it is saved now.
    pub fn save(&mut self) -> Result<Vec<u8>, Finding> {
        self.desk.saved.clear();
        self.message.clear();
        self.call(Op::SAVE)?;
        Ok(std::mem::take(&mut self.desk.saved))
    }

    /// Has the learner load a state.
    pub fn load(&mut self, state: &[u8]) -> Result<(), CallFault> {
        let outcome = load(&mut self.port, state);
        self.record(Op::LOAD, &MessageBuf::new(), &outcome);
        outcome
    }

    /// Goes on with another worker, which has loaded this state; the host's side stays as it is.
    pub fn move_to_new_worker(
        &mut self,
        trial: &mut Trial<'_>,
        state: &[u8],
    ) -> Result<(), Finding> {
        self.restart(trial)?;
        Ok(self.load(state)?)
    }

    /// Goes on with a learner that is made anew.
    pub fn restart(&mut self, trial: &mut Trial<'_>) -> Result<(), Finding> {
        let port = trial.spawn(&self.create)?;
        let mut watched = self.watched.lock().expect("no holder panics");
        watched.workers.retain(|&pid| pid != self.worker);
        watched.workers.push(port.pid());
        drop(watched);
        self.worker = port.pid();
        self.port = port;
        Ok(())
    }

    /// Bytes that the learner says it holds, by kind.
    pub fn claimed(&mut self) -> Result<BTreeMap<String, u64>, Finding> {
        self.message.clear();
        self.call(Op::RESOURCES)?;
        let reply: perdura_abi::message::ResourcesReply =
            serde_json::from_slice(self.reply.header())
                .map_err(|e| Finding::fail(format!("the answer to `resources`: {e}")))?;
        Ok(reply.bytes)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Before the port reaps the worker: its number may be another's afterwards.
        let mut watched = self.watched.lock().expect("no holder panics");
        watched.workers.retain(|&pid| pid != self.worker);
    }
}
