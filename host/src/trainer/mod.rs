//! The training loop: stream -> step -> learner -> report. It knows no method by name.
//!
//! ```text
//! execute: plan -> benchmark, learner, Desk -> train -> summary
//! train:   for each experience: begin, { batch, draws -> observe -> apply }, end, save -> Scorer
//!          (without boundaries: begin once, save -> Scorer after every so many steps)
//! ```

mod declaration;
mod execute;
mod growth;
mod ledger;
mod recorder;
mod report;
mod rows;
mod services;
mod world;

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{EpochSource, EventMsg, ExperienceMsg, SeedMsg};
use perdura_abi::table::Op;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::rng::{call_seed, keyed, shuffle};
use crate::run::{After, Fault};
use crate::stream::epoch_order;
use crate::worker::{CallFault, LearnerPort};

pub use declaration::check as check_declaration;
pub(crate) use execute::memory_of;
pub use execute::{ExecuteError, ExecuteOptions, context_of, declared, execute, execute_on};
pub use ledger::{Activity, Ledger};
pub use recorder::{Line, Progress};
pub use services::Desk;
pub use world::{Item, Place, World};

/// What the loop tells while it runs.
pub trait Observer {
    /// A point at which views are scored. The learner is not being called.
    fn score(
        &mut self,
        after: After,
        port: &mut dyn LearnerPort,
        desk: &mut Desk,
        ledger: &mut Ledger,
    ) -> Result<(), Box<Fault>>;
    fn experience_begun(&mut self, place: &Place, samples: u64);
    fn experience_ended(&mut self, place: &Place, steps: u64, seconds: f64);
    fn epoch_ended(&mut self, place: &Place, steps: u64, means: BTreeMap<String, f64>);
    /// Something the learner reported; `place.step` steps were done before it.
    fn learner_event(&mut self, place: &Place, event: EventMsg);
    /// Called after every step: must be cheap.
    fn step_ended(&mut self, place: &Place);
}

/// One learner on its way through the stream.
pub struct Trainer<'a> {
    pub port: &'a mut dyn LearnerPort,
    pub desk: &'a mut Desk,
    pub observer: &'a mut dyn Observer,
    pub ledger: &'a mut Ledger,
    /// Settings of the stream in force.
    pub epochs: u32,
    message: MessageBuf,
    reply: MessageBuf,
    calls: u64,
}

impl<'a> Trainer<'a> {
    pub fn new(
        port: &'a mut dyn LearnerPort,
        desk: &'a mut Desk,
        observer: &'a mut dyn Observer,
        ledger: &'a mut Ledger,
    ) -> Self {
        let epochs = desk.world.benchmark.epochs;
        let (message, reply) = (MessageBuf::new(), MessageBuf::new());
        Trainer { port, desk, observer, ledger, epochs, message, reply, calls: 0 }
    }

    /// Goes through the whole stream.
    pub fn train(&mut self) -> Result<(), Box<Fault>> {
        let boundaries = self.desk.world.grants.boundaries;
        let experiences = self.desk.world.benchmark.experiences.len();
        self.score(After::Initial)?;
        for experience in 0..experiences {
            self.enter(experience as u32);
            if boundaries || experience == 0 {
                self.boundary(Op::BEGIN_EXPERIENCE)?;
            }
            self.experience()?;
            if boundaries {
                self.desk.world.place.finished = Some(experience as u32);
                self.boundary(Op::END_EXPERIENCE)?;
            }
            self.desk.world.in_experience = false;
            let last = experience + 1 == experiences;
            if last {
                self.end_of_stream()?;
            }
            if boundaries {
                self.score(After::Experience(experience))?;
            } else if last {
                self.score(After::Step(self.desk.world.place.step))?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, experience: u32) {
        let world = &mut self.desk.world;
        world.in_experience = true;
        world.place.experience = experience;
        world.place.epochs = self.epochs;
        world.place.epoch = 0;
        if let Some(memory) = &mut world.memory
            && world.grants.boundaries
        {
            memory.mark_boundary();
        }
    }

    fn experience(&mut self) -> Result<(), Box<Fault>> {
        let world = &self.desk.world;
        let (place, index) = (world.place, world.place.experience as usize);
        let samples = world.benchmark.experiences[index].train.len() as u64;
        self.observer.experience_begun(&place, samples);
        let (begun, from) = (Instant::now(), place.step);
        for epoch in 0..self.epochs {
            self.epoch(epoch)?;
        }
        let place = self.desk.world.place;
        self.observer.experience_ended(&place, place.step - from, begun.elapsed().as_secs_f64());
        Ok(())
    }

    fn epoch(&mut self, epoch: u32) -> Result<(), Box<Fault>> {
        let order = self.ledger.time(Activity::Stream, || self.desk.world.epoch_items(epoch));
        let batches: Vec<&[Item]> = self.desk.world.benchmark.batches(&order);
        let world = &mut self.desk.world;
        world.epoch_over_memory = order.iter().any(|item| item.slot().is_some());
        (world.place.epoch, world.place.steps_per_epoch) = (epoch, batches.len() as u64);
        let mut sums: BTreeMap<String, (f64, u64)> = BTreeMap::new();
        for (number, items) in batches.iter().enumerate() {
            self.desk.world.place.step_in_epoch = number as u64;
            self.score_if_due()?;
            for (name, value) in self.step(items)? {
                let sum = sums.entry(name).or_default();
                (sum.0, sum.1) = (sum.0 + value, sum.1 + 1);
            }
        }
        self.desk.world.epoch_over_memory = false;
        let means = sums.into_iter().map(|(name, (sum, n))| (name, sum / n as f64)).collect();
        self.observer.epoch_ended(&self.desk.world.place, batches.len() as u64, means);
        Ok(())
    }

    fn step(&mut self, items: &[Item]) -> Result<BTreeMap<String, f64>, Box<Fault>> {
        let Trainer { desk, ledger, message, .. } = self;
        let world = &mut desk.world;
        world.batch.clear();
        world.batch.extend_from_slice(items);
        ledger.time(Activity::Replay, || world.insert_before_draws());
        ledger.time(Activity::Stream, || world.write_step(message));
        self.call(Op::OBSERVE, Activity::Learner)?;
        let Trainer { desk, ledger, reply, .. } = self;
        let world = &mut desk.world;
        let applied = ledger.time(Activity::Replay, || world.apply(reply));
        let applied = applied.map_err(|problem| self.fault(Op::OBSERVE, "report", problem))?;
        let place = &mut self.desk.world.place;
        applied.events.into_iter().for_each(|event| self.observer.learner_event(place, event));
        place.step += 1;
        self.observer.step_ended(place);
        // Between steps there is no current batch to draw from.
        self.desk.world.batch.clear();
        Ok(applied.scalars)
    }

    fn boundary(&mut self, op: Op) -> Result<(), Box<Fault>> {
        let header = self.desk.world.experience_message(self.calls);
        self.calls += 1;
        self.message.clear();
        self.message.set_header(&header);
        self.call(op, Activity::Boundary)
    }

    fn end_of_stream(&mut self) -> Result<(), Box<Fault>> {
        let seed = call_seed(self.desk.world.seed, "boundary", self.calls);
        self.calls += 1;
        self.message.clear();
        self.message.set_header(&SeedMsg { seed });
        self.call(Op::END_OF_STREAM, Activity::Boundary)
    }

    /// Where boundaries are hidden, scores come at fixed steps: at a boundary they would tell it. The
    /// step after which the stream ends is scored once, at its end.
    fn score_if_due(&mut self) -> Result<(), Box<Fault>> {
        let world = &self.desk.world;
        let step = world.place.step;
        match world.benchmark.score_every {
            Some(every) if step > 0 && step.is_multiple_of(every) => self.score(After::Step(step)),
            _ => Ok(()),
        }
    }

    fn score(&mut self, after: After) -> Result<(), Box<Fault>> {
        self.observer.score(after, self.port, self.desk, self.ledger)
    }

    fn call(&mut self, op: Op, activity: Activity) -> Result<(), Box<Fault>> {
        let Trainer { port, desk, ledger, message, reply, .. } = self;
        let outcome = ledger.time(activity, || port.call(op, message, *desk, reply));
        self.desk.world.iterations.clear();
        for event in self.desk.events.drain(..) {
            self.observer.learner_event(&self.desk.world.place, event);
        }
        outcome.map_err(|fault| fault_of(&self.desk.world, op, fault))
    }

    fn fault(&self, op: Op, kind: &str, message: String) -> Box<Fault> {
        let step = (op == Op::OBSERVE).then_some(self.desk.world.place.step);
        let (call, kind) = (op.name().into(), kind.into());
        Box::new(Fault { step, call, kind, message, ..Fault::default() })
    }
}

/// A failed call as it is kept with the run.
pub fn fault_of(world: &World, op: Op, fault: CallFault) -> Box<Fault> {
    let step = (op == Op::OBSERVE).then_some(world.place.step);
    stored_fault(step, fault)
}

/// A failed call as it is kept with the run, of a known step.
pub fn stored_fault(step: Option<u64>, fault: CallFault) -> Box<Fault> {
    let CallFault { kind, call, message, location, last_log } = fault;
    let location = location.map(String::from);
    Box::new(Fault { step, call, kind: kind.to_string(), message, location, last_log })
}

impl World {
    /// What an epoch goes over, in order.
    fn epoch_items(&self, epoch: u32) -> Vec<Item> {
        let experience = self.place.experience;
        let train = |index| Item::Train { experience, index };
        let own = epoch_order(&self.benchmark, experience as usize, epoch, self.seed);
        let mut items: Vec<Item> = own.into_iter().map(train).collect();
        if self.declaration.wishes.epoch_source == EpochSource::ExperienceAndMemory
            && let Some(memory) = &self.memory
        {
            items.extend((0..memory.len() as u32).map(Item::Slot));
            let key = [u64::from(experience), u64::from(epoch)];
            shuffle(&mut keyed(self.seed, "epoch-order/with-memory", &key), &mut items);
        }
        items
    }

    fn write_step(&self, message: &mut MessageBuf) {
        message.clear();
        let current = self.push_current(message);
        let mut draws = Vec::new();
        for (index, request) in self.declaration.requests.iter().enumerate() {
            draws.extend(self.push_draws(message, index as u32, request, "step", self.place.step));
        }
        message.set_header(&self.step_header(current, draws));
    }

    fn experience_message(&self, call: u64) -> ExperienceMsg {
        let seed = call_seed(self.seed, "boundary", call);
        let experience = &self.benchmark.experiences[self.place.experience as usize];
        let told = self.grants.boundaries;
        ExperienceMsg {
            seed,
            index: told.then_some(self.place.experience),
            classes: self.grants.experience_classes.then(|| experience.classes.clone()),
            samples: told.then_some(experience.train.len() as u64),
            epochs: told.then_some(self.benchmark.epochs),
            steps_per_epoch: told.then(|| self.steps_per_epoch()),
            memory_samples_max: self.memory.as_ref().map(|m| m.capacity_samples() as u64),
        }
    }

    /// Steps of an epoch that would begin now.
    fn steps_per_epoch(&self) -> u64 {
        let experience = self.place.experience as usize;
        let own = self.benchmark.experiences[experience].train.len();
        let held = match (self.declaration.wishes.epoch_source, &self.memory) {
            (EpochSource::ExperienceAndMemory, Some(memory)) => memory.len(),
            _ => return self.benchmark.steps_per_epoch(experience),
        };
        let (samples, batch) = ((own + held) as u64, u64::from(self.benchmark.batch));
        if self.benchmark.drop_last { samples / batch } else { samples.div_ceil(batch) }
    }
}
