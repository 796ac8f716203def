//! Groups of similar experiences in CLS-ER (algorithms 3.2 and 3.3): masks over the units of all
//! three networks, and rates by similarity. Off by default; what is here is not made then.

use perdura_nn::masks::{GroupMasks, GroupStatistics, MaskLearning};
use perdura_nn::plasticity::{Guide, Plasticity};
use perdura_nn::{Net, Network};
use perdura_sdk::{Grants, Rng, prelude::*};

use crate::config::{Config, Masks};

/// What a learner with groups has besides its networks.
pub(crate) struct Groups {
    pub guide: Guide,
    pub masked: Option<Masked>,
}

/// Masks of the groups, one set for all three networks.
pub(crate) struct Masked {
    pub lesson: MaskLearning,
    /// Running statistics of the working, the plastic and the stable network.
    pub statistics: [GroupStatistics; 3],
    /// What the update of the new batch is scaled by.
    pub gate: Option<Net>,
}

impl Groups {
    /// `None` for the plain method.
    pub fn new(config: &Config, grants: Grants, working: &Net) -> Result<Option<Groups>> {
        if !config.has_groups() {
            return Ok(None);
        }
        let masked = match config.masks {
            Masks::None => None,
            Masks::Groups | Masks::Window => {
                let statistics = GroupStatistics::of(working);
                let masks = GroupMasks::new(working, config.s_max)?;
                Some(Masked {
                    lesson: MaskLearning::new(config.mask_options(), masks),
                    statistics: [statistics.clone(), statistics.clone(), statistics],
                    gate: None,
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
        {
            masked.lesson.enter(current, working.device(), rng);
        }
        let lesson = self.masked.as_ref().map(|masked| &masked.lesson);
        let masks = lesson.map(|lesson| (&lesson.masks, lesson.learning()));
        let (masks, learning) = masks.unzip();
        if self.guide.refresh(working, masks, learning.flatten()) {
            self.close(config, working);
        }
    }

    /// The gate for the group at hand: HAT's, or the rates of plasticity in its place.
    pub fn close(&mut self, config: &Config, working: &Net) {
        let current = self.guide.discovery.current();
        let Some(masked) = &mut self.masked else { return };
        masked.lesson.take_stock(current);
        masked.gate = match config.plasticity {
            Plasticity::None => masked.lesson.masks.gate(working, current),
            _ => self.guide.rates().cloned(),
        };
    }

    /// The experience is over, and its masks are done.
    pub fn freeze(&mut self) {
        if let Some(masked) = &mut self.masked {
            masked.lesson.freeze();
        }
    }
}

impl Groups {
    /// The group of the batch, and after a step under masks the share of units they hold.
    pub fn tell(&self, report: StepReport) -> StepReport {
        let report = report.group(self.guide.discovery.current() as u32);
        match &self.masked {
            None => report,
            Some(masked) => report.scalar("capacity", masked.lesson.masks.capacity_used()),
        }
    }

    /// Bytes held beside the networks.
    pub fn bytes(&self) -> u64 {
        let masked = self.masked.as_ref().map_or(0, |masked| {
            let numbers: usize = masked.statistics.iter().map(GroupStatistics::count).sum();
            let gate = masked.gate.as_ref().map_or(0, Network::bytes);
            masked.lesson.masks.bytes() + (numbers * size_of::<f32>()) as u64 + gate
        });
        self.guide.bytes() + masked
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.guide.save(out)?;
        let Some(masked) = &self.masked else { return Ok(()) };
        masked.lesson.save(out)?;
        for (name, statistics) in STATISTICS.iter().zip(&masked.statistics) {
            statistics.save(name, out)?;
        }
        Ok(())
    }

    pub fn load(&mut self, config: &Config, working: &Net, saved: &mut StateReader) -> Result<()> {
        self.guide.load(working, saved)?;
        if let Some(masked) = &mut self.masked {
            masked.lesson.load(working.device(), saved)?;
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
