//! What the host answers while the learner is being called.

use perdura_abi::Element;
use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{
    CancelledReply, DrawsMsg, EventMsg, IterateMsg, IterateReply, LogMsg, NextMsg, NextReply,
    RelabelMsg, ReplaceMsg, Request, Source, TensorId, ValidationMsg, ValidationReply,
    WriteColumnMsg,
};
use perdura_abi::table::{AbiError, ErrorKind, HostOp, Message};
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::declaration::profile_is_known;
use super::rows::{Key, Wanted};
use super::world::{Item, Iteration, World};
use crate::memory::SampleBuf;
use crate::rng::{keyed, shuffle};
use crate::run::CheckpointWriter;
use crate::worker::HostServices;

/// The world behind a desk at which the learner asks.
pub struct Desk {
    pub world: World,
    /// Set when the run is to end.
    pub cancelled: Arc<AtomicBool>,
    /// The state that the learner is saving.
    pub saved: Vec<u8>,
    /// Where it goes instead while a checkpoint is written.
    pub checkpoint: Option<CheckpointWriter>,
    /// Events of the call that is going on, in order.
    pub events: Vec<EventMsg>,
    /// Receives the learner's log records.
    pub log: Box<dyn FnMut(&LogMsg) + Send>,
}

impl HostServices for Desk {
    fn serve(
        &mut self,
        op: HostOp,
        message: Message<'_>,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        match op {
            HostOp::DRAW => self.draw(&parse(op, &message)?, answer),
            HostOp::ITERATE => self.iterate(parse(op, &message)?, answer),
            HostOp::NEXT => self.next(parse(op, &message)?, answer),
            HostOp::WRITE_COLUMN => {
                let header = parse(op, &message)?;
                self.world.write_column(&header, &message).map_err(refuse)
            }
            HostOp::RELABEL => self.relabel(&parse(op, &message)?, &message),
            HostOp::REPLACE => self.replace(parse(op, &message)?, &message),
            HostOp::VALIDATION_SCORE => {
                let accuracy = self.validation_score(parse(op, &message)?, &message)?;
                answer.set_header(&ValidationReply { accuracy });
                Ok(())
            }
            HostOp::CANCELLED => {
                let cancelled = self.cancelled.load(Ordering::Relaxed);
                answer.set_header(&CancelledReply { cancelled });
                Ok(())
            }
            HostOp::WRITE_STATE => {
                let piece = message.tensors.first().ok_or_else(|| refuse("no piece of state"))?;
                match &mut self.checkpoint {
                    Some(checkpoint) => checkpoint.put(piece.data.as_slice()),
                    None => self.saved.extend_from_slice(piece.data.as_slice()),
                }
                Ok(())
            }
            HostOp::REPORT_EVENT => {
                self.events.push(parse(op, &message)?);
                Ok(())
            }
            HostOp::LOG => {
                (self.log)(&parse(op, &message)?);
                Ok(())
            }
            _ => {
                let text = format!("the host does not offer `{}` in this call", op.name());
                Err(AbiError::new(ErrorKind::HOST, text))
            }
        }
    }
}

impl Desk {
    /// A desk before the first call.
    pub fn new(world: World, log: Box<dyn FnMut(&LogMsg) + Send>) -> Desk {
        Desk {
            world,
            cancelled: Arc::default(),
            saved: Vec::new(),
            checkpoint: None,
            events: Vec::new(),
            log,
        }
    }

    fn draw(&mut self, request: &Request, answer: &mut MessageBuf) -> Result<(), AbiError> {
        self.world.check_request(request).map_err(refuse)?;
        let number = self.world.host_draws;
        self.world.host_draws += 1;
        let draws = self.world.push_draws(answer, 0, request, "call", number);
        answer.set_header(&DrawsMsg { draws });
        Ok(())
    }

    fn iterate(&mut self, plan: IterateMsg, answer: &mut MessageBuf) -> Result<(), AbiError> {
        let world = &mut self.world;
        let items = world.iterated(&plan).map_err(refuse)?;
        let per_epoch = items.len().div_ceil(plan.batch) as u64;
        let batches = per_epoch.checked_mul(plan.epochs as u64);
        let batches = batches.ok_or_else(|| refuse(format!("{} epochs", plan.epochs)))?;
        let number = world.host_draws;
        world.host_draws += 1;
        let handle = world.iterations.len() as u32;
        let (order, epochs_begun, next) = (Vec::new(), 0, 0);
        world.iterations.push(Iteration { items, order, epochs_begun, next, number, plan });
        answer.set_header(&IterateReply { handle, batches });
        Ok(())
    }

    fn next(
        &mut self,
        NextMsg { handle }: NextMsg,
        answer: &mut MessageBuf,
    ) -> Result<(), AbiError> {
        let world = &mut self.world;
        let seed = world.seed;
        let Some(iteration) = world.iterations.get_mut(handle as usize) else {
            return Err(refuse(format!("there is no iteration {handle} in this call")));
        };
        let Some(batch) = iteration.advance(seed) else {
            answer.set_header(&NextReply { rows: None });
            return Ok(());
        };
        let Iteration { order, epochs_begun, number, plan, .. } =
            &world.iterations[handle as usize];
        let labels = plan.source != Source::Validation;
        let (profile, columns) = (plan.profile, plan.columns.as_slice());
        let wanted = Wanted { profile, views: 1, raw: false, labels, columns };
        // Counts samples over all epochs.
        let place = (epochs_begun - 1) * order.len() as u64 + batch.start as u64;
        let key = Key { purpose: "iterate/augment", numbers: [*number, place] };
        let rows = Some(world.push_rows(answer, &order[batch], &wanted, key));
        answer.set_header(&NextReply { rows });
        Ok(())
    }

    fn relabel(&mut self, header: &RelabelMsg, message: &Message<'_>) -> Result<(), AbiError> {
        let slots: &[u32] = tensor(message, header.slots, "slots").map_err(refuse)?;
        let uids: &[u64] = tensor(message, header.uids, "uids").map_err(refuse)?;
        let groups: &[u32] = tensor(message, header.groups, "groups").map_err(refuse)?;
        if slots.len() != uids.len() || slots.len() != groups.len() {
            return Err(refuse("slots, uids and groups must be equally many"));
        }
        let memory = self.world.memory.as_mut().ok_or_else(|| refuse(NO_MEMORY))?;
        for ((&slot, &uid), &group) in slots.iter().zip(uids).zip(groups) {
            memory.relabel(slot, uid, group).map_err(refuse)?;
        }
        Ok(())
    }

    fn replace(&mut self, header: ReplaceMsg, message: &Message<'_>) -> Result<(), AbiError> {
        let uids: &[u64] = tensor(message, header.uids, "uids").map_err(refuse)?;
        let world = &mut self.world;
        if world.epoch_over_memory {
            return Err(refuse(
                "the memory cannot be replaced while an epoch goes over it; replace it in \
                 begin_experience or end_experience",
            ));
        }
        let allowed = world.may_iterate_current();
        let experience = world.place.experience;
        let benchmark = world.benchmark.clone();
        let memory = world.memory.as_mut().ok_or_else(|| refuse(NO_MEMORY))?;
        memory
            .replace(uids, |uid| {
                let index = benchmark.find_uid(experience as usize, uid).filter(|_| allowed)?;
                let image = benchmark.train_image(index).into_owned();
                let label = benchmark.label(true, index);
                Some(SampleBuf { image, label, uid, experience, group: 0 })
            })
            .map_err(refuse)?;
        // Slots that were handed out before mean other samples from now on.
        world.iterations.clear();
        world.batch_slots.fill(None);
        Ok(())
    }

    fn validation_score(
        &self,
        header: ValidationMsg,
        message: &Message<'_>,
    ) -> Result<Option<f64>, AbiError> {
        let classes: &[u32] = tensor(message, header.classes, "classes").map_err(refuse)?;
        let items = self.world.validation().map_err(refuse)?;
        if classes.len() != items.len() {
            let (expected, found) = (items.len(), classes.len());
            return Err(refuse(format!("expected {expected} predicted classes, found {found}")));
        }
        let hits = |(item, &class): (&Item, &u32)| self.world.label(*item) == class;
        let right = items.iter().zip(classes).filter(|pair| hits(*pair)).count();
        Ok((!items.is_empty()).then(|| right as f64 / items.len() as f64))
    }
}

impl Iteration {
    /// Range of the next batch within `order`; `None` at the end. A batch does not reach into the next
    /// epoch.
    fn advance(&mut self, seed: u64) -> Option<Range<usize>> {
        let Iteration { items, order, epochs_begun, next, number, plan } = self;
        if *next >= order.len() {
            if items.is_empty() || *epochs_begun == plan.epochs as u64 {
                return None;
            }
            order.clone_from(items);
            if plan.shuffled {
                let mut rng = keyed(seed, "iterate/order", &[*number, *epochs_begun]);
                shuffle(&mut rng, order);
            }
            (*epochs_begun, *next) = (*epochs_begun + 1, 0);
        }
        let start = *next;
        *next = start.saturating_add(plan.batch).min(order.len());
        Some(start..*next)
    }
}

/// Refusal of what needs a memory in a run without one.
pub const NO_MEMORY: &str = "this run has no replay memory; give it one with --memory";

impl World {
    /// Samples of an iteration, one epoch of them.
    fn iterated(&self, plan: &IterateMsg) -> Result<Vec<Item>, String> {
        if plan.batch == 0 || plan.epochs == 0 {
            return Err("an iteration needs at least one epoch of batches of at least one".into());
        }
        profile_is_known(plan.profile, &self.benchmark)?;
        self.check_columns(&plan.columns)?;
        let current = || match self.may_iterate_current() {
            true => Ok(self.current_experience()),
            false => Err("a pass over the current experience is not granted here"),
        };
        let held = || match &self.memory {
            Some(memory) => Ok(memory.select(plan.filter, self.now()).to_slots()),
            None => Err(NO_MEMORY),
        };
        Ok(match plan.source {
            Source::Current => current()?.collect(),
            Source::Memory => held()?.into_iter().map(Item::Slot).collect(),
            Source::CurrentAndMemory => {
                current()?.chain(held()?.into_iter().map(Item::Slot)).collect()
            }
            Source::CurrentOrMemory => match held()? {
                slots if slots.is_empty() => current()?.collect(),
                slots => slots.into_iter().map(Item::Slot).collect(),
            },
            Source::Validation => self.validation()?,
        })
    }

    /// Writes a column as a report or a host call says.
    pub fn write_column(
        &mut self,
        header: &WriteColumnMsg,
        message: &Message<'_>,
    ) -> Result<(), String> {
        let slots: &[u32] = tensor(message, header.slots, "slots")?;
        let uids: &[u64] = tensor(message, header.uids, "uids")?;
        let values: &[f32] = tensor(message, header.values, "values")?;
        let name = &header.column;
        let column = self.declaration.columns.iter().find(|c| c.name == *name);
        let width = column.ok_or_else(|| format!("column `{name}` was not declared"))?.width;
        if slots.len() != uids.len() || slots.len() * width != values.len() {
            let (s, u, v) = (slots.len(), uids.len(), values.len());
            return Err(format!(
                "column `{name}` of width {width}: {s} slots, {u} uids, {v} values"
            ));
        }
        let memory = self.memory.as_mut().ok_or(NO_MEMORY)?;
        for ((&slot, &uid), values) in slots.iter().zip(uids).zip(values.chunks_exact(width)) {
            memory.write_column(name, slot, uid, values).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// The elements of a tensor of a message.
pub fn tensor<'a, T: Element>(
    message: &Message<'a>,
    id: TensorId,
    what: &str,
) -> Result<&'a [T], String> {
    let tensor = message.tensors.as_slice().get(id.0 as usize);
    let tensor = tensor.ok_or_else(|| format!("{what}: tensor {} is missing", id.0))?;
    tensor.elements().map_err(|e| format!("{what}: {e}"))
}

fn parse<T: DeserializeOwned>(op: HostOp, message: &Message<'_>) -> Result<T, AbiError> {
    serde_json::from_slice(message.header.as_slice())
        .map_err(|e| AbiError::new(ErrorKind::MESSAGE, format!("header of `{}`: {e}", op.name())))
}

fn refuse(reason: impl ToString) -> AbiError {
    AbiError::new(ErrorKind::HOST, reason.to_string())
}
