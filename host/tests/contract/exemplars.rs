//! Methods that choose what the memory holds: iCaRL and GSS.

use super::harness::*;
use perdura_sdk::prelude::*;
use std::collections::BTreeSet;

/// iCaRL: an epoch goes over experience and exemplars; at its end the exemplars are chosen anew, the same
/// number for each class, in herding order. Here that order is: the last sample first.
#[derive(Default)]
struct Icarl {
    room: usize,
    seen: BTreeSet<u32>,
    steps: u64,
}

impl Toy for Icarl {
    fn declare() -> Declaration {
        let (insert, epoch_source) = (Insert::ByLearner, EpochSource::ExperienceAndMemory);
        let wishes = Wishes { insert, epoch_source, ..Wishes::default() };
        Declaration::new().view("main").uses_memory().wishes(wishes)
    }

    fn begin(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.room = info.memory_samples_max.unwrap() as usize;
        self.steps = info.steps_per_epoch.unwrap();
        let memory = host.draw(&Request::memory("all", 100))?.remove(0);
        say("exemplars", sorted(memory.uids()));
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        note("current", &step.current);
        let position = step.position.unwrap();
        assert_eq!(position.steps_per_epoch, self.steps);
        if position.experience == 1 {
            say("refused", host.replace(&[]).unwrap_err().to_string());
        }
        Ok(StepReport::new())
    }

    fn end(&mut self, _: &Experience, host: &mut Host<'_>) -> Result<()> {
        let (filter, profile, columns) = (Filter::All, Profile::None, Vec::new());
        let (source, batch, epochs, shuffled) = (Source::CurrentAndMemory, 5, 1, false);
        let plan = Iterate { source, filter, profile, batch, epochs, shuffled, columns };
        let mut known: Vec<(u64, u32)> = Vec::new();
        let mut batches = host.iterate(&plan)?;
        while let Some(rows) = batches.next()? {
            known.extend(rows.uids().iter().copied().zip(rows.labels().iter().copied()));
        }
        known.sort_by_key(|&(uid, _)| std::cmp::Reverse(uid));
        self.seen.extend(known.iter().map(|(_, label)| *label));
        let each = self.room / self.seen.len();
        let of = |class: u32| known.iter().filter(move |(_, label)| *label == class).take(each);
        let chosen: Vec<u64> = self.seen.iter().flat_map(|&c| of(c)).map(|(uid, _)| *uid).collect();
        say("chosen", &chosen);
        host.replace(&chosen)?;
        let plan = Iterate { source: Source::Memory, batch: 100, ..plan };
        let mut batches = host.iterate(&plan)?;
        note("held", &batches.next()?.unwrap());
        Ok(())
    }
}

#[test]
fn icarl_exemplars_are_held_in_the_order_it_chose() {
    let ran = Setup { epochs: 2, ..Setup::memory(12) }.run::<Icarl>().unwrap();
    let held = ran.rows("held");
    let sizes: Vec<usize> = held.iter().map(|rows| rows.uids.len()).collect();
    assert_eq!(sizes, [12, 12, 12], "6, 3, then 2 of each class");
    for (rows, chosen) in held.iter().zip(ran.said("chosen")) {
        assert_eq!(format!("{:?}", rows.uids), chosen);
        assert_eq!(rows.slots, Some((0..12).collect::<Vec<u32>>()));
        assert!(rows.uids.iter().zip(&rows.labels).all(|(&uid, &label)| class_of(uid) == label));
        assert!(rows.uids.iter().zip(rows.inputs.chunks(16)).all(|(&uid, x)| x[0] == uid as f32));
    }
    assert_eq!(ran.held(), held[2].uids);
    let exemplars = ran.said("exemplars");
    assert_eq!(exemplars[1], format!("{:?}", held[0].sorted()), "nothing else enters");
}

#[test]
fn icarl_epochs_go_over_experience_and_exemplars() {
    let ran = Setup { epochs: 2, ..Setup::memory(12) }.run::<Icarl>().unwrap();
    let (current, held) = (ran.rows("current"), ran.rows("held"));
    // Two epochs of 3 steps, then of 12 + 12 samples in 6 steps.
    assert_eq!(current.len(), 2 * (3 + 6 + 6));
    for (epoch, batches) in current[6..18].chunks(6).enumerate() {
        let uids: Vec<u64> = batches.iter().flat_map(|b| b.uids.clone()).collect();
        let expected = [held[0].uids.clone(), uids_of(1)].concat();
        assert_eq!(sorted(&uids), sorted(&expected), "epoch {epoch}");
        assert_ne!(uids[..12], expected[..12], "mixed");
    }
    let refused = ran.said("refused");
    assert!(refused[0].contains("cannot be replaced while an epoch goes over it"), "{refused:?}");
}

/// GSS: the learner says for each sample where it goes.
#[derive(Default)]
struct Gss {
    room: usize,
    held: Vec<u64>,
}

impl Toy for Gss {
    fn declare() -> Declaration {
        Declaration::new()
            .view("main")
            .request(Request::memory("replay", 100))
            .wishes(Wishes { insert: Insert::ByLearner, ..Wishes::default() })
    }

    fn begin(&mut self, info: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.room = info.memory_samples_max.unwrap() as usize;
        Ok(())
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        let draw = step.draw("replay")?;
        assert_eq!(draw.len(), self.held.len());
        for (&slot, &uid) in draw.slots().unwrap().iter().zip(draw.uids()) {
            assert_eq!(self.held[slot as usize], uid);
        }
        let mut placements = Vec::new();
        for &uid in step.current.uids() {
            let slot = uid as usize % self.room;
            placements.push(match () {
                _ if self.held.len() < self.room => {
                    self.held.push(uid);
                    Placement::Slot(self.held.len() as u32 - 1)
                }
                _ if uid % 3 == 0 => {
                    self.held[slot] = uid;
                    Placement::Slot(slot as u32)
                }
                // By the learner's wish the host's policy takes nothing either.
                _ if uid % 3 == 1 => Placement::Host,
                _ => Placement::Skip,
            });
        }
        say("held", &self.held);
        Ok(StepReport::new().place(placements))
    }
}

#[test]
fn gss_places_each_sample_where_it_says() {
    let ran = Setup::memory(6).run::<Gss>().unwrap();
    let expected = ran.said("held");
    assert_eq!(format!("{:?}", ran.held()), *expected.last().unwrap());
    assert_ne!(expected[1], *expected.last().unwrap(), "slots were taken over");
}
