//! Applies what a learner says after a step: scalars, columns, placements; then offers the batch.

use perdura_abi::buffer::MessageBuf;
use perdura_abi::message::{
    EventMsg, Insert, InsertEpochs, PLACE_HOST, PLACE_SKIP, ReportColumnMsg, ReportMsg,
};
use perdura_abi::table::Message;
use std::collections::BTreeMap;

use super::services::tensor;
use super::world::{Item, World};
use crate::memory::Sample;
use crate::rng::keyed;
use crate::run::FaultCode;

/// What is kept of a report.
pub struct Applied {
    pub scalars: BTreeMap<String, f64>,
    pub events: Vec<EventMsg>,
    /// Seconds of parts of the step, by the learner's own clock.
    pub spent: BTreeMap<String, f64>,
}

/// Why a report makes no sense.
#[derive(Debug, PartialEq)]
pub struct Unsound {
    pub code: FaultCode,
    pub problem: String,
}

impl Unsound {
    fn not_finite(problem: String) -> Unsound {
        Unsound { code: FaultCode::NotFinite, problem }
    }
}

impl From<String> for Unsound {
    fn from(problem: String) -> Unsound {
        Unsound { code: FaultCode::Report, problem }
    }
}

/// Most parts of a step that a learner may tell apart.
const PARTS_MAX: usize = 16;

fn check_spent(spent: &BTreeMap<String, f64>) -> Result<(), Unsound> {
    if let Some((name, seconds)) = spent.iter().find(|(_, s)| !(s.is_finite() && **s >= 0.0)) {
        return Err(
            format!("part `{name}` of the step took {seconds} s, expected 0 or more").into()
        );
    }
    let sound = |name: &&String| {
        !name.is_empty()
            && name.len() <= 32
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    if let Some(name) = spent.keys().find(|name| !sound(name)) {
        let expected = "1 to 32 letters from a to z and underscores";
        return Err(format!("a part of the step is called `{name}`, expected {expected}").into());
    }
    match spent.len() <= PARTS_MAX {
        true => Ok(()),
        false => {
            let found = spent.len();
            Err(format!("{found} parts of the step are told, expected at most {PARTS_MAX}").into())
        }
    }
}

impl World {
    /// Offers the batch before the draws, for learners that wish so.
    pub fn insert_before_draws(&mut self) {
        self.batch_slots = vec![None; self.batch.len()];
        if self.declaration.wishes.insert == Insert::BeforeDraws && self.inserts_now() {
            self.offer_batch(None);
        }
    }

    /// Applies the report of the step in flight.
    pub fn apply(&mut self, reply: &MessageBuf) -> Result<Applied, Unsound> {
        let header: ReportMsg = match reply.header() {
            [] => ReportMsg::default(),
            text => serde_json::from_slice(text)
                .map_err(|e| format!("the report cannot be read: {e}"))?,
        };
        self.check_scalars(&header.scalars)?;
        check_spent(&header.spent)?;
        reply.with(|message| {
            let placements = header.placements.map(|id| tensor::<i64>(&message, id, "placements"));
            let placements = placements.transpose()?;
            self.check_placements(placements)?;
            if self.declaration.wishes.insert != Insert::BeforeDraws && self.inserts_now() {
                self.offer_batch(placements);
            }
            if let Some(group) = header.group {
                self.keep_group(group);
            }
            for column in &header.columns {
                self.keep_column(column, &message)?;
            }
            header.writes.iter().try_for_each(|write| self.write_column(write, &message))?;
            Ok::<(), Unsound>(())
        })?;
        let ReportMsg { scalars, events, spent, .. } = header;
        Ok(Applied { scalars, events, spent })
    }

    fn check_scalars(&self, scalars: &BTreeMap<String, f64>) -> Result<(), Unsound> {
        let declared = &self.declaration.scalars;
        match scalars.iter().find(|(name, value)| !declared.contains(name) || !value.is_finite()) {
            None => Ok(()),
            Some((name, value)) if !value.is_finite() => {
                Err(Unsound::not_finite(format!("scalar `{name}` is not a finite number")))
            }
            Some((name, _)) => Err(format!("scalar `{name}` was not declared").into()),
        }
    }

    fn check_placements(&self, placements: Option<&[i64]>) -> Result<(), String> {
        let Some(placements) = placements else { return Ok(()) };
        let Some(memory) = &self.memory else { return Err(super::services::NO_MEMORY.into()) };
        if placements.len() != self.batch.len() {
            let (expected, found) = (self.batch.len(), placements.len());
            return Err(format!("expected {expected} placements, found {found}"));
        }
        if self.declaration.wishes.insert == Insert::BeforeDraws {
            return Err(
                "placements come too late: the batch entered the memory before the draws, as \
                 the learner wished"
                    .into(),
            );
        }
        // A new slot opens behind the last one: placements fill the memory without gaps.
        let mut len = memory.len() as i64;
        for (&placement, item) in placements.iter().zip(&self.batch) {
            match placement {
                PLACE_HOST | PLACE_SKIP => {}
                slot if item.slot().is_some() => {
                    return Err(format!(
                        "placement {slot}: the sample comes from the memory and stays where it is"
                    ));
                }
                slot if slot < 0 || slot > len || slot >= memory.capacity_samples() as i64 => {
                    return Err(format!("placement {slot}: the memory holds {len} samples"));
                }
                slot => len = len.max(slot + 1),
            }
        }
        Ok(())
    }

    fn inserts_now(&self) -> bool {
        let first_only = self.declaration.wishes.insert_epochs == InsertEpochs::First;
        self.memory.is_some() && !(first_only && self.place.epoch > 0)
    }

    fn offer_batch(&mut self, placements: Option<&[i64]>) {
        let by_learner = self.declaration.wishes.insert == Insert::ByLearner;
        let mut rng = keyed(self.seed, "insert", &[self.place.step]);
        let World { benchmark, memory, batch, batch_slots, .. } = self;
        let Some(memory) = memory else { return };
        for (row, item) in batch.iter().enumerate() {
            let Item::Train { experience, index } = *item else { continue };
            let image = benchmark.train_image(index);
            let sample = Sample {
                image: &image,
                label: benchmark.label(true, index),
                uid: benchmark.uid(index),
                experience,
                group: 0,
            };
            batch_slots[row] = match placements.map_or(PLACE_HOST, |p| p[row]) {
                PLACE_SKIP => None,
                PLACE_HOST if by_learner => None,
                PLACE_HOST => memory.offer(sample, &mut rng).map(|slot| slot as u32),
                slot => {
                    memory.place(slot as usize, sample).expect("placements were checked");
                    Some(slot as u32)
                }
            };
        }
    }

    /// Gives those samples of the batch that are in the memory their group.
    fn keep_group(&mut self, group: u32) {
        let taken: Vec<(u32, u64)> = (self.batch.iter().zip(&self.batch_slots))
            .filter_map(|(item, slot)| Some(((*slot)?, self.uid(*item))))
            .collect();
        let Some(memory) = &mut self.memory else { return };
        for (slot, uid) in taken {
            // A later row of the same batch may have taken the slot: then its uid differs.
            memory.relabel(slot, uid, group).expect("a slot was taken in it");
        }
    }

    /// Stores a column beside those samples of the batch that are in the memory.
    fn keep_column(
        &mut self,
        column: &ReportColumnMsg,
        message: &Message<'_>,
    ) -> Result<(), Unsound> {
        let name = &column.name;
        let values: &[f32] = tensor(message, column.values, name)?;
        let declared = self.declaration.columns.iter().find(|c| c.name == *name);
        let width = declared.ok_or_else(|| format!("column `{name}` was not declared"))?.width;
        let rows = self.batch.len();
        if values.len() != rows * width {
            let found = values.len();
            let text = format!("column `{name}`: expected {rows} x {width} values, found {found}");
            return Err(text.into());
        }
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            return Err(Unsound::not_finite(format!("column `{name}` holds {value}")));
        }
        for (row, values) in values.chunks_exact(width).enumerate() {
            let (Some(slot), uid) = (self.batch_slots[row], self.uid(self.batch[row])) else {
                continue;
            };
            // A later row of the same batch may have taken the slot; then nothing is written.
            let memory = self.memory.as_mut().expect("a slot was taken in it");
            memory.write_column(name, slot, uid, values).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(parts: impl IntoIterator<Item = (String, f64)>, reason: &str) {
        let unsound = check_spent(&parts.into_iter().collect()).unwrap_err();
        assert_eq!(unsound.code, FaultCode::Report);
        assert!(unsound.problem.contains(reason), "{unsound:?}");
    }

    #[test]
    fn parts_of_a_step_have_short_names_and_take_some_time() {
        let parts = |count: usize| (0..count).map(|i| ("a".repeat(1 + i), 0.5));
        assert_eq!(check_spent(&parts(PARTS_MAX).collect()), Ok(()));
        refused(parts(PARTS_MAX + 1), "17 parts of the step are told, expected at most 16");
        refused([("forward".into(), -1.0)], "part `forward` of the step took -1 s, expected 0");
        refused([("forward".into(), f64::NAN)], "took NaN s");
        for name in ["", "Forward", "forward pass", &"a".repeat(33)] {
            refused([(name.into(), 1.0)], "expected 1 to 32 letters from a to z and underscores");
        }
    }
}
