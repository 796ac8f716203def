//! Which group a task joins: the online leader rule, and hysteresis for streams whose boundaries
//! are hidden. Also the hyper-parameters of both, for methods that use `Discovery`.

use perdura_sdk::{Error, Grants, Result};
use serde::{Deserialize, Serialize};

/// How likeness to the members of a group becomes likeness to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Mean,
    Max,
}

impl Link {
    /// The score of a group from those of its members; 0 for a group without members.
    pub fn of(self, members: &[f32]) -> f32 {
        match self {
            _ if members.is_empty() => 0.0,
            Link::Mean => members.iter().sum::<f32>() / members.len() as f32,
            Link::Max => members.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        }
    }
}

/// What becomes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It belongs to this group.
    Join(usize),
    /// It is like none: a new group.
    Open,
    /// It is like none, and there is no room for a new group; this one is nearest.
    Full(usize),
}

/// The online leader rule: join the group of the highest score if that reaches `tau_join`, else
/// open a new one while there are fewer than `groups_max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leader {
    tau_join: f32,
    groups_max: usize,
}

/// A leader rule that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LeaderError {
    #[error("tau_join: expected a number from 0 to 1, found {0}")]
    TauJoin(f32),
    #[error("groups_max: expected at least 1, found 0")]
    NoGroups,
}

impl Leader {
    /// # Errors
    /// `tau_join` outside of [0, 1], or no groups allowed.
    pub fn new(tau_join: f32, groups_max: usize) -> Result<Self, LeaderError> {
        if !(0.0..=1.0).contains(&tau_join) {
            return Err(LeaderError::TauJoin(tau_join));
        }
        if groups_max == 0 {
            return Err(LeaderError::NoGroups);
        }
        Ok(Leader { tau_join, groups_max })
    }

    /// Decides by the **unclipped** scores of the open groups, `(group, score)`: clipped ones tie
    /// at 1. Of equal scores the first counts; one that is not a number counts as 0.
    pub fn decide(&self, scores: &[(usize, f32)]) -> Decision {
        let known = |score: f32| if score.is_nan() { 0.0 } else { score };
        let mut best: Option<(usize, f32)> = None;
        for &(group, score) in scores {
            if best.is_none_or(|(_, highest)| known(score) > highest) {
                best = Some((group, known(score)));
            }
        }
        match best {
            Some((group, score)) if score >= self.tau_join => Decision::Join(group),
            Some((group, _)) if scores.len() >= self.groups_max => Decision::Full(group),
            _ => Decision::Open,
        }
    }
}

/// Lets a decision through once it has been made `confirm` times in a row. One that keeps the
/// current group needs no confirmation and ends any doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hysteresis {
    confirm: usize,
    pending: Option<Decision>,
    times: usize,
}

impl Hysteresis {
    pub fn new(confirm: usize) -> Self {
        Hysteresis { confirm, pending: None, times: 0 }
    }

    /// Decisions in a row that wait for confirmation.
    pub fn waiting(&self) -> usize {
        self.times
    }

    /// The decision, if it is to be acted on now.
    pub fn confirmed(&mut self, decision: Decision, current: usize) -> Option<Decision> {
        if matches!(decision, Decision::Join(g) | Decision::Full(g) if g == current) {
            (self.pending, self.times) = (None, 0);
            return None;
        }
        if self.pending != Some(decision) {
            (self.pending, self.times) = (Some(decision), 0);
        }
        self.times += 1;
        if self.times < self.confirm {
            return None;
        }
        (self.pending, self.times) = (None, 0);
        Some(decision)
    }
}

/// How groups are found. Plugins name the hyper-parameters alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// Hyper-parameter `tau_join`: similarity from which an experience joins a group.
    pub tau_join: f64,
    /// Hyper-parameter `groups_max`: with so many open, what is like none joins the nearest.
    pub groups_max: usize,
    /// Hyper-parameter `groups`: that of experience i, in place of finding it; empty: found.
    pub groups: Vec<usize>,
    /// Hyper-parameter `probe`: samples of each side that are compared.
    pub probe: usize,
    /// Hyper-parameter `window`: batches looked at where the experience cannot be gone through.
    pub window: usize,
    /// Hyper-parameter `confirm`: windows in a row that must agree where boundaries are hidden.
    pub confirm: usize,
}

impl Grouping {
    /// Refuses values outside their range, and groups given where boundaries are hidden.
    pub fn check(&self, grants: &Grants) -> Result<()> {
        self.leader()?;
        for (key, value) in [("window", self.window), ("confirm", self.confirm)] {
            if value == 0 {
                return Err(Error::config(key, "at least 1", value));
            }
        }
        if self.probe < 2 {
            return Err(Error::config("probe", "at least 2", self.probe));
        }
        if let Some(group) = self.groups.iter().find(|group| **group >= self.groups_max) {
            return Err(Error::config("groups", "numbers below groups_max", group));
        }
        if !self.groups.is_empty() && !grants.boundaries {
            let expected = "none where boundaries are hidden";
            return Err(Error::config("groups", expected, format!("{:?}", self.groups)));
        }
        Ok(())
    }

    /// The rule by which an experience is decided.
    pub fn leader(&self) -> Result<Leader> {
        Leader::new(self.tau_join as f32, self.groups_max).map_err(|error| match error {
            LeaderError::TauJoin(_) => {
                Error::config("tau_join", "a number from 0 to 1", self.tau_join)
            }
            LeaderError::NoGroups => Error::config("groups_max", "at least 1", 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_rule_by_hand() {
        let leader = Leader::new(0.5, 3).unwrap();
        assert_eq!(leader.decide(&[]), Decision::Open);
        assert_eq!(leader.decide(&[(0, 0.4)]), Decision::Open);
        assert_eq!(leader.decide(&[(0, 0.5)]), Decision::Join(0));
        assert_eq!(leader.decide(&[(0, 0.6), (4, 0.9)]), Decision::Join(4));
        assert_eq!(leader.decide(&[(0, 0.1), (1, 0.3), (2, 0.2)]), Decision::Full(1));
    }

    /// Both would be 1 if they were clipped, and the first would win.
    #[test]
    fn unclipped_scores_above_one_are_told_apart() {
        let leader = Leader::new(0.5, 3).unwrap();
        assert_eq!(leader.decide(&[(0, 1.1), (1, 1.3)]), Decision::Join(1));
        assert_eq!(leader.decide(&[(0, 0.7), (1, 0.7)]), Decision::Join(0));
    }

    #[test]
    fn what_is_not_a_number_joins_nothing() {
        let leader = Leader::new(0.5, 2).unwrap();
        assert_eq!(leader.decide(&[(0, f32::NAN)]), Decision::Open);
        assert_eq!(leader.decide(&[(0, f32::NAN), (1, 0.6)]), Decision::Join(1));
        assert_eq!(leader.decide(&[(0, 0.1), (1, f32::NAN)]), Decision::Full(0));
    }

    #[test]
    fn bounds_are_checked() {
        let refused = |tau, groups| Leader::new(tau, groups).unwrap_err().to_string();
        assert_eq!(refused(1.5, 2), "tau_join: expected a number from 0 to 1, found 1.5");
        assert_eq!(refused(f32::NAN, 2), "tau_join: expected a number from 0 to 1, found NaN");
        assert_eq!(refused(0.5, 0), "groups_max: expected at least 1, found 0");
    }

    #[test]
    fn links_by_hand() {
        assert_eq!(Link::Mean.of(&[0.2, 0.6]), 0.4);
        assert_eq!(Link::Max.of(&[0.2, 0.6]), 0.6);
        assert_eq!((Link::Mean.of(&[]), Link::Max.of(&[])), (0.0, 0.0));
    }

    #[test]
    fn a_change_must_be_confirmed_in_a_row() {
        let mut hysteresis = Hysteresis::new(2);
        let (stay, go) = (Decision::Join(0), Decision::Join(1));
        assert_eq!((hysteresis.confirmed(go, 0), hysteresis.waiting()), (None, 1));
        assert_eq!((hysteresis.confirmed(stay, 0), hysteresis.waiting()), (None, 0));
        assert_eq!(hysteresis.confirmed(go, 0), None);
        assert_eq!((hysteresis.confirmed(Decision::Open, 0), hysteresis.waiting()), (None, 1));
        assert_eq!(hysteresis.confirmed(go, 0), None);
        assert_eq!((hysteresis.confirmed(go, 0), hysteresis.waiting()), (Some(go), 0));
        assert_eq!(hysteresis.confirmed(go, 0), None, "and begins anew");
        assert_eq!(Hysteresis::new(1).confirmed(go, 0), Some(go));
    }
}
