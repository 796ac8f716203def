//! The step of SG-CLS. Symbols are those of the README: θ_W the working network, θ_g the memory of
//! group g, θ_S the average over all groups, γ the group that is being learned, s the similarity of
//! two groups.

use perdura_nn::similarity::{
    ClassMeans, GroupSimilarities, Hysteresis, Samples, Window, first_hidden,
};
use perdura_nn::teaching::{Learned, Lesson, updates, warm_up};
use perdura_nn::{Net, Network};
use perdura_sdk::prelude::*;
use perdura_sdk::rand;

use crate::config::{Config, GroupUpdate, Others, Prototypes};
use crate::memories::{Memories, Memory};
use crate::teachers::{Similarities, target};
use crate::views::Asked;

/// The learner.
pub struct SgCls {
    pub(crate) config: Config,
    pub(crate) grants: perdura_sdk::Grants,
    pub(crate) classes: usize,
    /// θ_W; with one trained network per group, that of γ.
    pub(crate) working: Net,
    /// θ_S.
    pub(crate) global: Option<Net>,
    /// θ_W as it began, where features of it are used.
    pub(crate) initial: Option<Net>,
    pub(crate) memories: Memories,
    /// γ.
    pub(crate) current: usize,
    pub(crate) known: GroupSimilarities,
    /// Similarities as the method is given them, over the open groups.
    pub(crate) given: Vec<f32>,
    /// n, never reset.
    pub(crate) steps: u64,
    /// The first experience has begun.
    pub(crate) begun: bool,
    pub(crate) window: Window,
    /// The experience has been put into a group; until then its batches wait in the window.
    pub(crate) decided: bool,
    pub(crate) hysteresis: Hysteresis,
    /// Answers to the last question; forgotten when anything is learned.
    pub(crate) asked: Asked,
}

impl SgCls {
    pub(crate) fn new(config: Config, ctx: &Context) -> Result<SgCls> {
        let working = Net::of(ctx, &config.backbone())?;
        let mut learner = SgCls {
            grants: ctx.grants,
            classes: ctx.classes,
            global: config.has_global().then(|| working.clone()),
            initial: config.keeps_initial().then(|| working.clone()),
            memories: Memories::new(config.groups_max),
            current: 0,
            known: GroupSimilarities::default(),
            given: Vec::new(),
            steps: 0,
            begun: false,
            window: Window::default(),
            decided: false,
            hysteresis: Hysteresis::new(config.confirm),
            asked: Asked::default(),
            working,
            config,
        };
        for group in 0..learner.config.open_at_start {
            let memory = learner.memory(&learner.working);
            learner.memories.put(group, memory);
        }
        Ok(learner)
    }

    /// A memory that begins as a copy of `from`.
    pub(crate) fn memory(&self, from: &Net) -> Memory {
        let trained = (self.config.group_update == GroupUpdate::Gradient).then(|| from.clone());
        let means = ClassMeans::new(self.classes, self.prototype_width());
        Memory { average: from.clone(), trained, opened_at: self.steps, samples: 0, means }
    }

    fn prototype_width(&self) -> usize {
        match (self.config.prototypes, &self.initial) {
            (Prototypes::Initial, Some(net)) => {
                let one = Samples {
                    values: vec![0.0; self.width()],
                    width: self.width(),
                    labels: vec![0],
                };
                first_hidden(net, &one).width
            }
            _ => self.width(),
        }
    }

    /// Samples in the space of the prototypes.
    pub(crate) fn prototype_features(&self, inputs: &[f32], labels: &[u32]) -> Samples {
        let inputs =
            Samples { values: inputs.to_vec(), width: self.width(), labels: labels.to_vec() };
        match (self.config.prototypes, &self.initial) {
            (Prototypes::Initial, Some(net)) => first_hidden(net, &inputs),
            _ => inputs,
        }
    }

    /// Numbers in one input.
    pub(crate) fn width(&self) -> usize {
        self.working.backbone.inputs()
    }

    /// The similarities under the control in force; to be made anew when groups or measurements
    /// change.
    pub(crate) fn give_similarities(&mut self) {
        self.given = self.known.matrix(&self.memories.open(), self.config.control());
    }

    /// The gradient step of the working network, taught by the memories.
    pub(crate) fn learn(&mut self, current: &Rows<'_>, replay: &Rows<'_>) -> Result<Learned> {
        let groups = self.memories.open();
        let place = |group: usize| groups.iter().position(|&open| open == group);
        let here = place(self.current).expect("the current group is open");
        // A sample of a group that is not open can only come from another run's memory.
        let of = |group: &u32| place(*group as usize).unwrap_or(here);
        let places: Vec<usize> = replay.groups().unwrap_or(&[]).iter().map(of).collect();
        let similarities = Similarities { groups: &groups, matrix: &self.given, current: here };
        let Config { reg_weight, lr, .. } = self.config;
        let lesson = Lesson { current, replay, reg_weight, lr };
        let (memories, config) = (&mut self.memories, &self.config);
        lesson.learn(&mut self.working, |x_m, y_m| {
            let mut teachers: Vec<&mut Net> =
                memories.iter_mut().map(|(_, memory)| &mut memory.average).collect();
            match config.group_update {
                GroupUpdate::Ema => {
                    target(config, &similarities, &mut teachers, &places, (x_m, y_m))
                }
                // The network of a group is taught by its own average alone.
                GroupUpdate::Gradient => {
                    let own =
                        Similarities { groups: &groups[here..=here], matrix: &[1.0], current: 0 };
                    let places = vec![0; places.len()];
                    target(config, &own, &mut teachers[here..=here], &places, (x_m, y_m))
                }
            }
        })
    }

    /// `r_g = r_min + (r_max − r_min)·s(γ, g)^q`, unless rates were given; for every open group.
    pub(crate) fn rates(&self) -> Vec<f64> {
        let Config { r_max, q, .. } = self.config;
        let r_min = self.config.r_min();
        let groups = self.memories.open();
        let here = groups.iter().position(|&g| g == self.current).expect("γ is open");
        let rate = |(place, group): (usize, &usize)| match self.config.rates.get(*group) {
            Some(rate) => *rate,
            None => {
                let s = f64::from(self.given[here * groups.len() + place]);
                r_min + (r_max - r_min) * s.powf(q)
            }
        };
        groups.iter().enumerate().map(rate).collect()
    }

    /// After the gradient step: `n ← n + 1`; the memories that are due and θ_S, all in one pass
    /// over θ_W. Every network takes its draw whether or not it is due, group by group, then θ_S.
    pub(crate) fn consolidate(
        &mut self,
        step: &Step<'_>,
        host: &mut Host<'_>,
        rng: &mut impl rand::Rng,
    ) -> Result<()> {
        self.steps += 1;
        let rates =
            self.rates().into_iter().chain(self.global.as_ref().map(|_| self.config.r_global));
        let due = updates(rng, rates);
        let groups = self.memories.open();
        match self.config.group_update {
            GroupUpdate::Ema => self.follow_working(&due),
            GroupUpdate::Gradient => {
                let current = self.current;
                let own: Vec<bool> = groups.iter().map(|group| *group == current).collect();
                self.follow_working(&own);
                if self.config.others == Others::Follow {
                    let others = groups.into_iter().zip(due);
                    for (group, _) in others.filter(|(g, due)| *due && *g != current) {
                        self.train_other(group, step, host)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `θ_g ← α·θ_g + (1 − α)·θ_W` for the memories that are due, and θ_S, whose word is the last.
    fn follow_working(&mut self, due: &[bool]) {
        let (steps, config) = (self.steps, &self.config);
        let mut followers: Vec<(&mut Net, f64)> = Vec::new();
        let memories = self.memories.iter_mut().zip(due);
        for ((group, memory), _) in memories.filter(|(_, due)| **due) {
            let alpha = memory.decay(steps, config.alpha_of(group));
            followers.push((&mut memory.average, alpha));
        }
        if let Some(global) = &mut self.global
            && due.last() == Some(&true)
        {
            followers.push((global, warm_up(steps, config.alpha_global)));
        }
        config.ema_bn.follow(&mut self.working, followers);
    }

    /// The network of another group takes a step of its own, on the batch and its own replay; its
    /// average follows it.
    fn train_other(&mut self, group: usize, step: &Step<'_>, host: &mut Host<'_>) -> Result<()> {
        let request = Request::memory("others", self.config.replay);
        let drawn = host.draw(&request.filter(Filter::Group(group as u32)))?;
        let Config { reg_weight, lr, ema_bn, .. } = self.config;
        let lesson = Lesson { current: &step.current, replay: &drawn[0], reg_weight, lr };
        let alpha = self.config.alpha_of(group);
        let memory = self.memories.at(group);
        let alpha = memory.decay(self.steps, alpha);
        let Memory { average, trained, .. } = memory;
        let trained = trained.as_mut().expect("the network of a group that is not being learned");
        lesson.learn(trained, |x_m, _| {
            let logits = ema_bn.answer(average, x_m)?;
            Ok(perdura_nn::teaching::Target { logits, weights: None })
        })?;
        ema_bn.follow(trained, vec![(average, alpha)]);
        Ok(())
    }

    /// Counts samples in for the group that is being learned.
    pub(crate) fn count(&mut self, inputs: &[f32], labels: &[u32]) {
        let features = self.prototype_features(inputs, labels);
        let memory = self.memories.at(self.current);
        memory.samples += labels.len() as u64;
        memory.means.add(&features.values, &features.labels);
    }

    /// Bytes of all networks.
    pub(crate) fn network_bytes(&self) -> u64 {
        let single = [Some(&self.working), self.global.as_ref(), self.initial.as_ref()];
        let single: u64 = single.into_iter().flatten().map(Network::bytes).sum();
        single + self.memories.iter().map(|(_, memory)| memory.bytes()).sum::<u64>()
    }
}

#[cfg(test)]
#[path = "method_tests.rs"]
mod tests;
