//! The state: every network, what is known of the groups, and where the learner stands.

use perdura_nn::similarity::{ClassMeans, GroupSimilarities, Hysteresis, Window};
use perdura_nn::state;
use perdura_sdk::prelude::*;
use perdura_sdk::serde::{Deserialize, Serialize};

use crate::method::SgCls;

/// Everything that is not a tensor.
#[derive(Serialize, Deserialize)]
#[serde(crate = "perdura_sdk::serde")]
struct Standing {
    steps: u64,
    current: usize,
    known: GroupSimilarities,
    begun: bool,
    decided: bool,
    hysteresis: Hysteresis,
    groups: Vec<Group>,
}

/// One open group.
#[derive(Serialize, Deserialize)]
#[serde(crate = "perdura_sdk::serde")]
struct Group {
    number: usize,
    opened_at: u64,
    samples: u64,
    /// It has a trained network beside the working one.
    trained: bool,
}

impl SgCls {
    pub(crate) fn write(&self, out: &mut StateWriter) -> Result<()> {
        let group = |(number, memory): (usize, &crate::memories::Memory)| {
            let (opened_at, samples) = (memory.opened_at, memory.samples);
            Group { number, opened_at, samples, trained: memory.trained.is_some() }
        };
        let standing = Standing {
            steps: self.steps,
            current: self.current,
            known: self.known.clone(),
            begun: self.begun,
            decided: self.decided,
            hysteresis: self.hysteresis.clone(),
            groups: self.memories.iter().map(group).collect(),
        };
        out.value("standing", &standing)?;
        self.window.save(out)?;
        state::save(&self.working, "working.", out)?;
        for (name, net) in [("global.", &self.global), ("initial.", &self.initial)] {
            if let Some(net) = net {
                state::save(net, name, out)?;
            }
        }
        for (group, memory) in self.memories.iter() {
            state::save(&memory.average, &format!("group-{group}."), out)?;
            if let Some(trained) = &memory.trained {
                state::save(trained, &format!("trained-{group}."), out)?;
            }
            let (sums, counts) = memory.means.parts();
            let shape = [counts.len(), memory.means.width()];
            out.tensor(&format!("means-{group}.sums"), &shape, sums)?;
            out.tensor(&format!("means-{group}.counts"), &[counts.len()], counts)?;
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, saved: &mut StateReader) -> Result<()> {
        let standing: Standing = saved.value("standing")?;
        self.window = Window::load(saved, self.width())?;
        state::load(&mut self.working, "working.", saved)?;
        for (name, net) in [("global.", &mut self.global), ("initial.", &mut self.initial)] {
            if let Some(net) = net {
                state::load(net, name, saved)?;
            }
        }
        (0..self.config.groups_max).for_each(|group| drop(self.memories.take(group)));
        for Group { number, opened_at, samples, trained } in standing.groups {
            if number >= self.config.groups_max {
                return Err(Error::state(format!(
                    "the saved state has group {number}, but groups_max is {}",
                    self.config.groups_max
                )));
            }
            let mut memory = self.memory(&self.working);
            if !trained {
                memory.trained = None;
            }
            (memory.opened_at, memory.samples) = (opened_at, samples);
            state::load(&mut memory.average, &format!("group-{number}."), saved)?;
            if let Some(trained) = &mut memory.trained {
                state::load(trained, &format!("trained-{number}."), saved)?;
            }
            let (classes, width) = (self.classes, memory.means.width());
            let sums = saved.tensor(&format!("means-{number}.sums"), &[classes, width])?;
            let counts = saved.tensor(&format!("means-{number}.counts"), &[classes])?;
            memory.means = ClassMeans::from_parts(width, sums, counts)
                .ok_or_else(|| Error::state("class means and counts do not fit together"))?;
            self.memories.put(number, memory);
        }
        (self.steps, self.current) = (standing.steps, standing.current);
        (self.known, self.hysteresis) = (standing.known, standing.hysteresis);
        (self.begun, self.decided) = (standing.begun, standing.decided);
        self.give_similarities();
        Ok(())
    }
}
