//! Follows the events of growth of a run: the group of each experience, and how many networks there were.

use perdura_abi::growth::GrowthEvent;
use perdura_abi::message::EventMsg;
use serde::{Deserialize, Serialize};

use crate::metrics::adjusted_rand_index;
use crate::run::{Grouping, Networks};

/// What a learner has said about its groups.
#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Group of each experience, by the last word that was said in it.
    groups: Vec<Option<u32>>,
    networks: Vec<Networks>,
}

impl Growth {
    pub fn new(experiences: usize) -> Self {
        Growth { groups: vec![None; experiences], networks: Vec::new() }
    }

    /// Takes in an event that came after `step` steps, in `experience`.
    pub fn follow(&mut self, event: &EventMsg, step: u64, experience: usize) {
        match GrowthEvent::read(event) {
            Some(GrowthEvent::Opened { networks, .. }) => {
                self.networks.push(Networks { step, networks });
            }
            Some(GrowthEvent::Grouped { group, .. }) => self.groups[experience] = Some(group),
            Some(GrowthEvent::Merged { group, into, networks, .. }) => {
                for of in self.groups.iter_mut().filter(|of| **of == Some(group)) {
                    *of = Some(into);
                }
                self.networks.push(Networks { step, networks });
            }
            None => {}
        }
    }

    /// The groups of the experiences so far against the true ones; `None` if no experience was grouped. The
    /// index is undefined where an experience was left out or has no true group.
    pub fn grouping(&self, truth: &[Option<u32>]) -> Option<Grouping> {
        let mut names: Vec<u32> = self.groups.iter().copied().flatten().collect();
        names.sort_unstable();
        names.dedup();
        let whole = |groups: &[Option<u32>]| groups.iter().copied().collect::<Option<Vec<u32>>>();
        let both = whole(&self.groups).zip(whole(truth));
        let ari = both.and_then(|(found, truth)| adjusted_rand_index(&found, &truth));
        let (groups, of_experience) = (names.len() as u32, self.groups.clone());
        (groups > 0).then_some(Grouping { groups, ari, of_experience })
    }

    /// Numbers of networks, each from a step on.
    pub fn networks(&self) -> Vec<Networks> {
        self.networks.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(group: u32, networks: u32) -> EventMsg {
        GrowthEvent::Opened { group, networks, similarities: Vec::new() }.to_event()
    }

    fn grouped(group: u32) -> EventMsg {
        GrowthEvent::Grouped { group, similarities: Vec::new() }.to_event()
    }

    #[test]
    fn the_last_word_of_an_experience_counts_and_networks_are_followed() {
        let mut growth = Growth::new(3);
        assert_eq!(growth.grouping(&[Some(0), Some(1), Some(0)]), None);
        for (event, step, experience) in [
            (opened(0, 1), 0, 0),
            (grouped(0), 0, 0),
            (grouped(0), 10, 1),
            (opened(1, 2), 12, 1),
            (grouped(1), 12, 1),
            (grouped(0), 20, 2),
        ] {
            growth.follow(&event, step, experience);
        }
        let found = growth.grouping(&[Some(5), Some(6), Some(5)]).unwrap();
        assert_eq!((found.groups, found.ari), (2, Some(1.0)));
        assert_eq!(found.of_experience, [Some(0), Some(1), Some(0)]);
        let steps = growth.networks().iter().map(|n| (n.step, n.networks)).collect::<Vec<_>>();
        assert_eq!(steps, [(0, 1), (12, 2)]);
        assert_eq!(growth.grouping(&[None; 3]).unwrap().ari, None, "no truth, no index");
    }

    #[test]
    fn a_merged_group_takes_its_experiences_along() {
        let mut growth = Growth::new(2);
        growth.follow(&grouped(0), 0, 0);
        growth.follow(&grouped(1), 5, 1);
        let (similarity, kept, losses) = (None, None, None);
        let merged =
            GrowthEvent::Merged { group: 1, into: 0, networks: 1, similarity, kept, losses };
        growth.follow(&merged.to_event(), 9, 1);
        let found = growth.grouping(&[Some(0), Some(1)]).unwrap();
        assert_eq!((found.groups, found.of_experience), (1, vec![Some(0); 2]));
        assert_eq!(growth.networks()[0].networks, 1);
    }
}
