//! A run that is left at any of its points and taken up, with what a checkpoint holds, gives the learner the same
//! samples and ends with the same memory, state, scores and events as one that was never left.

use super::harness::*;
use perdura::memory::ReplayMemory;
use perdura::run::After;
use perdura::score::ViewPredictions;
use perdura::stream::{Construction, Scenario};
use perdura_sdk::prelude::*;
use perdura_sdk::serde_json::json;

/// Uses every service, and mixes all it is given into its state, so that no difference is lost.
#[derive(Default)]
struct Greedy {
    state: f32,
}

impl Greedy {
    fn take_in(&mut self, what: &str, rows: &Rows<'_>) -> Result<()> {
        note(what, rows);
        for (value, uid) in rows.inputs().chunks(16).zip(rows.uids()) {
            self.state = (self.state * 0.75 + value.iter().sum::<f32>() + *uid as f32) % 1000.0;
        }
        Ok(())
    }
}

impl Toy for Greedy {
    fn declare() -> Declaration {
        let replay = Request::memory("replay", 3).repeats(2).column("trace");
        let fresh = Request::memory("fresh", 2).filter(Filter::SinceBoundary);
        Declaration::new()
            .view("main")
            .column("trace", 2)
            .request(replay)
            .request(fresh)
            .scalar("state")
    }

    fn begin(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.state += info.call.seed() as u8 as f32;
        let drawn = host.draw(&Request::memory("beginning", 4))?.remove(0);
        self.take_in("beginning", &drawn)
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        self.take_in("current", &step.current)?;
        for rows in step.repeats("replay") {
            self.take_in("replay", rows)?;
            let trace = rows.column("trace")?;
            self.state += trace.values.iter().sum::<f32>();
        }
        self.take_in("fresh", step.draw("fresh")?)?;
        self.state += step.call.seed() as u8 as f32;
        if step.index % 3 == 1 {
            let drawn = host.draw(&Request::memory("now", 2))?.remove(0);
            self.take_in("now", &drawn)?;
            let groups = vec![step.index as u32; drawn.len()];
            let (slots, uids) = (drawn.slots().unwrap().to_vec(), drawn.uids().to_vec());
            host.relabel(&slots, &uids, &groups)?;
            host.report_event("relabelled", json!(uids))?;
        }
        let trace = step.current.uids().iter().flat_map(|&uid| [uid as f32, self.state]).collect();
        Ok(StepReport::new().scalar("state", f64::from(self.state)).column("trace", trace))
    }

    fn end(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.state += info.call.seed() as u8 as f32;
        let (source, filter, profile) = (Source::Memory, Filter::All, Profile::Train);
        let (batch, epochs, shuffled, columns) = (5, 2, true, Vec::new());
        let plan = Iterate { source, filter, profile, batch, epochs, shuffled, columns };
        let mut batches = host.iterate(&plan)?;
        while let Some(rows) = batches.next()? {
            self.take_in("end", &rows)?;
        }
        Ok(())
    }

    fn finish(&mut self, call: &Call, _: &mut Host<'_>) -> Result<()> {
        self.state += call.seed() as u8 as f32;
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let row: Vec<f32> = (0..CLASSES).map(|class| self.state % (class as f32 + 2.0)).collect();
        logits.write(&row.repeat(query.len));
        Ok(())
    }

    fn state(&self) -> f32 {
        self.state
    }

    fn restore(&mut self, state: f32) {
        self.state = state;
    }
}

/// The same with epochs that go over experience and memory, while the memory grows.
#[derive(Default)]
struct Mixing(Greedy);

impl Toy for Mixing {
    fn declare() -> Declaration {
        let epoch_source = EpochSource::ExperienceAndMemory;
        Greedy::declare().wishes(Wishes { epoch_source, ..Wishes::default() })
    }
    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        self.0.observe(step, host)
    }
    fn end(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.0.end(info, host)
    }
    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.0.predict(query, logits)
    }
    fn state(&self) -> f32 {
        self.0.state
    }
    fn restore(&mut self, state: f32) {
        self.0.state = state;
    }
}

/// What is to be equal.
#[derive(PartialEq)]
struct Whole {
    rows: Vec<(String, Seen)>,
    scores: Vec<(After, Vec<ViewPredictions>)>,
    events: Vec<(u64, String)>,
    state: Vec<u8>,
    memory: Option<ReplayMemory>,
}

impl Whole {
    /// Of a run that was left some times before it ended.
    fn of(lefts: Vec<Left>, ran: Ran) -> Whole {
        let (mut rows, mut scores, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for left in lefts {
            rows.extend(left.rows);
            scores.extend(left.scores);
            events.extend(left.events);
        }
        rows.extend(ran.rows);
        scores.extend(ran.scores);
        events.extend(ran.events);
        let events = events.into_iter().map(|(step, e)| (step, format!("{} {}", e.kind, e.data)));
        let events = events.collect();
        Whole { rows, scores, events, state: ran.state, memory: ran.memory }
    }
}

/// Leaves the run once at each of its points in turn, and then one run at every point.
fn equal_wherever_it_is_left<T: Toy>(setup: Setup) {
    let expected = Whole::of(Vec::new(), setup.run::<T>().unwrap());
    assert!(expected.rows.len() > 20 && expected.scores.len() > 1 && !expected.events.is_empty());
    let mut points = 0;
    while let End::Left(left) = setup.run_from::<T>(None, points).unwrap() {
        let End::Ran(ran) = setup.run_from::<T>(Some((*left).clone()), usize::MAX).unwrap() else {
            panic!("it is left once")
        };
        assert!(Whole::of(vec![*left], *ran) == expected, "left at point {points}");
        points += 1;
    }
    assert!(points > 8, "{points} points");

    let (mut lefts, mut from): (Vec<Left>, _) = (Vec::new(), None);
    let ran = loop {
        // The point at which it was left comes first again.
        let leave_at = usize::from(from.is_some());
        match setup.run_from::<T>(from.take(), leave_at).unwrap() {
            End::Left(left) => {
                from = Some((*left).clone());
                lefts.push(*left);
            }
            End::Ran(ran) => break ran,
        }
    };
    assert_eq!(lefts.len(), points);
    assert!(Whole::of(lefts, *ran) == expected, "left at every point");
}

fn setup(memory: usize) -> Setup {
    Setup { epochs: 2, augment: true, seed: 5, ..Setup::memory(memory) }
}

#[test]
fn with_every_policy() {
    for policy in InsertionPolicy::ALL {
        for memory in [7, 100] {
            equal_wherever_it_is_left::<Greedy>(Setup { policy: Some(policy), ..setup(memory) });
        }
    }
}

#[test]
fn in_every_scenario() {
    for scenario in [Scenario::TaskIl, Scenario::DomainIl] {
        equal_wherever_it_is_left::<Greedy>(Setup { scenario, ..setup(9) });
    }
    let construction = Construction::Circle { classes: 5, rounds: 1 };
    let scenario = Scenario::TaskFree;
    let hidden = Setup { scenario, construction, score_every: Some(4), ..setup(9) };
    equal_wherever_it_is_left::<Greedy>(Setup { epochs: 1, augment: false, ..hidden });
}

#[test]
fn where_epochs_go_over_a_memory_that_grows() {
    equal_wherever_it_is_left::<Mixing>(setup(9));
    equal_wherever_it_is_left::<Mixing>(setup(100));
}
