//! SG-CLS: groups of samples that the learner names, events, and views that open on the way.

use super::harness::*;
use perdura::run::After;
use perdura_sdk::prelude::*;

const GROUP: u32 = 7;

/// Puts the samples of the first experience into a group of their own and opens a network for it.
#[derive(Default)]
struct SgCls {
    opened: bool,
}

impl SgCls {
    fn regroup(&self, host: &mut Host<'_>) -> Result<()> {
        let all = host.draw(&Request::memory("all", 100))?.remove(0);
        let first = |row: &usize| experience_of(all.uids()[*row]) == 0;
        let rows: Vec<usize> = (0..all.len()).filter(first).collect();
        let slots: Vec<u32> = rows.iter().map(|&row| all.slots().unwrap()[row]).collect();
        let uids: Vec<u64> = rows.iter().map(|&row| all.uids()[row]).collect();
        host.relabel(&slots, &uids, &vec![GROUP; uids.len()])?;
        // A slot that holds another sample by now is passed over.
        host.relabel(&slots, &vec![u64::MAX; slots.len()], &vec![9; slots.len()])
    }
}

impl Toy for SgCls {
    fn declare() -> Declaration {
        let group = |name, group| Request::memory(name, 3).filter(Filter::Group(group));
        let expert = View { name: "expert".into(), needs: ViewNeeds::Nothing, until_opened: true };
        Declaration::new()
            .view("stable")
            .special_view(expert)
            .request(group("group", GROUP))
            .request(group("rest", 0))
            .request(group("stale", 9))
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        note("group", step.draw("group")?);
        note("rest", step.draw("rest")?);
        assert!(step.draw("stale")?.is_empty());
        if step.index == 3 {
            self.regroup(host)?;
            let drawn = host.draw(&Request::memory("now", 2).filter(Filter::Group(GROUP)))?;
            note("at once", &drawn[0]);
        }
        if step.index == 4 {
            self.opened = true;
            let why = perdura_sdk::serde_json::json!({ "group": GROUP });
            return Ok(StepReport::new().event("opened", why));
        }
        Ok(StepReport::new())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        if query.view == "expert" && !self.opened {
            logits.not_open();
        }
        Ok(())
    }

    fn state(&self) -> f32 {
        f32::from(u8::from(self.opened))
    }

    fn restore(&mut self, opened: f32) {
        self.opened = opened > 0.0;
    }
}

#[test]
fn sg_cls_draws_by_the_groups_it_gave() {
    let ran = Setup::memory(100).run::<SgCls>().unwrap();
    for (step, (group, rest)) in ran.rows("group").iter().zip(ran.rows("rest")).enumerate() {
        assert_eq!(group.uids.is_empty(), step < 4);
        assert_eq!(rest.uids.is_empty(), step == 0, "step {step}");
        assert!(group.uids.iter().all(|&uid| experience_of(uid) == 0));
        assert!(group.groups.as_ref().unwrap().iter().all(|&g| g == GROUP));
        assert!(step < 4 || rest.uids.iter().all(|&uid| experience_of(uid) > 0));
    }
    assert_eq!(ran.rows("at once")[0].groups, Some(vec![GROUP; 2]), "in the same call");
}

#[test]
fn sg_cls_events_carry_their_step_and_views_open_when_it_says_so() {
    let ran = Setup::memory(100).run::<SgCls>().unwrap();
    assert_eq!(ran.events.len(), 1);
    let (step, event) = &ran.events[0];
    assert_eq!((*step, event.kind.as_str(), &event.data["group"]), (4, "opened", &GROUP.into()));
    let open = |view: usize| -> Vec<(After, bool)> {
        let of = |(after, views): &(After, Vec<_>)| {
            let scored: &perdura::score::ViewPredictions = &views[view];
            (*after, scored.predictions.is_some())
        };
        ran.scores.iter().map(of).collect()
    };
    let after = [After::Initial, After::Experience(0), After::Experience(1), After::Experience(2)];
    assert_eq!(open(0), after.map(|a| (a, true)));
    assert_eq!(open(1), [0, 1, 2, 3].map(|i| (after[i], i >= 2)));
}

/// Puts every batch into the group of its experience, and tells when it did.
#[derive(Default)]
struct ByExperience {
    group: u32,
}

impl Toy for ByExperience {
    fn declare() -> Declaration {
        Declaration::new().view("main").uses_memory()
    }

    fn begin(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.group = 10 + info.index.unwrap();
        host.report_event("grouped", perdura_sdk::serde_json::json!({ "group": self.group }))
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        if step.index != 4 {
            return Ok(StepReport::new().group(self.group));
        }
        host.report_event("first", perdura_sdk::serde_json::json!({}))?;
        Ok(StepReport::new().event("second", perdura_sdk::serde_json::json!({})))
    }

    fn end(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        host.report_event("ended", perdura_sdk::serde_json::json!({}))
    }

    fn finish(&mut self, _: &Call, host: &mut Host<'_>) -> Result<()> {
        host.report_event("over", perdura_sdk::serde_json::json!({}))
    }
}

#[test]
fn a_batch_enters_the_memory_with_the_group_that_the_report_names() {
    let memory = Setup::memory(100).run::<ByExperience>().unwrap().memory.unwrap();
    let unnamed = (0..memory.len() as u32).filter(|&slot| memory.group(slot) == 0).count();
    assert_eq!((memory.len(), unnamed), (36, 4), "the batch of step 4");
    for slot in (0..36).filter(|&slot| memory.group(slot) != 0) {
        assert_eq!(memory.group(slot), 10 + memory.experience(slot));
    }
}

#[test]
fn events_come_from_boundaries_and_steps_in_order() {
    let ran = Setup::memory(100).run::<ByExperience>().unwrap();
    let events: Vec<(u64, &str)> = ran.events.iter().map(|(s, e)| (*s, e.kind.as_str())).collect();
    let expected = [
        (0, "grouped"),
        (3, "ended"),
        (3, "grouped"),
        (4, "first"),
        (4, "second"),
        (6, "ended"),
        (6, "grouped"),
        (9, "ended"),
        (9, "over"),
    ];
    assert_eq!(events, expected);
    assert_eq!(ran.events[2].1.data["group"], 11);
}
