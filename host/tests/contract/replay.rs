//! Methods that replay in every step: ER, DER++, CLS-ER, MIR.

use super::harness::*;
use perdura_sdk::prelude::*;
use perdura_sdk::rand::Rng as _;
use std::collections::{BTreeMap, BTreeSet};

/// Experience replay: one request of m samples.
#[derive(Default)]
struct Er;

impl Toy for Er {
    fn declare() -> Declaration {
        Declaration::new().view("main").request(Request::memory("replay", 5))
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        note("current", &step.current);
        note("replay", step.draw("replay")?);
        Ok(StepReport::new())
    }
}

#[test]
fn er_draws_what_the_memory_held_before_the_step() {
    let ran = Setup::memory(8).run::<Er>().unwrap();
    let (current, draws) = (ran.rows("current"), ran.rows("replay"));
    assert_eq!(draws.len(), 9);
    let mut offered = BTreeSet::new();
    for (step, draw) in draws.iter().enumerate() {
        assert_eq!(draw.uids.len(), 5.min(4 * step), "step {step}");
        let slots = draw.slots.as_ref().unwrap();
        assert!(slots.iter().all(|&slot| slot < 8));
        assert_eq!(slots.iter().collect::<BTreeSet<_>>().len(), slots.len(), "distinct slots");
        for (row, &uid) in draw.uids.iter().enumerate() {
            assert!(offered.contains(&uid), "step {step} replays sample {uid} before it came");
            assert_eq!(draw.labels[row], class_of(uid));
            assert_eq!(draw.experiences.as_ref().unwrap()[row], experience_of(uid));
            assert_eq!(draw.inputs[16 * row], uid as f32, "the pixels of sample {uid}");
        }
        offered.extend(current[step].uids.iter().copied());
    }
    assert_eq!(offered.len(), 36);
    assert!(ran.held().iter().all(|uid| offered.contains(uid)) && ran.held().len() == 8);
}

/// ER with a request and a column more.
#[derive(Default)]
struct ErAndMore;

impl Toy for ErAndMore {
    fn declare() -> Declaration {
        let more = Request::memory("more", 3).column("logits");
        Declaration::new()
            .view("main")
            .column("logits", 2)
            .request(more)
            .request(Request::memory("replay", 5))
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        host.draw(&Request::memory("replay", 5))?;
        Er.observe(step, host)
    }
}

#[test]
fn equal_requests_of_different_learners_get_equal_draws() {
    let setup = Setup { augment: true, ..Setup::memory(8) };
    let (one, other) = (setup.run::<Er>().unwrap(), setup.run::<ErAndMore>().unwrap());
    assert_eq!(one.rows("replay"), other.rows("replay"));
    assert_eq!(one.rows("current"), other.rows("current"));
    let reseeded = Setup { seed: 1, ..setup }.run::<Er>().unwrap();
    assert_ne!(one.rows("replay"), reseeded.rows("replay"));
}

/// DER++: two independent draws; the logits of a sample's step come back with the sample. This one keeps
/// them in every second step alone.
#[derive(Default)]
struct DerPlusPlus {
    /// Step in which each sample was current.
    came: BTreeMap<u64, u64>,
}

impl Toy for DerPlusPlus {
    fn declare() -> Declaration {
        Declaration::new()
            .view("main")
            .column("logits", 2)
            .request(Request::memory("distil", 4).column("logits"))
            .request(Request::memory("rehearse", 4))
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let (distil, rehearse) = (step.draw("distil")?, step.draw("rehearse")?);
        note("distil", distil);
        note("rehearse", rehearse);
        assert!(rehearse.column("logits").is_err() || rehearse.is_empty());
        // Even without samples the column is there: the method needs no special case.
        let logits = distil.column("logits")?;
        assert_eq!((logits.width, logits.present.len()), (2, distil.len()));
        for (row, values) in logits.values.chunks(logits.width).enumerate() {
            let uid = distil.uids()[row];
            let came = self.came[&uid];
            match came % 2 {
                0 => assert_eq!((logits.present[row], values), (1, &[uid as f32, came as f32][..])),
                _ => assert_eq!((logits.present[row], values), (0, &[0.0, 0.0][..])),
            }
            say("kept", (distil.slots().unwrap()[row], logits.present[row]));
        }
        let uids = step.current.uids();
        self.came.extend(uids.iter().map(|&uid| (uid, step.index)));
        let values = uids.iter().flat_map(|&uid| [uid as f32, step.index as f32]);
        Ok(match step.index % 2 {
            0 => StepReport::new().column("logits", values.collect()),
            _ => StepReport::new(),
        })
    }
}

#[test]
fn derpp_gets_each_samples_logits_back_and_draws_twice() {
    let ran = Setup::memory(6).run::<DerPlusPlus>().unwrap();
    let (distil, rehearse) = (ran.rows("distil"), ran.rows("rehearse"));
    assert!((1..9).any(|step| distil[step].uids != rehearse[step].uids), "independent draws");
    let kept = ran.said("kept");
    let overwritten = (0..6).any(|slot| {
        let at = |mark: u8| kept.iter().position(|k| **k == format!("{:?}", (slot as u32, mark)));
        at(1).is_some() && at(0).is_some()
    });
    assert!(overwritten, "a slot lost its logits with its sample");
}

/// CLS-ER: one request; the two updates of a step draw from the call's own chance.
#[derive(Default)]
struct ClsEr;

impl Toy for ClsEr {
    fn declare() -> Declaration {
        let request = Request::memory("replay", 4);
        Declaration::new().view("stable").view("plastic").view("working").request(request)
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        for update in ["plastic", "stable"] {
            say("draw", step.call.rng(update).next_u64());
            assert_eq!(step.call.rng(update).next_u64(), step.call.rng(update).next_u64());
        }
        Ok(StepReport::new())
    }
}

#[test]
fn cls_er_draws_anew_in_each_step_and_the_same_in_each_run() {
    let run = |seed| Setup { seed, ..Setup::memory(8) }.run::<ClsEr>().unwrap();
    let (one, again, other) = (run(3), run(3), run(4));
    let draws = one.said("draw");
    assert_eq!((draws.len(), draws.iter().collect::<BTreeSet<_>>().len()), (18, 18));
    assert_eq!(draws, again.said("draw"));
    assert!(other.said("draw").iter().all(|draw| !draws.contains(draw)));
    for (_, views) in &one.scores {
        assert_eq!(views.iter().map(|v| v.view).collect::<Vec<_>>(), [0, 1, 2]);
    }
}

/// MIR: a large request, not augmented, of which the samples that suffer most are replayed.
#[derive(Default)]
struct Mir;

impl Toy for Mir {
    fn declare() -> Declaration {
        let candidates = Request::memory("candidates", 50).profile(Profile::None);
        Declaration::new().view("main").request(candidates)
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let candidates = step.draw("candidates")?;
        note("candidates", candidates);
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(candidates.uids()[row]));
        let width: usize = candidates.input_shape().iter().product();
        for &row in order.iter().take(2) {
            let input = &candidates.inputs()[row * width..][..width];
            assert_eq!(input[0], candidates.uids()[row] as f32, "rows of all parts agree");
        }
        Ok(StepReport::new())
    }
}

#[test]
fn mir_gets_all_there_is_when_it_asks_for_more() {
    let ran = Setup { augment: true, ..Setup::memory(10) }.run::<Mir>().unwrap();
    let sizes: Vec<usize> = ran.rows("candidates").iter().map(|draw| draw.uids.len()).collect();
    assert_eq!(sizes, [0, 4, 8, 10, 10, 10, 10, 10, 10]);
    let last = ran.rows("candidates")[8].slots.clone().unwrap();
    assert_eq!(sorted(&last), (0..10).collect::<Vec<u32>>());
    assert_ne!(last, sorted(&last), "in random order");
}

/// A-GEM's memory: a ring.
#[derive(Default)]
struct Recent;

impl Toy for Recent {
    fn declare() -> Declaration {
        let wishes = Wishes { policy: InsertionPolicy::Ring, ..Wishes::default() };
        Declaration::new().view("main").request(Request::memory("replay", 5)).wishes(wishes)
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        note("current", &step.current);
        Ok(StepReport::new())
    }
}

#[test]
fn a_learner_may_wish_for_a_ring() {
    let ran = Setup::memory(10).run::<Recent>().unwrap();
    // A third of ten, rounded down, of each experience of three steps: of the last step the last three.
    let last = |experience: usize| ran.rows("current")[3 * experience + 2].uids[1..].to_vec();
    assert_eq!(sorted(&ran.held()), sorted(&[last(0), last(1), last(2)].concat()));
}
