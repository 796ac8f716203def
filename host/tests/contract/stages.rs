//! DualNet: the batch enters the memory before the draws, slow steps look at the past in several views,
//! and soft labels are written when an experience ends.

use super::harness::*;
use perdura_sdk::prelude::*;
use std::collections::BTreeSet;

/// K x n_outer of the slow learner.
const REPEATS: usize = 3;

#[derive(Default)]
struct DualNet;

impl Toy for DualNet {
    fn declare() -> Declaration {
        let slow = Request::memory("slow", 4)
            .source(Source::CurrentOrMemory)
            .filter(Filter::Past)
            .repeats(REPEATS)
            .views(2)
            .profile(Profile::Ssl)
            .column("soft");
        Declaration::new()
            .view("main")
            .column("soft", 1)
            .request(slow)
            .request(Request::memory("fast", 6).column("soft"))
            .wishes(Wishes { insert: Insert::BeforeDraws, ..Wishes::default() })
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let now = step.position.unwrap().experience;
        note("current", &step.current);
        assert_eq!(step.repeats("slow").count(), REPEATS);
        for slow in step.repeats("slow") {
            note("slow", slow);
            say("view", slow.view(0));
            say("view", slow.view(1));
            assert_eq!(slow.column("soft")?.present, vec![u8::from(now > 0); slow.len()]);
        }
        let fast = step.draw("fast")?;
        note("fast", fast);
        let soft = fast.column("soft")?;
        for (row, &uid) in fast.uids().iter().enumerate() {
            // Written when the experience ended, so those of the current one have none yet.
            let past = fast.experiences().unwrap()[row] < now;
            assert_eq!(soft.present[row], u8::from(past));
            assert_eq!(soft.values[row], if past { uid as f32 } else { 0.0 });
        }
        Ok(StepReport::new())
    }

    fn end(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        let (filter, profile, columns) = (Filter::Finished, Profile::None, Vec::new());
        let (source, batch, epochs, shuffled) = (Source::Memory, 5, 1, false);
        let plan = Iterate { source, filter, profile, batch, epochs, shuffled, columns };
        let (mut slots, mut uids) = (Vec::new(), Vec::new());
        let mut batches = host.iterate(&plan)?;
        while let Some(rows) = batches.next()? {
            note("finished", &rows);
            slots.extend_from_slice(rows.slots().unwrap());
            uids.extend_from_slice(rows.uids());
        }
        let soft: Vec<f32> = uids.iter().map(|&uid| uid as f32).collect();
        host.write_column("soft", &slots, &uids, &soft)
    }
}

#[test]
fn dualnet_draws_from_the_batch_first_and_from_the_past_later() {
    let ran = Setup { augment: true, ..Setup::memory(14) }.run::<DualNet>().unwrap();
    let (current, slow, fast) = (ran.rows("current"), ran.rows("slow"), ran.rows("fast"));
    assert_eq!(sorted(&fast[0].uids), current[0].sorted(), "the batch is in the memory already");
    for (number, draw) in slow.iter().enumerate() {
        let step = number / REPEATS;
        if step < 3 {
            assert_eq!((&draw.uids, &draw.slots), (&current[step].uids, &None));
        } else {
            let past = |&uid: &u64| experience_of(uid) < step as u32 / 3;
            assert!(draw.uids.iter().all(past) && !draw.uids.is_empty() && draw.slots.is_some());
        }
    }
    let drawn_anew = |step: usize| slow[REPEATS * step].uids != slow[REPEATS * step + 1].uids;
    assert!((3..9).any(drawn_anew), "repeats are independent draws");
    for rows in ran.rows("finished") {
        let experiences = rows.experiences.as_ref().unwrap();
        assert!(experiences.iter().all(|e| *e == experiences[0]), "one experience at a time");
    }
}

/// In the first steps all repeats look at the same batch, so only chance tells their views apart.
#[test]
fn dualnet_looks_at_every_view_of_every_repeat_with_chance_of_its_own() {
    let run = |seed| Setup { augment: true, seed, ..Setup::memory(14) }.run::<DualNet>().unwrap();
    let (one, again, other) = (run(3), run(3), run(4));
    let views = one.said("view");
    assert_eq!(views.len(), 9 * REPEATS * 2);
    assert_eq!(views.iter().collect::<BTreeSet<_>>().len(), views.len(), "no view comes twice");
    assert_eq!(views, again.said("view"));
    assert!(other.said("view").iter().all(|view| !views.contains(view)));
}

#[derive(Default)]
struct Ssl;

impl Toy for Ssl {
    fn declare() -> Declaration {
        Declaration::new().view("main").request(Request::memory("slow", 4).profile(Profile::Ssl))
    }
}

#[test]
fn a_profile_that_the_benchmark_lacks_is_refused_by_name() {
    let error = Setup::memory(8).run::<Ssl>().err().unwrap();
    let expected = "request `slow`: augmentation profile `ssl` is not offered by benchmark `toy`; use \
                    `train` or `none`";
    assert_eq!(error, expected);
}
