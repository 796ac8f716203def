//! Groups of similar experiences in CLS-ER (algorithms 3.2 and 3.3): masks over the units of all
//! three networks, and rates by similarity. Off by default; what is here is not made then.

use burn::tensor::Tensor;
use perdura_nn::Net;
use perdura_nn::masks::{GroupMasks, GroupRows, GroupStatistics, Units, annealed};
use perdura_nn::plasticity::{Guide, Plasticity};
use perdura_sdk::{Grants, Position, Rng, prelude::*};

use crate::config::{Config, Masks};

/// What a learner with groups has besides its networks.
pub(crate) struct Groups {
    pub guide: Guide,
    pub masked: Option<Masked>,
}

/// Masks of the groups, one set for all three networks.
pub(crate) struct Masked {
    pub masks: GroupMasks,
    /// Running statistics of the working, the plastic and the stable network.
    pub statistics: [GroupStatistics; 3],
    /// The group that learns its masks: the one that the experience at hand has opened. Those of
    /// other groups are frozen.
    pub learning: Option<usize>,
    /// Steps it has learned.
    pub steps: u64,
    /// What the update of the new batch is scaled by, and the units that others have taken.
    pub gate: Option<Net>,
    pub taken: Option<Units>,
}

impl Groups {
    /// `None` for the plain method.
    pub fn new(config: &Config, grants: Grants, working: &Net) -> Result<Option<Groups>> {
        if !config.has_groups() {
            return Ok(None);
        }
        let masked = match config.masks {
            Masks::None => None,
            Masks::Groups => {
                let statistics = GroupStatistics::of(working);
                Some(Masked {
                    masks: GroupMasks::new(working, config.s_max)?,
                    statistics: [statistics.clone(), statistics.clone(), statistics],
                    learning: None,
                    steps: 0,
                    gate: None,
                    taken: None,
                })
            }
        };
        Ok(Some(Groups { guide: Guide::new(config.guide(), grants, working), masked }))
    }

    /// Open groups.
    pub fn open(&self) -> &[usize] {
        self.guide.discovery.open()
    }

    /// After each look at the groups: a group that is new gets masks, and what follows from the
    /// group at hand is made anew.
    pub fn look(&mut self, config: &Config, working: &Net, rng: &mut Rng) {
        let current = self.guide.discovery.current();
        if let Some(masked) = &mut self.masked
            && !self.guide.discovery.open().is_empty()
            && !masked.masks.is_open(current)
        {
            masked.masks.open(current, working, config.mask_mean, rng);
            (masked.learning, masked.steps) = (Some(current), 0);
        }
        let masks = self.masked.as_ref().map(|masked| (&masked.masks, masked.learning));
        let (masks, learning) = masks.unzip();
        if self.guide.refresh(working, masks, learning.flatten()) {
            self.close(config, working);
        }
    }

    /// The gate for the group at hand: HAT's, or the rates of plasticity in its place.
    pub fn close(&mut self, config: &Config, working: &Net) {
        let current = self.guide.discovery.current();
        let Some(masked) = &mut self.masked else { return };
        masked.taken = masked.masks.others(current);
        masked.gate = match config.plasticity {
            Plasticity::None => masked.masks.gate(working, current),
            _ => self.guide.rates().cloned(),
        };
    }

    /// The experience is over, and its masks are done.
    pub fn freeze(&mut self) {
        if let Some(masked) = &mut self.masked {
            masked.learning = None;
        }
    }
}

impl Masked {
    /// s of this step: annealed over the epoch, where boundaries are hidden over `mask_steps` steps;
    /// s_max without annealing.
    pub fn scale(&self, config: &Config, position: Option<Position>) -> f64 {
        match position {
            _ if !config.mask_anneal => config.s_max,
            Some(at) => annealed(at.step_in_epoch, at.steps_per_epoch, config.s_max),
            None => annealed(self.steps, config.mask_steps, config.s_max),
        }
    }

    /// The masks under which the group at hand answers as a teacher: those of this step, `s`, while
    /// it learns them, else its hard ones.
    pub fn answering(&mut self, here: usize, s: Option<f64>) -> Vec<Tensor<1>> {
        match s {
            Some(s) => self.masks.embeddings(here).masks(s),
            None => self.masks.hard(here).expect("the group at hand has masks"),
        }
    }

    /// A step is done; where boundaries are hidden, masks are frozen after `steps_max`.
    pub fn count(&mut self, learned: bool, steps_max: Option<u64>) {
        self.steps += u64::from(learned);
        if steps_max.is_some_and(|most| self.steps >= most) {
            self.learning = None;
        }
    }

    /// The rows of the current batch, then those of the memory, each with its group's masks:
    /// `of_current` for the group at hand, hard ones for the others.
    pub fn rows(
        &self,
        guide: &Guide,
        (current, replay): (&Rows<'_>, &Rows<'_>),
        of_current: Vec<Tensor<1>>,
    ) -> GroupRows {
        let here = guide.discovery.current();
        let numbers = [vec![here; current.len()], guide.discovery.of_rows(replay)].concat();
        let mut groups = vec![(here, of_current)];
        let place = |group: usize| {
            if let Some(place) = groups.iter().position(|(known, _)| *known == group) {
                return place;
            }
            match self.masks.hard(group) {
                Some(masks) => {
                    groups.push((group, masks));
                    groups.len() - 1
                }
                // Open, and never learned: its samples were learned as the group at hand.
                None => 0,
            }
        };
        let places = numbers.into_iter().map(place).collect();
        GroupRows { groups, places }
    }
}

impl Groups {
    /// The group of the batch, and after a step under masks the share of units they hold.
    pub fn tell(&self, report: StepReport) -> StepReport {
        let report = report.group(self.guide.discovery.current() as u32);
        match &self.masked {
            None => report,
            Some(masked) => report.scalar("capacity", masked.masks.capacity_used()),
        }
    }

    /// Bytes held beside the networks.
    pub fn bytes(&self) -> u64 {
        let masked = self.masked.as_ref().map_or(0, |masked| {
            let numbers: usize = masked.statistics.iter().map(GroupStatistics::count).sum();
            masked.masks.bytes() + (numbers * size_of::<f32>()) as u64
        });
        self.guide.bytes() + masked
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.guide.save(out)?;
        let Some(masked) = &self.masked else { return Ok(()) };
        out.value("masking", &(masked.learning, masked.steps))?;
        masked.masks.save(out)?;
        for (name, statistics) in STATISTICS.iter().zip(&masked.statistics) {
            statistics.save(name, out)?;
        }
        Ok(())
    }

    pub fn load(&mut self, config: &Config, working: &Net, saved: &mut StateReader) -> Result<()> {
        self.guide.load(working, saved)?;
        if let Some(masked) = &mut self.masked {
            (masked.learning, masked.steps) = saved.value("masking")?;
            masked.masks.load(working, saved)?;
            for (name, statistics) in STATISTICS.iter().zip(&mut masked.statistics) {
                statistics.load(name, saved)?;
            }
        }
        if !self.guide.discovery.open().is_empty() {
            self.close(config, working);
        }
        Ok(())
    }
}

/// Prefixes of the statistics in a saved state.
const STATISTICS: [&str; 3] = ["statistics.working.", "statistics.plastic.", "statistics.stable."];
