//! What each policy promises, for every stream: balance, equal chances, the most recent.

use perdura_abi::message::InsertionPolicy;
use proptest::prelude::*;

use super::properties::p_value;
use super::*;
use crate::rng::keyed;

fn memory(samples: usize, policy: InsertionPolicy, experiences: usize) -> ReplayMemory {
    let memory = ReplayMemory::new(Capacity::Samples(samples), 1, &[]).unwrap();
    memory.with_policy(policy, experiences).unwrap()
}

fn sample(uid: u64, label: u32, experience: u32) -> Sample<'static> {
    Sample { image: &[7], label, uid, experience, group: 0 }
}

/// Samples held of each of five classes.
fn held(memory: &ReplayMemory) -> [usize; 5] {
    let mut held = [0; 5];
    (0..memory.len() as u32).for_each(|slot| held[memory.label(slot) as usize] += 1);
    held
}

/// Four of class 0 to one of class 1: the memory of 40 ends with 20 of each, and each of the 160
/// and of the 40 is held as often as any other of its class.
#[test]
fn balanced_classes_hold_their_samples_with_equal_probability() {
    const TRIALS: u32 = 2_000;
    let mut counts = [vec![0u32; 160], vec![0u32; 40]];
    for trial in 0..TRIALS {
        let mut rng = keyed(u64::from(trial), "balanced-test", &[]);
        let mut memory = memory(40, InsertionPolicy::ClassBalanced, 1);
        for uid in 0..200 {
            memory.offer(sample(uid, u32::from(uid % 5 == 4), 0), &mut rng);
        }
        for slot in 0..40 {
            let (uid, label) = (memory.uid(slot) as usize, memory.label(slot) as usize);
            counts[label][if label == 1 { uid / 5 } else { uid - uid / 5 }] += 1;
        }
    }
    for counts in &counts {
        let p = p_value(counts, TRIALS, 20);
        assert!(p > 0.001, "p = {p}, counts = {counts:?}");
    }
}

/// By hand, with room for 3: class 0 fills it and is full. Class 1 takes places of class 0 until it
/// is the largest too, and then only its own.
#[test]
fn a_class_grows_until_it_is_the_largest() {
    let mut rng = keyed(0, "grow", &[]);
    let mut memory = memory(3, InsertionPolicy::ClassBalanced, 1);
    for (uid, label, expected) in
        [(0, 0, [1, 0]), (1, 0, [2, 0]), (2, 0, [3, 0]), (3, 1, [2, 1]), (4, 1, [1, 2])]
    {
        memory.offer(sample(uid, label, 0), &mut rng);
        assert_eq!(held(&memory)[..2], expected);
    }
    for uid in 100..200 {
        memory.offer(sample(uid, (uid % 2) as u32, 0), &mut rng);
        assert_eq!(held(&memory)[..2], [1, 2]);
    }
}

#[test]
fn a_ring_smaller_than_its_experiences_is_refused() {
    let memory = ReplayMemory::new(Capacity::Samples(4), 1, &[]).unwrap();
    let message = memory.with_policy(InsertionPolicy::Ring, 5).unwrap_err().to_string();
    assert!(message.contains("4 samples") && message.contains("--memory 5 or more"), "{message}");
}

#[test]
fn a_ring_without_room_for_an_experience_drops_it() {
    let mut memory = memory(4, InsertionPolicy::Ring, 2);
    (0..4).for_each(|slot| memory.place(slot, sample(slot as u64, 0, 0)).unwrap());
    assert_eq!(memory.offer(sample(9, 0, 1), &mut keyed(0, "", &[])), None);
    assert_eq!(memory.offer(sample(10, 0, 0), &mut keyed(0, "", &[])), Some(0));
}

proptest! {
    #[test]
    fn classes_with_enough_samples_are_balanced_within_one(
        capacity in 1..60usize,
        labels in prop::collection::vec(prop_oneof![
            8 => 0..1u32, 4 => 1..2u32, 2 => 2..3u32, 1 => 3..5u32,
        ], 0..400),
        sorted: bool,
        seed: u64,
    ) {
        let mut labels = labels;
        if sorted {
            labels.sort_unstable();
        }
        let mut memory = memory(capacity, InsertionPolicy::ClassBalanced, 1);
        let mut rng = keyed(seed, "balance", &[]);
        let mut offered = [0; 5];
        for (uid, &label) in labels.iter().enumerate() {
            memory.offer(sample(uid as u64, label, 0), &mut rng);
            offered[label as usize] += 1;
            let held = held(&memory);
            prop_assert_eq!(memory.len(), capacity.min(uid + 1));
            if memory.len() == capacity {
                let largest = *held.iter().max().unwrap();
                let fair = |(held, offered): (&usize, &usize)| held == offered || held + 1 >= largest;
                prop_assert!(held.iter().zip(&offered).all(fair), "{held:?} of {offered:?}");
            }
        }
    }

    #[test]
    fn a_ring_keeps_the_most_recent_of_each_experience(
        sizes in prop::collection::vec(0..40usize, 1..6),
        capacity in 6..60usize,
    ) {
        let mut memory = memory(capacity, InsertionPolicy::Ring, sizes.len());
        let share = capacity / sizes.len();
        let mut uid = 0;
        let mut expected = Vec::new();
        for (experience, &size) in sizes.iter().enumerate() {
            for _ in 0..size {
                memory.offer(sample(uid, 0, experience as u32), &mut keyed(0, "", &[]));
                uid += 1;
            }
            expected.extend(uid - size.min(share) as u64..uid);
            let mut held: Vec<u64> = (0..memory.len() as u32).map(|s| memory.uid(s)).collect();
            held.sort_unstable();
            prop_assert_eq!(&held, &expected);
        }
    }
}
