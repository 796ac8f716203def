//! Plasticity in a learner's life: the groups of a stream as they are found, what each of them
//! owns, and the rates that follow whenever the group that is being learned may have changed.

use perdura_sdk::{Call, Error, Experience, Grants, Host, Result, StateReader, StateWriter, Step};

use super::importance::PathImportance;
use super::rates::{Claim, Owner, Pace, Plasticity};
use crate::masks::GroupMasks;
use crate::net::Net;
use crate::network::Network;
use crate::similarity::{Control, Discovery, Grouping, SimilarityGiven};
use crate::state;
use crate::update::Update;

/// Hyper-parameters of a [`Guide`]. Plugins name them alike: those of [`Grouping`] and [`Pace`],
/// `similarity`, `oracle_across`.
#[derive(Clone, Debug, PartialEq)]
pub struct GuideOptions {
    pub grouping: Grouping,
    pub pace: Pace,
    /// Which similarities decide the rates.
    pub similarity: SimilarityGiven,
    /// Similarity between groups for `similarity = "oracle"`.
    pub oracle_across: f64,
}

impl GuideOptions {
    /// Refuses values outside their range, and `hat` where there are no masks.
    pub fn check(&self, grants: &Grants, masks: bool) -> Result<()> {
        self.grouping.check(grants)?;
        self.pace.speed.check()?;
        if !(0.0..=1.0).contains(&self.oracle_across) {
            let expected = "a number from 0 to 1";
            return Err(Error::config("oracle_across", expected, self.oracle_across));
        }
        if self.pace.plasticity == Plasticity::Hat && !masks {
            let expected = "`mean` or `min`: `hat` is about units, and needs masks";
            return Err(Error::config("plasticity", expected, "`hat` without masks"));
        }
        Ok(())
    }
}

/// See the head of this file. Its methods go to the calls of the learner that have their names.
#[derive(Clone, Debug)]
pub struct Guide {
    pub discovery: Discovery,
    pace: Pace,
    control: Control,
    /// Where no masks say who owns what.
    importance: PathImportance<Net>,
    rates: Option<Net>,
    /// Entries into groups that the rates have taken into account.
    entries: u64,
}

impl Guide {
    /// `options` have been [checked](GuideOptions::check); `net` is the network that is trained.
    pub fn new(options: GuideOptions, grants: Grants, net: &Net) -> Self {
        let GuideOptions { grouping, pace, similarity, oracle_across } = options;
        let (classes, width) = (net.head.outputs(), net.backbone.inputs());
        Guide {
            discovery: Discovery::new(grouping, grants, classes, width),
            pace,
            control: similarity.control(oracle_across),
            importance: PathImportance::default(),
            rates: None,
            entries: 0,
        }
    }

    /// μ, as of the last entry into a group; `None` where everything moves at the full rate.
    pub fn rates(&self) -> Option<&Net> {
        self.rates.as_ref()
    }

    /// `θ ← θ − lr·μ ⊙ u`. What the step did by way of each parameter is counted in for the group
    /// that is being learned.
    pub fn descend(&mut self, net: &mut Net, mut update: Update<Net>, lr: f64) {
        if self.pace.plasticity == Plasticity::None {
            return update.descend(net, lr);
        }
        let gradient = update.values().clone();
        if let Some(rates) = &self.rates {
            update.scale(rates);
        }
        let mut step = update.clone();
        step.shrink(lr);
        self.importance.add(self.discovery.current(), &gradient, step.values());
        update.descend(net, lr);
    }

    /// `features` is the network whose features are compared.
    pub fn begin(&mut self, info: &Experience, features: &Net, host: &mut Host<'_>) -> Result<()> {
        self.discovery.begin(info, features, host)
    }

    /// After a step.
    pub fn observe(&mut self, step: &Step<'_>, features: &Net, host: &mut Host<'_>) -> Result<()> {
        self.discovery.observe(step, features, host)
    }

    pub fn end(&mut self, info: &Experience, features: &Net, host: &mut Host<'_>) -> Result<()> {
        self.discovery.end(info, features, host)
    }

    pub fn finish(&mut self, call: &Call) {
        self.discovery.finish(call);
    }

    /// To be called after each of the calls above: makes the rates anew if a group was entered.
    /// Groups own by their masks where there are some (all but `learning`, whose masks are not
    /// done), else by the importance of paths. True if a group was entered.
    pub fn refresh(
        &mut self,
        net: &Net,
        masks: Option<&GroupMasks>,
        learning: Option<usize>,
    ) -> bool {
        if self.entries == self.discovery.entries() {
            return false;
        }
        self.entries = self.discovery.entries();
        let similarities = self.discovery.similarities(self.control);
        let open = self.discovery.open().iter().zip(similarities);
        let owner = |(&group, similarity): (&usize, f32)| {
            let claim = match masks {
                Some(masks) => {
                    masks.units(group).filter(|_| learning != Some(group)).map(Claim::Units)
                }
                None => self.importance.ownership(group).map(Claim::Parameters),
            };
            claim.map(|claim| Owner { similarity, claim })
        };
        let owners: Vec<Owner> = open.filter_map(owner).collect();
        self.rates = self.pace.rates(net, masks.map(GroupMasks::layers), &owners);
        true
    }

    /// Bytes held beside the network.
    pub fn bytes(&self) -> u64 {
        let rates = self.rates.as_ref().map_or(0, Network::bytes);
        self.discovery.bytes() + self.importance.bytes() + rates
    }

    /// Rates are saved and not made anew: what they were made from has moved on.
    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.discovery.save(out)?;
        self.importance.save(out)?;
        out.value("guide", &(self.entries, self.rates.is_some()))?;
        match &self.rates {
            Some(rates) => state::save(rates, "rates.", out),
            None => Ok(()),
        }
    }

    /// What [`save`](Self::save) wrote; `net` is the network that is trained.
    pub fn load(&mut self, net: &Net, saved: &mut StateReader) -> Result<()> {
        self.discovery.load(saved)?;
        self.importance.load(net, saved)?;
        let (entries, rated): (u64, bool) = saved.value("guide")?;
        (self.entries, self.rates) = (entries, None);
        if rated {
            let mut rates = net.clone();
            state::load(&mut rates, "rates.", saved)?;
            self.rates = Some(rates);
        }
        Ok(())
    }
}
