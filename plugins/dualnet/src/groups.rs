//! Groups of similar experiences in DualNet (algorithms 3.1 and 3.3): masks, and rates by
//! similarity. Off by default; what is here is not made then. Their hyper-parameters are checked
//! here, the step is in `guided.rs`.

use perdura_nn::Device;
use perdura_nn::masks::MaskOptions;
use perdura_nn::plasticity::{Guide, GuideOptions, Pace, Plasticity, Speed};
use perdura_nn::similarity::Grouping;
use perdura_sdk::{Error, Grants, Rng, prelude::*};

use crate::config::{BackboneKind, Config, HeadKind};
use crate::masked::{MaskSite, Masked};
use crate::method::DualNet;
use crate::nets::{Nets, Part};
use crate::supervised::{Supervised, at_the_slow_rate};

/// The view that is told the true group.
pub(crate) const ORACLE: &str = "oracle-main";

/// What a learner with groups has besides its networks.
pub(crate) struct Groups {
    pub guide: Guide<Supervised>,
    pub masked: Option<Masked>,
}

impl Config {
    /// Whether the learner looks for groups at all.
    pub(crate) fn has_groups(&self) -> bool {
        self.has_masks() || self.plasticity != Plasticity::None
    }

    pub(crate) fn has_masks(&self) -> bool {
        self.mask_site != MaskSite::None
    }

    pub(crate) fn guide(&self) -> GuideOptions {
        let Config { kappa_min, kappa_max, plasticity, budget_neutral, .. } = *self;
        let speed = Speed { curve: self.speed, kappa_min, kappa_max, tau: self.tau_speed };
        let Config { tau_join, groups_max, probe, window, confirm, .. } = *self;
        let groups = self.groups.clone();
        GuideOptions {
            grouping: Grouping { tau_join, groups_max, groups, probe, window, confirm },
            pace: Pace { plasticity, speed, budget_neutral },
            similarity: self.similarity,
            oracle_across: self.oracle_across,
            ownership: self.ownership,
        }
    }

    /// Boundaries are told wherever there are masks: no count of steps ends their learning.
    pub(crate) fn mask_options(&self) -> MaskOptions {
        let Config { s_max, lambda_c, mask_mean, mask_anneal, .. } = *self;
        MaskOptions { s_max, lambda_c, mask_mean, mask_anneal, mask_steps: 1 }
    }

    /// Refuses values of groups outside their range, and what does not go together.
    pub(crate) fn check_groups(&self, grants: &Grants) -> Result<()> {
        let shares = [("rho", self.rho), ("omega", self.omega), ("tau_speed", self.tau_speed)];
        for (key, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(key, "a number from 0 to 1", value));
            }
        }
        if self.oracle_view && !self.has_masks() {
            let expected = "false without masks: there is nothing to be told";
            return Err(Error::config("oracle_view", expected, true));
        }
        self.mask_options().check()?;
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let expected = "a number of at least 0";
            return Err(Error::config("temperature", expected, self.temperature));
        }
        if self.has_masks() {
            self.check_masks(grants)?;
        }
        if self.has_groups() && self.labelled < 1.0 {
            let expected = "1 with masks or rates of groups, which are found by labels";
            return Err(Error::config("labelled", expected, self.labelled));
        }
        if self.has_groups() && self.looks() {
            let looking = |name: &&str| *name != "relation";
            let name = self.matrix_switches().into_iter().find(looking).unwrap_or_default();
            let expected = "off with masks or rates of groups: it has groups and rates of its own";
            return Err(Error::config(name, expected, "on"));
        }
        self.guide().check(grants, self.has_masks())
    }

    fn check_masks(&self, grants: &Grants) -> Result<()> {
        let refused = |expected, found| Err(Error::config("mask_site", expected, found));
        if !grants.boundaries {
            let expected = "`none`, or a stream that tells its experiences, which groups are of";
            return refused(expected, "masks in a stream that hides them");
        }
        if self.backbone != BackboneKind::Mlp {
            let expected = "`none` with a ResNet, whose two networks have no statistics by group";
            return refused(expected, "masks with `backbone = \"resnet18\"`");
        }
        if !self.fast {
            let expected = "`none` without the fast network: masks are where both networks meet";
            return refused(expected, "masks with `fast = false`");
        }
        if self.oracle_view && self.head == HeadKind::TaskAware {
            let expected = "false with a task-aware head: a view is told the group or the task";
            return Err(Error::config("oracle_view", expected, true));
        }
        Ok(())
    }
}

impl Groups {
    /// `None` for the plain method.
    pub fn new(
        config: &Config,
        ctx: &Context,
        nets: &Nets,
        device: &Device,
    ) -> Result<Option<Groups>> {
        if !config.has_groups() {
            return Ok(None);
        }
        let masked = match config.has_masks() {
            true => Some(Masked::new(config, ctx.classes, nets)?),
            false => None,
        };
        let guide = Guide::new(config.guide(), ctx.grants, &nets.plain(device));
        Ok(Some(Groups { guide, masked }))
    }

    /// Open groups.
    pub fn open(&self) -> &[usize] {
        self.guide.discovery.open()
    }

    /// After each look at the groups: a group that is new gets masks, and what follows from the
    /// group at hand is made anew.
    pub fn look(&mut self, learner: &DualNet, rng: &mut Rng) {
        let current = self.guide.discovery.current();
        if let Some(masked) = &mut self.masked
            && !self.guide.discovery.open().is_empty()
        {
            masked.lesson.enter(current, &learner.device, rng);
        }
        let lesson = self.masked.as_ref().map(|masked| &masked.lesson);
        let (masks, learning) = lesson.map(|l| (&l.masks, l.learning())).unzip();
        let trained = Supervised::of(&learner.nets);
        if self.guide.refresh(&trained, masks, learning.flatten()) {
            let omega = learner.config.omega;
            self.guide.map_rates(|mut rates| {
                at_the_slow_rate(&mut rates.slow, omega);
                rates
            });
            self.close(&learner.config, &trained);
        }
    }

    /// The gate for the group at hand: HAT's, or the rates of plasticity in its place.
    pub fn close(&mut self, config: &Config, trained: &Supervised) {
        let current = self.guide.discovery.current();
        let Some(masked) = &mut self.masked else { return };
        masked.lesson.take_stock(current);
        let gate = match config.plasticity {
            Plasticity::None => masked.lesson.masks.gate(trained, current),
            _ => self.guide.rates().cloned(),
        };
        masked.gate = gate.map(|mut gate| {
            config.mask_site.leave_open(&mut gate);
            gate
        });
    }

    /// What self-supervised steps of the slow network are scaled by.
    pub fn self_supervised_rates(&self, site: MaskSite) -> Option<&Part> {
        let rates = match &self.masked {
            None => self.guide.rates(),
            Some(masked) => masked.gate.as_ref().filter(|_| site.gates_self_supervision()),
        };
        rates.map(|rates| &rates.slow)
    }

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
        self.guide.bytes() + self.masked.as_ref().map_or(0, Masked::bytes)
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.guide.save(out)?;
        self.masked.as_ref().map_or(Ok(()), |masked| masked.lesson.save(out))
    }

    /// What [`save`](Self::save) wrote; the networks have been loaded.
    pub fn load(&mut self, learner: &DualNet, saved: &mut StateReader) -> Result<()> {
        let trained = Supervised::of(&learner.nets);
        self.guide.load(&trained, saved)?;
        if let Some(masked) = &mut self.masked {
            masked.lesson.load(&learner.device, saved)?;
        }
        if !self.open().is_empty() {
            self.close(&learner.config, &trained);
        }
        Ok(())
    }
}

impl DualNet {
    /// Runs what needs the networks and the groups beside each other, where there are groups.
    pub(crate) fn with_groups(
        &mut self,
        run: impl FnOnce(&DualNet, &mut Groups) -> Result<()>,
    ) -> Result<()> {
        let Some(mut groups) = self.groups.take() else { return Ok(()) };
        let done = run(self, &mut groups);
        self.groups = Some(groups);
        done
    }
}
