//! Writes samples into messages: gathered, augmented, normalised. Chance is keyed by the run seed, the name of
//! what is made, and counters; never by the learner.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{
    ColumnRowsMsg, DrawMsg, Position, Profile, Request, RowsMsg, Source, StepMsg,
};

use std::time::Instant;

use super::world::{Item, World};
use crate::memory::Candidates;
use crate::rng::{call_seed, keyed};

/// What is delivered of each sample.
pub struct Wanted<'a> {
    pub profile: Profile,
    pub views: usize,
    pub raw: bool,
    pub labels: bool,
    pub columns: &'a [String],
}

/// Key of a stream of chance: a draw uses `(purpose, [a, b])`, the augmentation of its view `v`
/// `(purpose, [a, b, v])`.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub purpose: &'a str,
    pub numbers: [u64; 2],
}

impl World {
    /// Appends samples to a message.
    pub fn push_rows(
        &self,
        message: &mut MessageBuf,
        items: &[Item],
        wanted: &Wanted<'_>,
        key: Key<'_>,
    ) -> RowsMsg {
        let count = items.len();
        let mut rows = RowsMsg { count, ..RowsMsg::default() };
        self.push_columns(message, items, wanted.columns, &mut rows);
        if count == 0 {
            return rows;
        }
        let shape: Vec<usize> =
            std::iter::once(count).chain(self.benchmark.input_shape()).collect();
        let width = shape[1..].iter().product();
        for view in 0..wanted.views {
            let [a, b] = key.numbers;
            let mut rng = keyed(self.seed, key.purpose, &[a, b, view as u64]);
            let mut transform = self.benchmark.pixels.transform(wanted.profile, view);
            let began = transform.is_random().then(Instant::now);
            let id = message.push_with(&shape, |out: &mut [f32]| {
                for (&item, out) in items.iter().zip(out.chunks_exact_mut(width)) {
                    self.with_image(item, |image| transform.apply(image, out, &mut rng));
                }
            });
            rows.views.push(id);
            if let Some(began) = began {
                self.augmented.set(self.augmented.get() + began.elapsed());
            }
        }
        if wanted.raw {
            rows.raw = Some(message.push_with(&shape, |out: &mut [u8]| {
                for (&item, out) in items.iter().zip(out.chunks_exact_mut(width)) {
                    self.with_image(item, |image| out.copy_from_slice(image));
                }
            }));
        }
        if wanted.labels {
            rows.labels = Some(push_each(message, items, |item| self.label(item)));
        }
        rows.uids = Some(push_each(message, items, |item| self.uid(item)));
        if self.grants.boundaries {
            rows.experiences = Some(push_each(message, items, |item| self.experience(item)));
        }
        self.push_places(message, items, &mut rows);
        rows
    }

    /// Slots and groups, where all samples are in the memory.
    fn push_places(&self, message: &mut MessageBuf, items: &[Item], rows: &mut RowsMsg) {
        let Some(memory) = &self.memory else { return };
        let slots = items.iter().map(|item| item.slot()).collect::<Option<Vec<u32>>>();
        let Some(slots) = slots else { return };
        let groups: Vec<u32> = slots.iter().map(|&s| memory.group(s)).collect();
        rows.slots = Some(message.push(&[slots.len()], &slots));
        rows.groups = Some(message.push(&[groups.len()], &groups));
    }

    /// Requested columns; absent for samples that are not from the memory.
    fn push_columns(
        &self,
        message: &mut MessageBuf,
        items: &[Item],
        columns: &[String],
        rows: &mut RowsMsg,
    ) {
        let checked = "requested columns were checked against the declaration";
        for name in columns {
            let declared = self.declaration.columns.iter().find(|c| c.name == *name);
            let width = declared.expect(checked).width;
            let (mut values, mut present) = (Vec::new(), Vec::new());
            for item in items {
                match (&self.memory, item.slot()) {
                    (Some(memory), Some(slot)) => memory
                        .gather_column(name, &[slot], &mut values, &mut present)
                        .expect(checked),
                    _ => {
                        values.resize(values.len() + width, 0.0);
                        present.push(0);
                    }
                }
            }
            let values = message.push(&[items.len(), width], &values);
            let present = message.push(&[present.len()], &present);
            rows.columns.push(ColumnRowsMsg { name: name.clone(), values, present });
        }
    }

    /// The samples that a request draws from the memory.
    fn candidates(&self, request: &Request) -> Candidates {
        match &self.memory {
            Some(memory) if request.source != Source::Current => {
                memory.select(request.filter, self.now())
            }
            _ => Candidates::All(0),
        }
    }

    /// The samples of one draw. Each key gives an independent one.
    fn draw_items(&self, request: &Request, candidates: &Candidates, key: Key<'_>) -> Vec<Item> {
        let mut slots = Vec::new();
        if let Some(memory) = &self.memory {
            let mut rng = keyed(self.seed, key.purpose, &key.numbers);
            memory.draw(candidates, request.count, request.replacement, &mut rng, &mut slots);
        }
        let current = match request.source {
            Source::Current => true,
            Source::CurrentOrMemory => slots.is_empty(),
            _ => false,
        };
        match current {
            true => self.batch.iter().copied().take(request.count).collect(),
            false => slots.into_iter().map(Item::Slot).collect(),
        }
    }

    /// All draws of a request, appended to a message. `number` counts steps or host calls.
    pub fn push_draws(
        &self,
        message: &mut MessageBuf,
        index: u32,
        request: &Request,
        kind: &str,
        number: u64,
    ) -> Vec<DrawMsg> {
        let draw = format!("{kind}/draw/{}", request.name);
        let augment = format!("{kind}/augment/{}", request.name);
        let wanted = Wanted {
            profile: request.profile,
            views: request.views,
            raw: request.raw,
            labels: true,
            columns: &request.columns,
        };
        // Nothing enters or leaves the memory between the draws of one request.
        let candidates = self.candidates(request);
        let mut draws = Vec::with_capacity(request.repeats);
        for repeat in 0..request.repeats as u32 {
            let numbers = [number, u64::from(repeat)];
            let items = self.draw_items(request, &candidates, Key { purpose: &draw, numbers });
            let key = Key { purpose: &augment, numbers };
            let rows = self.push_rows(message, &items, &wanted, key);
            draws.push(DrawMsg { request: index, repeat, rows });
        }
        draws
    }

    /// The current batch with nothing else, for the start of a step.
    pub fn push_current(&self, message: &mut MessageBuf) -> RowsMsg {
        let raw = self.declaration.raw_inputs;
        let stored = self.batch.iter().filter_map(|item| match *item {
            Item::Train { index, .. } => Some(index),
            Item::Slot(_) => None,
        });
        self.benchmark.fetch(stored);
        let wanted = Wanted { profile: Profile::Train, views: 1, raw, labels: true, columns: &[] };
        let key = Key { purpose: "step/augment/current", numbers: [self.place.step, 0] };
        self.push_rows(message, &self.batch, &wanted, key)
    }

    /// The header of a step, once its rows are in the message.
    pub fn step_header(&self, current: RowsMsg, draws: Vec<DrawMsg>) -> StepMsg {
        let place = self.place;
        let position = self.grants.boundaries.then_some(Position {
            experience: place.experience,
            epoch: place.epoch,
            epochs: place.epochs,
            step_in_epoch: place.step_in_epoch,
            steps_per_epoch: place.steps_per_epoch,
        });
        let seed = call_seed(self.seed, "observe", place.step);
        StepMsg { seed, step: place.step, position, current, draws }
    }
}

fn push_each<T: perdura_abi::Element>(
    message: &mut MessageBuf,
    items: &[Item],
    value: impl Fn(Item) -> T,
) -> perdura_abi::message::TensorId {
    message.push_with(&[items.len()], |out: &mut [T]| {
        for (&item, out) in items.iter().zip(out) {
            *out = value(item);
        }
    })
}
