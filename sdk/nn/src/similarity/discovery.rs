//! Which group is being learned, found as a learner goes along, for methods that need to know it
//! and keep no network of it: masks of groups, learning rates by similarity. SG-CLS, which merges
//! groups and measures similarity in many ways, has its own.

use perdura_sdk::{
    Call, Error, Experience, Filter, Grants, GrowthEvent, Host, Iterate, Profile, Request, Result,
    Rows, Source, StateReader, StateWriter, Step,
};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use super::{
    ClassMeans, Control, Decision, GroupSimilarities, Grouping, Hysteresis, Null, Samples, Score,
    Window, calibrated, first_hidden, group_probabilities, prototype_similarity,
};
use crate::net::Net;

/// The groups of a stream. Each experience joins the group of the highest score or opens one
/// (S-PROTO on the first hidden layer, calibrated; the leader rule), looked through before it is
/// learned where that is granted, else after its first batches. Where boundaries are hidden every
/// window is looked at. What was learned before a decision is counted in, and relabelled in the
/// memory, when it is made.
///
/// Every method of it goes to the call of the learner that has its name.
#[derive(Clone, Debug)]
pub struct Discovery {
    options: Grouping,
    grants: Grants,
    classes: usize,
    width: usize,
    standing: Standing,
    window: Window,
    /// Sums of inputs by class, group by group, in the order of `standing.open`.
    means: Vec<ClassMeans>,
}

/// Everything that is not a tensor.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Standing {
    /// Open groups, ascending.
    open: Vec<usize>,
    current: usize,
    known: GroupSimilarities,
    /// The experience has been put into a group; until then its batches wait in the window.
    decided: bool,
    hysteresis: Hysteresis,
    /// How often a group was entered, the same one again included.
    entries: u64,
}

impl Discovery {
    /// No group yet; `options` have been [checked](Grouping::check).
    pub fn new(options: Grouping, grants: Grants, classes: usize, width: usize) -> Self {
        let hysteresis = Hysteresis::new(options.confirm);
        let known = GroupSimilarities::default();
        let (open, current, decided, entries) = (Vec::new(), 0, false, 0);
        let standing = Standing { open, current, known, decided, hysteresis, entries };
        let (window, means) = (Window::default(), Vec::new());
        Discovery { options, grants, classes, width, standing, window, means }
    }

    /// γ, the group that is being learned. 0 before the first experience.
    pub fn current(&self) -> usize {
        self.standing.current
    }

    /// Numbers of the open groups, ascending; none before the first experience.
    pub fn open(&self) -> &[usize] {
        &self.standing.open
    }

    /// How often a group was entered, the same one again included: whoever makes something of the
    /// group at hand makes it anew when this has risen.
    pub fn entries(&self) -> u64 {
        self.standing.entries
    }

    /// The group of every row of a draw. One that is not open can only come from another run's
    /// memory: it counts as γ's.
    pub fn of_rows(&self, rows: &Rows<'_>) -> Vec<usize> {
        let current = self.current();
        let of = |group: &u32| match self.standing.open.contains(&(*group as usize)) {
            true => *group as usize,
            false => current,
        };
        match rows.groups() {
            Some(groups) => groups.iter().map(of).collect(),
            None => vec![current; rows.len()],
        }
    }

    /// `s(γ, g)` for every open group under a control, in the order of [`open`](Self::open).
    pub fn similarities(&self, control: Control) -> Vec<f32> {
        let open = &self.standing.open;
        let Some(here) = open.iter().position(|group| *group == self.current()) else {
            return Vec::new();
        };
        let matrix = self.standing.known.matrix(open, control);
        matrix[here * open.len()..][..open.len()].to_vec()
    }

    /// π, `[n, open groups]`: the probability of each group from the nearest class mean of the
    /// inputs.
    pub fn probabilities(&self, inputs: &[f32], temperature: f32) -> Vec<f32> {
        group_probabilities(inputs, &self.means.iter().collect::<Vec<_>>(), temperature)
    }

    /// The first experience opens a group without a look. A later one is looked at, where it may be
    /// gone through; `net` gives the features. A given group is entered in any case: where there was
    /// no look its similarities are measured later, on the first window.
    pub fn begin(&mut self, info: &Experience, net: &Net, host: &mut Host<'_>) -> Result<()> {
        if self.standing.open.is_empty() {
            self.standing.decided = self.grants.boundaries;
            let group = self.given(info.index)?.unwrap_or(0);
            return self.enter(group, &[], host);
        }
        self.standing.decided = self.grants.second_pass;
        if self.grants.second_pass {
            let probe = self.look(host)?;
            let scores = self.scores(&probe, net, host, &mut info.call.rng("similarity"))?;
            let group = self.decide(info.index, &scores)?;
            self.enter(self.number(group), &scores, host)?;
        } else if let Some(group) = self.given(info.index)? {
            self.enter(group, &[], host)?;
        }
        Ok(())
    }

    /// After a step: the batch is counted in, or waits; a full window is decided.
    pub fn observe(&mut self, step: &Step<'_>, net: &Net, host: &mut Host<'_>) -> Result<()> {
        if self.standing.open.is_empty() {
            let message = "a step before the first experience, which opens the first group";
            return Err(Error::new(message));
        }
        if self.standing.decided {
            self.count(step.current.inputs(), step.current.labels());
            return Ok(());
        }
        self.window.push(&step.current, self.width);
        let waiting = self.standing.hysteresis.waiting() * self.options.window;
        if self.window.len() - waiting < self.options.window {
            return Ok(());
        }
        let index = step.position.map(|position| position.experience);
        self.look_back(index, net, &mut step.call.rng("similarity"), host)
    }

    /// An experience shorter than a window is decided by what there was of it.
    pub fn end(&mut self, info: &Experience, net: &Net, host: &mut Host<'_>) -> Result<()> {
        match self.standing.decided || self.window.is_empty() {
            true => Ok(()),
            false => self.look_back(info.index, net, &mut info.call.rng("similarity"), host),
        }
    }

    /// At the end of the stream what is still in doubt stays with the group it was learned as.
    pub fn finish(&mut self, _: &Call) {
        self.settle(0);
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.window.bytes() + self.means.iter().map(ClassMeans::bytes).sum::<u64>()
    }

    pub fn save(&self, out: &mut StateWriter) -> Result<()> {
        out.value("groups", &self.standing)?;
        self.window.save(out)?;
        for (group, means) in self.standing.open.iter().zip(&self.means) {
            let (sums, counts) = means.parts();
            out.tensor(&format!("means-{group}.sums"), &[self.classes, self.width], sums)?;
            out.tensor(&format!("means-{group}.counts"), &[self.classes], counts)?;
        }
        Ok(())
    }

    pub fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.standing = saved.value("groups")?;
        self.window = Window::load(saved, self.width)?;
        self.means.clear();
        for group in &self.standing.open {
            let shape = [self.classes, self.width];
            let sums = saved.tensor(&format!("means-{group}.sums"), &shape)?;
            let counts = saved.tensor(&format!("means-{group}.counts"), &[self.classes])?;
            let means = ClassMeans::from_parts(self.width, sums, counts);
            let unfit = || Error::state("class means and counts do not fit together");
            self.means.push(means.ok_or_else(unfit)?);
        }
        Ok(())
    }

    /// The group that was given for an experience; `None` where groups are found.
    fn given(&self, index: Option<u32>) -> Result<Option<usize>> {
        let groups = &self.options.groups;
        let Some(index) = index.filter(|_| !groups.is_empty()) else { return Ok(None) };
        let found = || format!("{} for experience {index}", groups.len());
        let missing = || Error::config("groups", "a group for every experience", found());
        groups.get(index as usize).copied().map(Some).ok_or_else(missing)
    }

    /// A look at the experience before it is learned.
    fn look(&self, host: &mut Host<'_>) -> Result<Samples> {
        let mut batches = host.iterate(&Iterate {
            source: Source::Current,
            filter: Filter::All,
            profile: Profile::None,
            batch: self.options.probe,
            epochs: 1,
            shuffled: true,
            columns: vec![],
        })?;
        let Some(rows) = batches.next()? else { return Ok(Samples::default()) };
        let (values, labels) = (rows.inputs().to_vec(), rows.labels().to_vec());
        Ok(Samples { values, width: self.width, labels })
    }

    /// The score of every open group. A group of which the memory holds nothing scores 0; samples
    /// that wait for a decision are not compared with.
    fn scores(
        &self,
        probe: &Samples,
        net: &Net,
        host: &mut Host<'_>,
        rng: &mut impl Rng,
    ) -> Result<Vec<(usize, Score)>> {
        let (undecided, features) = (self.window.uids(), first_hidden(net, probe));
        let mut scores = Vec::new();
        for &group in &self.standing.open {
            let reference = self.reference(group, &undecided, host)?;
            let reference = first_hidden(net, &reference);
            let score = calibrated(&features, &reference, Null::Labels, rng, prototype_similarity);
            scores.push((group, score));
        }
        Ok(scores)
    }

    fn reference(
        &self,
        group: usize,
        undecided: &BTreeSet<u64>,
        host: &mut Host<'_>,
    ) -> Result<Samples> {
        let request = Request::memory("similarity", self.options.probe);
        let request = request.filter(Filter::Group(group as u32)).profile(Profile::None);
        let drawn = host.draw(&request)?;
        let rows = &drawn[0];
        let (values, labels) = (rows.inputs().to_vec(), rows.labels().to_vec());
        let samples = Samples { values, width: self.width, labels };
        let decided = (0..rows.len()).filter(|&row| !undecided.contains(&rows.uids()[row]));
        Ok(samples.select(&decided.collect::<Vec<_>>()))
    }

    fn decide(&self, index: Option<u32>, scores: &[(usize, Score)]) -> Result<Decision> {
        if let Some(group) = self.given(index)? {
            return Ok(Decision::Join(group));
        }
        let unclipped: Vec<(usize, f32)> = scores.iter().map(|(g, s)| (*g, s.unclipped)).collect();
        Ok(self.options.leader()?.decide(&unclipped))
    }

    /// The number of the group that a decision leads to.
    fn number(&self, decision: Decision) -> usize {
        match decision {
            Decision::Join(group) | Decision::Full(group) => group,
            Decision::Open => self.standing.open.last().map_or(0, |last| last + 1),
        }
    }

    /// `group` is the one being learned from now on; it opens if it is not open.
    fn enter(
        &mut self,
        group: usize,
        scores: &[(usize, Score)],
        host: &mut Host<'_>,
    ) -> Result<()> {
        if let Err(place) = self.standing.open.binary_search(&group) {
            self.standing.open.insert(place, group);
            self.means.insert(place, ClassMeans::new(self.classes, self.width));
        }
        self.standing.current = group;
        self.standing.entries += 1;
        for (other, score) in scores {
            self.standing.known.record(group, *other, score.clipped());
        }
        let similarities = scores.iter().map(|(g, score)| (*g as u32, score.clipped())).collect();
        host.report_growth(&GrowthEvent::Grouped { group: group as u32, similarities })
    }

    /// Measures the newest window, decides and acts. What is in doubt goes on waiting.
    fn look_back(
        &mut self,
        index: Option<u32>,
        net: &Net,
        rng: &mut impl Rng,
        host: &mut Host<'_>,
    ) -> Result<()> {
        let hidden = !self.grants.boundaries;
        self.standing.decided = !hidden;
        if self.means.iter().all(|means| means.count() == 0.0) {
            // The first group opened for the first window: there is nothing to compare it with.
            self.settle(0);
            return Ok(());
        }
        let probe = self.window.probe(self.options.window, self.options.probe);
        let scores = self.scores(&probe, net, host, rng)?;
        let decision = self.decide(index, &scores)?;
        let current = self.standing.current;
        let confirmed = match hidden {
            true => self.standing.hysteresis.confirmed(decision, current),
            false => Some(decision),
        };
        if let Some(decision) = confirmed {
            self.enter(self.number(decision), &scores, host)?;
            if self.standing.current != current {
                self.relabel_window(host)?;
            }
        }
        self.settle(self.standing.hysteresis.waiting() * self.options.window);
        Ok(())
    }

    /// Counts the waiting batches in for the current group, all but the newest `keep`.
    fn settle(&mut self, keep: usize) {
        for batch in self.window.release(keep) {
            self.count(&batch.values, &batch.labels);
        }
    }

    fn count(&mut self, inputs: &[f32], labels: &[u32]) {
        let place = self.standing.open.iter().position(|group| *group == self.standing.current);
        if let Some(place) = place {
            self.means[place].add(inputs, labels);
        }
    }

    /// What the window brought into the memory is of the current group.
    fn relabel_window(&self, host: &mut Host<'_>) -> Result<()> {
        let recent = self.window.uids();
        let mut held = host.iterate(&Iterate {
            source: Source::Memory,
            filter: Filter::All,
            profile: Profile::None,
            batch: self.options.probe,
            epochs: 1,
            shuffled: false,
            columns: vec![],
        })?;
        let (mut slots, mut uids) = (Vec::new(), Vec::new());
        while let Some(rows) = held.next()? {
            let places = rows.slots().unwrap_or_default().iter().zip(rows.uids());
            for (slot, uid) in places.filter(|(_, uid)| recent.contains(uid)) {
                slots.push(*slot);
                uids.push(*uid);
            }
        }
        host.relabel(&slots, &uids, &vec![self.standing.current as u32; slots.len()])
    }
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
