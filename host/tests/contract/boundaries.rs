//! Methods that work at boundaries: LwF, EWC and OGD, GDumb.

use super::harness::*;
use perdura_sdk::prelude::*;
use std::collections::BTreeMap;

fn over(source: Source, batch: usize) -> Iterate {
    let (profile, columns) = (Profile::None, Vec::new());
    Iterate { source, filter: Filter::All, profile, batch, epochs: 1, shuffled: false, columns }
}

/// LwF: before an experience the old network answers for all of its samples; the answers are kept by uid.
#[derive(Default)]
struct Lwf {
    logits: BTreeMap<u64, f32>,
}

impl Toy for Lwf {
    fn declare() -> Declaration {
        Declaration::new().view("main")
    }

    fn begin(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.logits.clear();
        let mut batches = host.iterate(&over(Source::Current, 5))?;
        assert_eq!(batches.left(), 3);
        while let Some(rows) = batches.next()? {
            note("before", &rows);
            self.logits.extend(rows.uids().iter().map(|&uid| (uid, uid as f32)));
        }
        let told = (info.samples, info.epochs, info.batch, info.steps_per_epoch);
        say("begin", (info.index, &info.classes, told));
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        for uid in step.current.uids() {
            assert_eq!(self.logits[uid], *uid as f32);
        }
        assert_eq!(self.logits.len(), SAMPLES);
        Ok(StepReport::new())
    }
}

#[test]
fn lwf_meets_every_sample_before_it_learns_from_it() {
    let ran = Setup { epochs: 2, ..Setup::default() }.run::<Lwf>().unwrap();
    let before = ran.rows("before");
    assert_eq!(before.iter().map(|b| b.uids.len()).collect::<Vec<_>>(), [5, 5, 2].repeat(3));
    for experience in 0..3 {
        let batches = &before[3 * experience..][..3];
        let uids: Vec<u64> = batches.iter().flat_map(|b| b.uids.clone()).collect();
        assert_eq!(uids, uids_of(experience as u32), "in file order");
        assert!(batches.iter().all(|b| b.slots.is_none()));
    }
    let told = "(Some(1), Some([2, 3]), (Some(12), Some(2), Some(4), Some(3)))";
    assert_eq!(ran.said("begin")[1], told);
}

#[test]
fn lwf_is_refused_where_the_stream_passes_once() {
    let error = Setup { online: true, ..Setup::default() }.run::<Lwf>().err().unwrap();
    assert_eq!(error, "a pass over the current experience is not granted here");
}

/// EWC and OGD: after an experience one pass over it, sample by sample.
#[derive(Default)]
struct Ewc;

impl Toy for Ewc {
    fn declare() -> Declaration {
        Declaration::new().view("main")
    }

    fn end(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        let mut batches = host.iterate(&over(Source::Current, 1))?;
        while let Some(rows) = batches.next()? {
            assert_eq!(rows.len(), 1);
            note("fisher", &rows);
        }
        say("end", info.index);
        assert!(host.draw(&Request::memory("x", 1).source(Source::Current))?[0].is_empty());
        Ok(())
    }

    fn finish(&mut self, _: &Call, host: &mut Host<'_>) -> Result<()> {
        say("late", host.iterate(&over(Source::Current, 1)).err().unwrap().to_string());
        Ok(())
    }
}

#[test]
fn ewc_sees_each_sample_of_the_experience_once_at_its_end() {
    let ran = Setup::default().run::<Ewc>().unwrap();
    let seen: Vec<u64> = ran.rows("fisher").iter().map(|rows| rows.uids[0]).collect();
    let expected: Vec<u64> = (0..3).flat_map(uids_of).collect();
    assert_eq!(seen, expected);
    assert!(ran.rows("fisher").iter().all(|rows| rows.labels[0] == class_of(rows.uids[0])));
    assert_eq!(ran.said("end"), ["Some(0)", "Some(1)", "Some(2)"]);
    assert!(
        ran.said("late")[0].contains("not granted"),
        "after the stream no experience is current"
    );
}

#[test]
fn ewc_is_refused_where_the_stream_passes_once() {
    let error = Setup { online: true, ..Setup::default() }.run::<Ewc>().err().unwrap();
    assert_eq!(error, "a pass over the current experience is not granted here");
}

/// GDumb: stores, and trains when the stream is over.
#[derive(Default)]
struct Gdumb;

impl Toy for Gdumb {
    fn declare() -> Declaration {
        Declaration::new().view("main").uses_memory()
    }

    fn finish(&mut self, call: &Call, host: &mut Host<'_>) -> Result<()> {
        say("seed", call.seed());
        let plan = Iterate { epochs: 3, shuffled: true, ..over(Source::Memory, 4) };
        let plan = Iterate { profile: Profile::Train, ..plan };
        let mut batches = host.iterate(&plan)?;
        while let Some(rows) = batches.next()? {
            note("batch", &rows);
        }
        assert!(batches.next()?.is_none());
        // As many epochs as a number can hold cost nothing until they are asked for.
        let endless = host.iterate(&Iterate { epochs: 1 << 40, ..plan })?;
        assert_eq!(endless.left(), 3 << 40);
        Ok(())
    }
}

#[test]
fn gdumb_trains_on_the_memory_when_the_stream_is_over() {
    let ran = Setup { augment: true, ..Setup::memory(10) }.run::<Gdumb>().unwrap();
    let batches = ran.rows("batch");
    let sizes: Vec<usize> = batches.iter().map(|b| b.uids.len()).collect();
    assert_eq!(sizes, [4, 4, 2].repeat(3), "no batch reaches into the next epoch");
    let epochs: Vec<Vec<u64>> =
        batches.chunks(3).map(|e| e.iter().flat_map(|b| b.uids.clone()).collect()).collect();
    for epoch in &epochs {
        assert_eq!(sorted(epoch), sorted(&ran.held()));
        assert_ne!(*epoch, ran.held());
    }
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2], "each epoch has its order");
    let input = |uid: u64, epoch: usize| {
        let mut rows =
            batches[3 * epoch..][..3].iter().flat_map(|b| b.uids.iter().zip(b.inputs.chunks(16)));
        rows.find(|(held, _)| **held == uid).unwrap().1
    };
    let differ = |uid: &&u64| input(**uid, 0) != input(**uid, 1);
    assert!(ran.held().iter().filter(differ).count() > 5, "each epoch is augmented anew");
}

/// Answers the same to everything, which is state enough to be scored.
#[derive(Default)]
struct Idle;

impl Toy for Idle {
    fn declare() -> Declaration {
        Declaration::new().view("main")
    }
}

#[test]
fn snapshots_are_due_at_fixed_steps_and_not_at_boundaries() {
    // Three steps an epoch, two epochs: experiences end after 6, 12 and 18 steps.
    let setup = Setup { epochs: 2, ..Setup::default() };
    let plain = setup.run::<Idle>().unwrap();
    assert_eq!(plain.snapshots, [0; 0]);
    let cases: [(u64, &[u64]); 4] = [
        (4, &[4, 8, 16]),
        (5, &[5, 10, 15]),
        (6, &[]),
        (1, &[1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17]),
    ];
    for (every, expected) in cases {
        let ran = Setup { score_every: Some(every), ..setup }.run::<Idle>().unwrap();
        assert_eq!(ran.snapshots, expected, "every {every}");
        assert_eq!(ran.scores, plain.scores, "rows stay what they are");
    }
}
