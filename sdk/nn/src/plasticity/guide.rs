//! Plasticity in a learner's life: the groups of a stream as they are found, what each of them
//! owns, and the rates that follow whenever the group that is being learned may have changed.

use burn::tensor::Tensor;
use perdura_sdk::{
    Call, Error, Experience, Filter, Grants, Host, Profile, Request, Result, Rows, StateReader,
    StateWriter, Step,
};

use super::importance::{Ownership, PathImportance};
use super::rates::{Claim, Owner, Pace, Plasticity};
use crate::losses;
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
    /// Who owns what where no masks say so.
    pub ownership: Ownership,
}

impl GuideOptions {
    /// Refuses values outside their range, `hat` where there are no masks, `fisher` where there
    /// are some or where no experience ends, and what would change nothing: a control of similarity,
    /// a neutral budget or `fisher` without rates, given groups with neither rates nor masks.
    pub fn check(&self, grants: &Grants, masks: bool) -> Result<()> {
        self.grouping.check(grants)?;
        self.pace.speed.check()?;
        if !(0.0..=1.0).contains(&self.oracle_across) {
            let expected = "a number from 0 to 1";
            return Err(Error::config("oracle_across", expected, self.oracle_across));
        }
        if self.pace.plasticity == Plasticity::None {
            self.check_idle(masks)?;
        }
        if self.pace.plasticity == Plasticity::Hat && !masks {
            let expected = "`mean` or `min`: `hat` is about units, and needs masks";
            return Err(Error::config("plasticity", expected, "`hat` without masks"));
        }
        match self.ownership {
            Ownership::Fisher if masks => {
                let expected = "`path` with masks: it is the masks that say who owns what";
                Err(Error::config("ownership", expected, "`fisher`"))
            }
            Ownership::Fisher if !grants.boundaries => {
                let expected = "`path` where boundaries are hidden: `fisher` is taken at the end of \
                                an experience";
                Err(Error::config("ownership", expected, "`fisher`"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what only rates make use of, and groups that nothing makes use of.
    fn check_idle(&self, masks: bool) -> Result<()> {
        let expected = "its default without `plasticity`, which alone heeds it";
        if self.similarity != SimilarityGiven::True {
            let found = format!("{:?}", self.similarity).to_lowercase();
            return Err(Error::config("similarity", expected, found));
        }
        if self.pace.budget_neutral {
            return Err(Error::config("budget_neutral", expected, true));
        }
        if self.ownership != Ownership::Path && !masks {
            return Err(Error::config("ownership", expected, "`fisher`"));
        }
        if !self.grouping.groups.is_empty() && !masks {
            let expected = "none without masks or `plasticity`, which are of groups";
            return Err(Error::config("groups", expected, format!("{:?}", self.grouping.groups)));
        }
        Ok(())
    }
}

/// For [`Guide::measure`]: `[1]`, log p(y|x) of one row by a network of the usual kind.
pub fn label_log_probability(net: &mut Net, rows: &Rows<'_>, row: usize) -> Result<Tensor<1>> {
    let width = net.backbone.inputs();
    let logits = net.forward(net.rows(&[&rows.inputs()[row * width..][..width]]));
    Ok(losses::label_log_probability(logits, net.labels(&[&rows.labels()[row..][..1]])))
}

/// See the head of this file. Its methods go to the calls of the learner that have their names.
#[derive(Clone, Debug)]
pub struct Guide<N = Net> {
    pub discovery: Discovery,
    pace: Pace,
    control: Control,
    ownership: Ownership,
    /// Samples of a group by which its Fisher information is estimated.
    probe: usize,
    /// Where no masks say who owns what.
    importance: PathImportance<N>,
    rates: Option<N>,
    /// Entries into groups that the rates have taken into account.
    entries: u64,
}

impl<N: Network> Guide<N> {
    /// `options` have been [checked](GuideOptions::check); `net` takes the inputs and gives the
    /// logits of the network that is trained.
    pub fn new(options: GuideOptions, grants: Grants, net: &Net) -> Self {
        let GuideOptions { grouping, pace, similarity, oracle_across, ownership } = options;
        let probe = grouping.probe;
        let (classes, width) = (net.head.outputs(), net.backbone.inputs());
        Guide {
            discovery: Discovery::new(grouping, grants, classes, width),
            pace,
            control: similarity.control(oracle_across),
            ownership,
            probe,
            importance: PathImportance::default(),
            rates: None,
            entries: 0,
        }
    }

    /// μ, as of the last entry into a group; `None` where everything moves at the full rate.
    pub fn rates(&self) -> Option<&N> {
        self.rates.as_ref()
    }

    /// Changes the rates after [`refresh`](Self::refresh) has made them: for methods of which a part
    /// goes at another rate.
    pub fn map_rates(&mut self, change: impl FnOnce(N) -> N) {
        self.rates = self.rates.take().map(change);
    }

    /// `θ ← θ − lr·μ ⊙ u`. What the step did by way of each parameter is counted in for the group
    /// that is being learned.
    pub fn descend(&mut self, net: &mut N, update: Update<N>, lr: f64) {
        self.paced(update, lr).descend(net, lr);
    }

    /// `μ ⊙ u`, for the caller to take the step. What it does by way of each parameter is counted
    /// in for the group that is being learned.
    pub fn paced(&mut self, mut update: Update<N>, lr: f64) -> Update<N> {
        if self.pace.plasticity == Plasticity::None {
            return update;
        }
        let gradient = update.values().clone();
        if let Some(rates) = &self.rates {
            update.scale(rates);
        }
        if self.ownership == Ownership::Path {
            let mut step = update.clone();
            step.shrink(lr);
            self.importance.add(self.discovery.current(), &gradient, step.values());
        }
        update
    }

    /// At the end of an experience, after [`end`](Self::end): with `ownership = "fisher"` the Fisher
    /// information of the group at hand is estimated anew, on samples that the memory holds of it.
    /// `log_p` gives `[1]`, the log-probability of the label of one row, by a tracked network.
    pub fn measure(
        &mut self,
        net: &N,
        host: &mut Host<'_>,
        log_p: impl Fn(&mut N, &Rows<'_>, usize) -> Result<Tensor<1>>,
    ) -> Result<()> {
        if self.ownership != Ownership::Fisher || self.pace.plasticity == Plasticity::None {
            return Ok(());
        }
        let group = self.discovery.current();
        let request = Request::memory("fisher", self.probe).filter(Filter::Group(group as u32));
        let drawn = host.draw(&request.profile(Profile::None))?;
        let rows = &drawn[0];
        if rows.is_empty() {
            return Ok(());
        }
        let mut fisher = PathImportance::default();
        for row in 0..rows.len() {
            let mut tracked = net.tracked();
            let mut gradients = log_p(&mut tracked, rows, row)?.backward();
            let gradient = Update::of(&tracked, &mut gradients);
            fisher.add(group, gradient.values(), gradient.values());
        }
        self.importance.replace(group, fisher);
        Ok(())
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
    /// done), else by importance, of paths or Fisher's. True if a group was entered.
    pub fn refresh(
        &mut self,
        net: &N,
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
    pub fn load(&mut self, net: &N, saved: &mut StateReader) -> Result<()> {
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
