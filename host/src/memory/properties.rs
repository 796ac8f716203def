//! What must hold for every sequence of operations and for every size of draw.

use perdura_abi::message::InsertionPolicy;
use proptest::prelude::*;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::*;
use crate::rng::keyed;

fn memory(samples: usize) -> ReplayMemory {
    let columns = [Column { name: "mark".into(), width: 1 }];
    ReplayMemory::new(Capacity::Samples(samples), 1, &columns).unwrap()
}

fn sample(uid: u64) -> Sample<'static> {
    Sample { image: &[7], label: uid as u32, uid, experience: 0, group: 0 }
}

/// Probability of counts at least this uneven, when each of the items is included in every trial
/// with the same probability and the number included is fixed. The factor corrects for that
/// dependence.
pub(super) fn p_value(counts: &[u32], trials: u32, included: usize) -> f64 {
    let items = counts.len() as f64;
    let p = included as f64 / items;
    let expected = f64::from(trials) * p;
    let squares: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2)).sum();
    let statistic = squares / (expected * (1.0 - p)) * (items - 1.0) / items;
    ChiSquared::new(items - 1.0).unwrap().sf(statistic)
}

#[test]
fn every_offered_sample_is_held_with_equal_probability() {
    const OFFERS: u64 = 200;
    const TRIALS: u32 = 2_000;
    let mut counts = [0u32; OFFERS as usize];
    for trial in 0..TRIALS {
        let mut rng = keyed(u64::from(trial), "reservoir-test", &[]);
        let mut memory = memory(40);
        for uid in 0..OFFERS {
            memory.offer(sample(uid), &mut rng);
        }
        for slot in 0..40 {
            counts[memory.uid(slot) as usize] += 1;
        }
    }
    let p = p_value(&counts, TRIALS, 40);
    assert!(p > 0.001, "p = {p}, counts = {counts:?}");
}

/// Both ways of drawing: 30 of 60 shuffles, 10 of 60 looks for repetitions.
#[test]
fn every_slot_is_drawn_with_equal_probability_in_every_place() {
    const TRIALS: u32 = 6_000;
    let mut memory = memory(60);
    for uid in 0..60 {
        memory.offer(sample(uid), &mut keyed(0, "fill", &[]));
    }
    for count in [30, 10] {
        let (mut counts, mut firsts) = ([0u32; 60], [0u32; 60]);
        let mut out = Vec::new();
        let mut rng = keyed(count, "draw-test", &[]);
        for _ in 0..TRIALS {
            memory.draw(&Candidates::All(60), count as usize, false, &mut rng, &mut out);
            firsts[out[0] as usize] += 1;
            out.iter().for_each(|&slot| counts[slot as usize] += 1);
        }
        assert!(p_value(&counts, TRIALS, count as usize) > 0.001, "{count}: {counts:?}");
        assert!(p_value(&firsts, TRIALS, 1) > 0.001, "{count}: {firsts:?}");
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Offer,
    Place(usize),
    Write(u32),
    StaleWrite(u32),
    Replace(Vec<usize>),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => Just(Operation::Offer),
        1 => (0..12usize).prop_map(Operation::Place),
        3 => (0..12u32).prop_map(Operation::Write),
        1 => (0..12u32).prop_map(Operation::StaleWrite),
        1 => prop::collection::vec(0..12usize, 0..10).prop_map(Operation::Replace),
    ]
}

/// Applies an operation; marks written to a sample equal its identity.
fn apply(memory: &mut ReplayMemory, operation: &Operation, uid: u64, rng: &mut crate::rng::Rng) {
    let in_use = |memory: &ReplayMemory, slot: u32| (slot as usize) < memory.len();
    match operation {
        Operation::Offer => drop(memory.offer(sample(uid), rng)),
        Operation::Place(slot) => drop(memory.place(*slot, sample(uid))),
        Operation::Write(slot) if in_use(memory, *slot) => {
            let held = memory.uid(*slot);
            assert_eq!(memory.write_column("mark", *slot, held, &[held as f32]), Ok(true));
        }
        Operation::StaleWrite(slot) if in_use(memory, *slot) => {
            assert_eq!(memory.write_column("mark", *slot, u64::MAX, &[-1.0]), Ok(false));
        }
        Operation::Write(slot) | Operation::StaleWrite(slot) => {
            assert!(memory.write_column("mark", *slot, uid, &[0.0]).is_err());
        }
        Operation::Replace(slots) => {
            let held = slots.iter().filter(|slot| **slot < memory.len());
            let uids: Vec<u64> = held.map(|&slot| memory.uid(slot as u32)).collect();
            drop(memory.replace(&uids, |_| None));
        }
    }
}

proptest! {
    #[test]
    fn columns_follow_their_sample_and_the_capacity_holds(
        capacity in 1..10usize,
        policy in prop::sample::select(&InsertionPolicy::ALL[..]),
        operations in prop::collection::vec(operation(), 0..200),
    ) {
        let mut memory = memory(capacity).with_policy(policy, 1).unwrap();
        let mut rng = keyed(0, "operations", &[]);
        for (uid, operation) in operations.iter().enumerate() {
            apply(&mut memory, operation, uid as u64, &mut rng);
            prop_assert!(memory.len() <= capacity);
            for slot in 0..memory.len() as u32 {
                prop_assert_eq!(u64::from(memory.label(slot)), memory.uid(slot));
                if let Some(mark) = memory.column("mark", slot) {
                    prop_assert_eq!(mark, [memory.uid(slot) as f32]);
                }
            }
        }
        let lists = memory.sections().into_iter().map(|(name, bytes)| (name, bytes.to_vec()));
        let copy = ReplayMemory::from_sections(&memory.head(), lists.collect()).unwrap();
        prop_assert_eq!(copy, memory);
    }

    #[test]
    fn draws_are_distinct_and_of_the_candidates(
        held in 0..2_000usize,
        count in 0..1_500usize,
        step in 1..5u32,
        seed: u64,
    ) {
        let mut memory = memory(2_000);
        for uid in 0..held as u64 {
            memory.offer(sample(uid), &mut keyed(0, "fill", &[]));
        }
        let slots: Vec<u32> = (0..held as u32).filter(|slot| slot % step == 0).collect();
        let mut out = Vec::new();
        let mut rng = keyed(seed, "draw", &[]);
        memory.draw(&Candidates::Slots(slots.clone()), count, false, &mut rng, &mut out);
        prop_assert_eq!(out.len(), count.min(slots.len()));
        out.sort_unstable();
        prop_assert!(out.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(out.iter().all(|slot| slot % step == 0));
    }
}
