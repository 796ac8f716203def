//! The training loop: stream -> step -> learner -> report. It knows no method by name.
//!
//! ```text
//! execute: plan -> benchmark, learner, Desk, newest checkpoint -> train, or go on -> summary
//! train:   for each experience: begin, { point, batch, draws -> observe -> apply }, end, point
//!          (without boundaries: begin once)
//! point:   here the run can be left and taken up; views are scored where that is due
//! ```

mod compute;
mod declaration;
mod execute;
mod growth;
mod keeper;
mod ledger;
mod lines;
mod opener;
mod points;
mod recorder;
mod report;
mod results;
mod rows;
mod services;
mod snapshots;
mod standing;
mod window;
mod world;

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{EpochSource, EventMsg, ExperienceMsg, SeedMsg};
use perdura_abi::table::Op;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::rng::{call_seed, keyed, shuffle};
use crate::run::{After, Fault};
use crate::stream::epoch_order;
use crate::worker::{CallFault, CallTimes, LearnerPort};
use report::Unsound;
use standing::ExperienceSoFar;

pub use declaration::check as check_declaration;
pub(crate) use declaration::memory_of;
pub use execute::{Ended, ExecuteError, ExecuteOptions, context_of, declared, execute, execute_on};
pub use keeper::{Every, ParseEveryError};
pub use ledger::{Activity, Ledger};
pub use lines::{Line, Progress};
pub use services::Desk;
pub use standing::{EpochSoFar, Point, Score, Stage, Standing};
pub use world::{Item, Place, World};

/// Why training does not go on.
#[derive(Debug)]
pub enum Stop {
    Fault(Box<Fault>),
    /// The run was asked to end, and can be taken up.
    Interrupted,
}

impl From<Box<Fault>> for Stop {
    fn from(fault: Box<Fault>) -> Stop {
        Stop::Fault(fault)
    }
}

/// What the loop tells while it runs.
pub trait Observer {
    /// A point at which the run can be left and taken up, and at which views may have to be scored. The learner
    /// is not being called. Called before every step: must be cheap where nothing is due.
    fn point(
        &mut self,
        point: &Point<'_>,
        port: &mut dyn LearnerPort,
        desk: &mut Desk,
        ledger: &mut Ledger,
    ) -> Result<(), Stop>;
    fn experience_begun(&mut self, place: &Place, samples: u64);
    fn experience_ended(&mut self, place: &Place, steps: u64, seconds: f64);
    fn epoch_ended(&mut self, place: &Place, steps: u64, means: BTreeMap<String, f64>);
    /// Something the learner reported; `place.step` steps were done before it.
    fn learner_event(&mut self, place: &Place, event: EventMsg);
    /// Called after every step with what the learner reported of it: must be cheap.
    fn step_ended(&mut self, place: &Place, scalars: &BTreeMap<String, f64>);
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
    epoch: EpochSoFar,
    experience: ExperienceSoFar,
}

impl<'a> Trainer<'a> {
    pub fn new(
        port: &'a mut dyn LearnerPort,
        desk: &'a mut Desk,
        observer: &'a mut dyn Observer,
        ledger: &'a mut Ledger,
    ) -> Self {
        Trainer {
            epochs: desk.world.benchmark.epochs,
            port,
            desk,
            observer,
            ledger,
            message: MessageBuf::new(),
            reply: MessageBuf::new(),
            calls: 0,
            epoch: EpochSoFar::default(),
            experience: ExperienceSoFar::new(0, 0.0),
        }
    }

    /// Goes through the whole stream.
    pub fn train(&mut self) -> Result<(), Stop> {
        self.point(Stage::Start, Score::Row(After::Initial))?;
        self.experiences(0)
    }

    /// Goes through the rest of the stream, from where a checkpoint was taken: the learner and the memory are
    /// those of that moment.
    pub fn go_on(&mut self, standing: Standing) -> Result<(), Stop> {
        let Standing { stage, place, calls, host_draws, epoch, .. } = standing;
        (self.calls, self.epoch) = (calls, epoch);
        let (steps, seconds) = (standing.experience_steps_before, standing.experience_seconds);
        self.experience = ExperienceSoFar::new(steps, seconds);
        let world = &mut self.desk.world;
        (world.place, world.host_draws) = (place, host_draws);
        match stage {
            Stage::Start => return self.train(),
            Stage::Step => {
                world.in_experience = true;
                self.rest_of_epoch(place.epoch, place.step_in_epoch)?;
                self.rest_of_experience(place.epoch + 1)?;
                self.leave(place.experience)?;
            }
            Stage::Ended => self.score_at_end(place.experience)?,
        }
        self.experiences(place.experience + 1)
    }

    /// All experiences from this one on.
    fn experiences(&mut self, first: u32) -> Result<(), Stop> {
        for experience in first..self.desk.world.benchmark.experiences.len() as u32 {
            self.enter(experience)?;
            self.rest_of_experience(0)?;
            self.leave(experience)?;
        }
        Ok(())
    }

    fn enter(&mut self, experience: u32) -> Result<(), Stop> {
        let world = &mut self.desk.world;
        world.in_experience = true;
        world.place.experience = experience;
        world.place.epochs = self.epochs;
        world.place.epoch = 0;
        let boundaries = world.grants.boundaries;
        if let Some(memory) = &mut world.memory
            && boundaries
        {
            memory.mark_boundary();
        }
        if boundaries || experience == 0 {
            self.boundary(Op::BEGIN_EXPERIENCE)?;
        }
        let world = &self.desk.world;
        let samples = world.benchmark.experiences[experience as usize].train.len() as u64;
        self.observer.experience_begun(&world.place, samples);
        self.experience = ExperienceSoFar::new(world.place.step, 0.0);
        Ok(())
    }

    /// The epochs from this one on.
    fn rest_of_experience(&mut self, first: u32) -> Result<(), Stop> {
        for epoch in first..self.epochs {
            self.epoch =
                EpochSoFar { slots: self.desk.world.epoch_slots(), ..EpochSoFar::default() };
            self.rest_of_epoch(epoch, 0)?;
        }
        let (place, seconds) = (self.desk.world.place, self.experience.seconds());
        let steps = place.step - self.experience.steps_before;
        self.observer.experience_ended(&place, steps, seconds);
        Ok(())
    }

    fn leave(&mut self, experience: u32) -> Result<(), Stop> {
        if self.desk.world.grants.boundaries {
            self.desk.world.place.finished = Some(experience);
            self.boundary(Op::END_EXPERIENCE)?;
        }
        self.desk.world.in_experience = false;
        if self.is_last(experience) {
            self.end_of_stream()?;
        }
        self.score_at_end(experience)
    }

    /// Where boundaries are hidden only the end of the last experience is one.
    fn score_at_end(&mut self, experience: u32) -> Result<(), Stop> {
        let after = match self.desk.world.grants.boundaries {
            true => After::Experience(experience as usize),
            false if self.is_last(experience) => After::Step(self.desk.world.place.step),
            false => return Ok(()),
        };
        self.point(Stage::Ended, Score::Row(after))
    }

    fn is_last(&self, experience: u32) -> bool {
        experience as usize + 1 == self.desk.world.benchmark.experiences.len()
    }

    /// The steps of an epoch from this one on.
    fn rest_of_epoch(&mut self, epoch: u32, first: u64) -> Result<(), Stop> {
        let slots = self.epoch.slots;
        let world = &self.desk.world;
        let order = self.ledger.time(Activity::Stream, || world.epoch_items(epoch, slots));
        let benchmark = world.benchmark.clone();
        let batches: Vec<&[Item]> = benchmark.batches(&order);
        let world = &mut self.desk.world;
        world.epoch_over_memory = slots > 0;
        (world.place.epoch, world.place.steps_per_epoch) = (epoch, batches.len() as u64);
        for (number, items) in batches.iter().enumerate().skip(first as usize) {
            self.desk.world.place.step_in_epoch = number as u64;
            self.point(Stage::Step, self.score_due())?;
            for (name, value) in self.step(items)? {
                self.epoch.sums.entry(name).or_default().add(value);
            }
        }
        self.desk.world.epoch_over_memory = false;
        let sums = std::mem::take(&mut self.epoch.sums);
        let means = sums.into_iter().map(|(name, sum)| (name, sum.mean())).collect();
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
        ledger.shift(Activity::Stream, Activity::Augment, world.augmented.take());
        self.call(Op::OBSERVE, Activity::Learner)?;
        let Trainer { desk, ledger, reply, .. } = self;
        let world = &mut desk.world;
        let applied = ledger.time(Activity::Replay, || world.apply(reply));
        let applied = applied.map_err(|unsound| self.report_fault(unsound))?;
        self.ledger.tell(&applied.spent);
        let place = &mut self.desk.world.place;
        applied.events.into_iter().for_each(|event| self.observer.learner_event(place, event));
        place.step += 1;
        self.observer.step_ended(place, &applied.scalars);
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

    /// Besides scores at boundaries there are some at fixed steps. Where boundaries are hidden they are all
    /// there is: at a boundary they would tell it. The step after which an experience or the stream
    /// ends is scored once, at that end.
    fn score_due(&self) -> Score {
        let world = &self.desk.world;
        let step = world.place.step;
        let due = world.benchmark.score_every.is_some_and(|every| step.is_multiple_of(every));
        match (due, world.grants.boundaries) {
            (true, true) if step > self.experience.steps_before => Score::Snapshot,
            (true, false) if step > 0 => Score::Row(After::Step(step)),
            _ => Score::Nothing,
        }
    }

    fn point(&mut self, stage: Stage, score: Score) -> Result<(), Stop> {
        let Trainer { calls, epoch, experience, .. } = self;
        let point = Point { stage, score, calls: *calls, epoch, experience };
        self.observer.point(&point, self.port, self.desk, self.ledger)
    }

    fn call(&mut self, op: Op, activity: Activity) -> Result<(), Box<Fault>> {
        let Trainer { port, desk, ledger, message, reply, .. } = self;
        let began = Instant::now();
        let outcome = port.call(op, message, *desk, reply);
        let (waited, CallTimes { worker, services }) = (began.elapsed(), port.times());
        ledger.spend(activity, waited);
        ledger.shift(activity, Activity::Stream, services);
        ledger.shift(Activity::Stream, Activity::Augment, desk.world.augmented.take());
        if let (Activity::Learner, Some(worker)) = (activity, worker) {
            ledger.shift(activity, Activity::HandOver, waited.saturating_sub(worker));
        }
        self.desk.world.iterations.clear();
        for event in self.desk.events.drain(..) {
            self.observer.learner_event(&self.desk.world.place, event);
        }
        outcome.map_err(|fault| fault_of(&self.desk.world, op, fault))
    }

    fn report_fault(&self, Unsound { code, problem }: Unsound) -> Box<Fault> {
        let step = Some(self.desk.world.place.step);
        Box::new(Fault { step, ..Fault::new(code, Op::OBSERVE.name(), "report", problem) })
    }
}

/// A failed call as it is kept with the run.
pub fn fault_of(world: &World, op: Op, fault: CallFault) -> Box<Fault> {
    let step = (op == Op::OBSERVE).then_some(world.place.step);
    stored_fault(step, fault)
}

/// A failed call as it is kept with the run, of a known step.
pub fn stored_fault(step: Option<u64>, fault: CallFault) -> Box<Fault> {
    Box::new(Fault::of_call(step, fault))
}

impl World {
    /// Slots of the memory that an epoch would go over if it began now.
    fn epoch_slots(&self) -> u32 {
        match (self.declaration.wishes.epoch_source, &self.memory) {
            (EpochSource::ExperienceAndMemory, Some(memory)) => memory.len() as u32,
            _ => 0,
        }
    }

    /// What an epoch goes over, in order: the experience, and the first so many slots of the memory.
    fn epoch_items(&self, epoch: u32, slots: u32) -> Vec<Item> {
        let experience = self.place.experience;
        let train = |index| Item::Train { experience, index };
        let own = epoch_order(&self.benchmark, experience as usize, epoch, self.seed);
        let mut items: Vec<Item> = own.into_iter().map(train).collect();
        if self.declaration.wishes.epoch_source == EpochSource::ExperienceAndMemory
            && self.memory.is_some()
        {
            items.extend((0..slots).map(Item::Slot));
            let key = [u64::from(experience), u64::from(epoch)];
            shuffle(&mut keyed(self.seed, "epoch-order/with-memory", &key), &mut items);
        }
        items
    }

    /// The message of a step with the current batch.
    pub(crate) fn write_step(&self, message: &mut MessageBuf) {
        message.clear();
        let current = self.push_current(message);
        let mut draws = Vec::new();
        for (index, request) in self.declaration.requests.iter().enumerate() {
            draws.extend(self.push_draws(message, index as u32, request, "step", self.place.step));
        }
        message.set_header(&self.step_header(current, draws));
    }

    /// What a learner is told at a boundary; `call` counts such calls.
    pub(crate) fn experience_message(&self, call: u64) -> ExperienceMsg {
        let seed = call_seed(self.seed, "boundary", call);
        let experience = &self.benchmark.experiences[self.place.experience as usize];
        let told = self.grants.boundaries;
        ExperienceMsg {
            seed,
            index: told.then_some(self.place.experience),
            classes: self.grants.experience_classes.then(|| experience.classes.clone()),
            samples: told.then_some(experience.train.len() as u64),
            epochs: told.then_some(self.benchmark.epochs),
            batch: told.then_some(self.benchmark.batch),
            steps_per_epoch: told.then(|| self.steps_per_epoch()),
            memory_samples_max: self.memory.as_ref().map(|m| m.capacity_samples() as u64),
        }
    }

    /// Steps of an epoch that would begin now.
    fn steps_per_epoch(&self) -> u64 {
        let experience = self.place.experience as usize;
        let own = self.benchmark.experiences[experience].train.len();
        let held = match self.declaration.wishes.epoch_source {
            EpochSource::ExperienceAndMemory if self.memory.is_some() => self.epoch_slots(),
            _ => return self.benchmark.steps_per_epoch(experience),
        };
        let (samples, batch) = (own as u64 + u64::from(held), u64::from(self.benchmark.batch));
        if self.benchmark.drop_last { samples / batch } else { samples.div_ceil(batch) }
    }
}
