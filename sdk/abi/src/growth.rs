//! Events that the host understands: how a learner's networks and groups grow. From these it shows a time
//! line and, where a benchmark knows the true groups, how well they were found. Everything else that a
//! learner reports is kept and shown as it is.

use serde::{Deserialize, Serialize};

use crate::message::EventMsg;

/// An event of growth. Its `kind` is the name in snake case, its `data` the fields; further fields are kept and
/// not read.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum GrowthEvent {
    /// A network opened, for samples unlike those of the networks before.
    Opened {
        group: u32,
        /// Networks of this sort that exist now.
        networks: u32,
        /// Each group that was there and the calibrated similarity to it.
        #[serde(default)]
        similarities: Vec<(u32, f32)>,
    },
    /// What is being learned belongs to this group from now on. Said at least once for every experience that
    /// the learner can tell apart; the last word of an experience counts.
    Grouped {
        group: u32,
        #[serde(default)]
        similarities: Vec<(u32, f32)>,
    },
    /// All that belonged to `group` belongs to `into`; the name `group` may be given again.
    Merged {
        group: u32,
        into: u32,
        networks: u32,
        /// Similarity of the two, for which they were chosen.
        #[serde(default)]
        similarity: Option<f32>,
        /// The network that the merged group goes on with.
        #[serde(default)]
        kept: Option<Kept>,
        /// What that was decided by; `None` where there were no samples to tell.
        #[serde(default)]
        losses: Option<MergeLosses>,
    },
}

/// Which network a merged group goes on with.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The average of both.
    Average,
    /// That of `into`.
    Into,
    /// That of `group`.
    Group,
}

/// Losses of the three candidates on the samples of both groups.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct MergeLosses {
    pub average: f32,
    pub into: f32,
    pub group: f32,
}

impl GrowthEvent {
    /// Reads an event; `None` for one of another kind, or without the fields that its kind needs.
    pub fn read(event: &EventMsg) -> Option<GrowthEvent> {
        serde_json::from_value(serde_json::to_value(event).ok()?).ok()
    }

    /// The event as it is reported.
    pub fn to_event(&self) -> EventMsg {
        let value = serde_json::to_value(self).and_then(serde_json::from_value);
        value.expect("an event of growth is a kind and plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_what_its_schema_says() {
        let similarities = vec![(0, 0.25)];
        let opened = GrowthEvent::Opened { group: 1, networks: 2, similarities };
        let event = opened.to_event();
        assert_eq!(event.kind, "opened");
        let data = json!({ "group": 1, "networks": 2, "similarities": [[0, 0.25]] });
        assert_eq!(event.data, data);
        assert_eq!(GrowthEvent::read(&event), Some(opened));
    }

    #[test]
    fn a_merge_says_why() {
        let losses = Some(MergeLosses { average: 0.5, into: 1.5, group: 0.25 });
        let merged = GrowthEvent::Merged {
            group: 1,
            into: 0,
            networks: 1,
            similarity: Some(0.75),
            kept: Some(Kept::Group),
            losses,
        };
        let event = merged.to_event();
        let why = json!({ "average": 0.5, "into": 1.5, "group": 0.25 });
        assert_eq!(
            (&event.data["similarity"], &event.data["kept"]),
            (&json!(0.75), &json!("group"))
        );
        assert_eq!(event.data["losses"], why);
        assert_eq!(GrowthEvent::read(&event), Some(merged));
        let bare = json!({ "group": 1, "into": 0, "networks": 1 });
        let read = GrowthEvent::read(&EventMsg { kind: "merged".into(), data: bare });
        assert!(matches!(read, Some(GrowthEvent::Merged { similarity: None, losses: None, .. })));
    }

    #[test]
    fn other_events_are_not_read_and_further_fields_do_not_matter() {
        let read = |kind: &str, data| GrowthEvent::read(&EventMsg { kind: kind.into(), data });
        assert_eq!(read("milestone", json!({ "group": 1 })), None);
        assert_eq!(read("merged", json!({ "group": 1 })), None);
        let expected = GrowthEvent::Grouped { group: 3, similarities: Vec::new() };
        assert_eq!(read("grouped", json!({ "group": 3, "why": "like it" })), Some(expected));
    }
}
