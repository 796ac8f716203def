//! Which group the experience at hand belongs to: measured, decided, acted on, told.

use perdura_nn::similarity::{Decision, Samples, Score};
use perdura_sdk::{Rng, prelude::*, serde_json::json};
use std::time::Instant;

use crate::config::{AtCapacity, OpenFrom};
use crate::measure::Measure;
use crate::method::SgCls;

impl SgCls {
    /// The first experience needs no look: tells of the groups that were open from the start, and
    /// opens its own if it is not one of them.
    pub(crate) fn open_first(&mut self, index: Option<u32>, host: &mut Host<'_>) -> Result<()> {
        self.begun = true;
        for (count, group) in self.memories.open().into_iter().enumerate() {
            self.tell_opened(group, count + 1, &[], host)?;
        }
        let group = self.given_group(index)?.unwrap_or(0);
        match self.memories.get(group) {
            Some(_) => self.enter(group, &[], host),
            None => self.open(Some(group), &[], host),
        }
    }

    /// The group that was given for an experience; `None` where groups are found.
    pub(crate) fn given_group(&self, index: Option<u32>) -> Result<Option<usize>> {
        let groups = &self.config.groups;
        let Some(index) = index.filter(|_| !groups.is_empty()) else { return Ok(None) };
        match groups.get(index as usize) {
            Some(group) => Ok(Some(*group)),
            None => {
                let found = format!("{} for experience {index}", groups.len());
                Err(Error::config("groups", "a group for every experience", found))
            }
        }
    }

    /// A look at the experience before it is learned, where it may be gone through.
    pub(crate) fn look(&self, host: &mut Host<'_>) -> Result<Samples> {
        let mut batches = host.iterate(&Iterate {
            source: Source::Current,
            filter: Filter::All,
            profile: Profile::None,
            batch: self.config.probe,
            epochs: 1,
            shuffled: true,
            columns: vec![],
        })?;
        let Some(rows) = batches.next()? else { return Ok(Samples::default()) };
        let (values, labels) = (rows.inputs().to_vec(), rows.labels().to_vec());
        Ok(Samples { values, width: self.width(), labels })
    }

    /// The score of every open group, and what there is to say about it.
    pub(crate) fn scores(
        &self,
        probe: &Samples,
        host: &mut Host<'_>,
        rng: &mut Rng,
    ) -> Result<Vec<(usize, Score)>> {
        let begun = Instant::now();
        let measure = Measure {
            config: &self.config,
            stable: self.global.as_ref().unwrap_or(&self.working),
            working: &self.working,
            initial: self.initial.as_ref(),
            memories: &self.memories,
            undecided: self.window.uids(),
        };
        let scores = measure.scores(probe, host, rng)?;
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        perdura_sdk::tracing::info!(ms, "similarity measured");
        for (group, score) in scores.iter().filter(|(_, score)| score.undefined) {
            let raw = score.raw.is_finite().then_some(score.raw);
            host.report_event("similarity_undefined", json!({ "group": group, "raw": raw }))?;
        }
        Ok(scores)
    }

    /// The decision about an experience of which the scores are known.
    pub(crate) fn decide(
        &self,
        given: Option<usize>,
        scores: &[(usize, Score)],
    ) -> Result<Decision> {
        if let Some(group) = given {
            let open = self.memories.get(group).is_some();
            return Ok(if open { Decision::Join(group) } else { Decision::Open });
        }
        let unclipped: Vec<(usize, f32)> = scores.iter().map(|(g, s)| (*g, s.unclipped)).collect();
        Ok(self.config.leader()?.decide(&unclipped))
    }

    /// Acts on a decision.
    pub(crate) fn act(
        &mut self,
        decision: Decision,
        given: Option<usize>,
        scores: &[(usize, Score)],
        host: &mut Host<'_>,
    ) -> Result<()> {
        match decision {
            Decision::Join(group) => self.enter(group, scores, host),
            Decision::Open => self.open(given, scores, host),
            Decision::Full(group) => {
                let pair = match self.config.at_capacity {
                    AtCapacity::Merge => self.most_similar_pair(),
                    AtCapacity::Join => None,
                };
                let Some((into, from)) = pair else { return self.enter(group, scores, host) };
                self.merge(from, into, host)?;
                let left = |(g, score): &(usize, Score)| (*g != from).then_some((*g, *score));
                let scores: Vec<(usize, Score)> = scores.iter().filter_map(left).collect();
                self.open(None, &scores, host)
            }
        }
    }

    fn open(
        &mut self,
        given: Option<usize>,
        scores: &[(usize, Score)],
        host: &mut Host<'_>,
    ) -> Result<()> {
        let group = given.or_else(|| self.memories.free()).expect("there is room for a group");
        let highest = scores.iter().max_by(|(_, a), (_, b)| a.unclipped.total_cmp(&b.unclipped));
        let nearest = highest.and_then(|(g, _)| self.memories.get(*g));
        let from = match (self.config.open_from, nearest) {
            (OpenFrom::MostSimilar, Some(memory)) => memory.average.clone(),
            _ => self.working.clone(),
        };
        let memory = self.memory(&from);
        self.memories.put(group, memory);
        self.tell_opened(group, self.memories.open().len(), scores, host)?;
        self.enter(group, scores, host)
    }

    /// `group` is the one being learned from now on.
    fn enter(
        &mut self,
        group: usize,
        scores: &[(usize, Score)],
        host: &mut Host<'_>,
    ) -> Result<()> {
        if let Some(trained) = self.memories.at(group).trained.take() {
            let rests = std::mem::replace(&mut self.working, trained);
            if group != self.current && self.memories.get(self.current).is_some() {
                self.memories.at(self.current).trained = Some(rests);
            }
        }
        self.current = group;
        for (other, score) in scores {
            self.known.record(group, *other, score.clipped());
        }
        self.give_similarities();
        let (group, similarities) = (group as u32, told(scores));
        host.report_growth(&GrowthEvent::Grouped { group, similarities })
    }

    fn tell_opened(
        &self,
        group: usize,
        networks: usize,
        scores: &[(usize, Score)],
        host: &mut Host<'_>,
    ) -> Result<()> {
        let networks = networks as u32;
        let (group, similarities) = (group as u32, told(scores));
        host.report_growth(&GrowthEvent::Opened { group, networks, similarities })
    }
}

fn told(scores: &[(usize, Score)]) -> Vec<(u32, f32)> {
    scores.iter().map(|(group, score)| (*group as u32, score.clipped())).collect()
}
