//! What a learner may ask of inputs and memory beyond requests: raw pixels, and which epochs fill the
//! memory; and outputs that a run leaves out of its predictions.

use super::harness::*;
use perdura::stream::EvalHead;
use perdura_sdk::prelude::*;

/// Wants the pixels as they are stored, beside the augmented inputs.
#[derive(Default)]
struct Raw;

impl Toy for Raw {
    fn declare() -> Declaration {
        let replay = Request { raw: true, ..Request::memory("replay", 3) };
        Declaration::new().view("main").raw_inputs().request(replay)
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        for rows in [&step.current, step.draw("replay")?] {
            if rows.uids().is_empty() {
                continue;
            }
            let raw = rows.raw().expect("asked for");
            assert_eq!(raw.len(), rows.inputs().len());
            for (image, &uid) in raw.chunks(16).zip(rows.uids()) {
                assert_eq!((image[0], image[15]), (uid as u8, 115));
            }
            say(
                "inputs are pixels",
                raw.iter().zip(rows.inputs()).all(|(&r, &i)| f32::from(r) == i),
            );
        }
        Ok(StepReport::new())
    }
}

#[test]
fn raw_inputs_are_the_stored_pixels_whatever_augmentation_does() {
    let plain = Setup::memory(8).run::<Raw>().unwrap();
    assert_eq!(plain.said("inputs are pixels"), ["true"; 17]);
    let cropped = Setup { augment: true, ..Setup::memory(8) }.run::<Raw>().unwrap();
    assert!(cropped.said("inputs are pixels").contains(&"false"));
}

/// Fills the memory in the first epoch alone, as methods do that are online ones.
#[derive(Default)]
struct FirstEpoch;

impl Toy for FirstEpoch {
    fn declare() -> Declaration {
        let wishes = Wishes { insert_epochs: InsertEpochs::First, ..Wishes::default() };
        Declaration::new().view("main").uses_memory().wishes(wishes)
    }
}

/// Fills it in every epoch.
#[derive(Default)]
struct EveryEpoch;

impl Toy for EveryEpoch {
    fn declare() -> Declaration {
        Declaration::new().view("main").uses_memory()
    }
}

#[test]
fn samples_enter_the_memory_in_the_epochs_the_learner_wishes() {
    let setup = Setup { epochs: 2, ..Setup::memory(100) };
    assert_eq!(setup.run::<FirstEpoch>().unwrap().held().len(), 36);
    let twice = setup.run::<EveryEpoch>().unwrap().held();
    assert_eq!(twice.len(), 72);
    assert_eq!(sorted(&twice)[..4], [0, 0, 1, 1]);
}

/// Prefers the last class, then the one before, and so on.
#[derive(Default)]
struct LastFirst;

impl Toy for LastFirst {
    fn declare() -> Declaration {
        Declaration::new().view("main")
    }

    fn predict(&mut self, _: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let outputs = logits.as_mut_slice().iter_mut().enumerate();
        outputs.for_each(|(i, logit)| *logit = (i % CLASSES as usize) as f32);
        Ok(())
    }
}

#[test]
fn only_seen_classes_are_predicted_where_the_run_says_so() {
    let last_of = |eval_head| {
        let ran = Setup { eval_head, ..Setup::default() }.run::<LastFirst>().unwrap();
        let class = |(_, views): &(_, Vec<perdura::score::ViewPredictions>)| {
            views[0].predictions.as_ref().unwrap().class[0]
        };
        ran.scores.iter().skip(1).map(class).collect::<Vec<u16>>()
    };
    assert_eq!(last_of(EvalHead::All), [5, 5, 5]);
    assert_eq!(last_of(EvalHead::Seen), [1, 3, 5]);
}
