use perdura_abi::message::Filter;
use std::collections::BTreeMap;

use super::*;
use crate::rng::{Rng, keyed};

const WIDTH: usize = 2;

fn columns() -> Vec<Column> {
    vec![Column { name: "logits".into(), width: WIDTH }]
}

fn memory(samples: usize) -> ReplayMemory {
    ReplayMemory::new(Capacity::Samples(samples), 3, &columns()).unwrap()
}

fn rng() -> Rng {
    keyed(0, "memory-test", &[])
}

/// A sample whose every field follows from its identity.
fn sample(uid: u64) -> SampleBuf {
    SampleBuf {
        image: vec![uid as u8; 3],
        label: uid as u32 % 7,
        uid,
        experience: uid as u32 / 10,
        group: 0,
    }
}

/// Holds the samples 0..count in slots of the same number.
fn filled(count: u64) -> ReplayMemory {
    let mut memory = memory(count as usize);
    for uid in 0..count {
        memory.offer(sample(uid).as_sample(), &mut rng());
    }
    memory
}

fn draw(memory: &ReplayMemory, filter: Filter, count: usize) -> Vec<u32> {
    let mut out = vec![99; 5];
    let candidates = memory.select(filter, Now::default());
    memory.draw(&candidates, count, false, &mut rng(), &mut out);
    out
}

#[test]
fn the_first_samples_fill_the_slots_in_order() {
    let memory = filled(4);
    for slot in 0..4 {
        assert_eq!(memory.uid(slot), u64::from(slot));
        assert_eq!(memory.image(slot), [slot as u8; 3]);
        assert_eq!(memory.label(slot), slot);
        assert_eq!((memory.experience(slot), memory.group(slot)), (0, 0));
    }
    assert_eq!((memory.len(), memory.offered()), (4, 4));
}

#[test]
fn a_full_memory_follows_the_draw_of_the_reservoir() {
    let mut memory = filled(4);
    let (mut rng, mut shadow) = (keyed(3, "offers", &[]), keyed(3, "offers", &[]));
    for k in 4..200 {
        let j = crate::rng::below(&mut shadow, k + 1) as usize;
        let expected = (j < 4).then_some(j);
        assert_eq!(memory.offer(sample(k).as_sample(), &mut rng), expected);
        if let Some(slot) = expected {
            assert_eq!(memory.uid(slot as u32), k);
        }
    }
    assert_eq!((memory.len(), memory.offered()), (4, 200));
}

#[test]
fn bytes_count_pixels_label_group_and_columns() {
    // 3 pixels + 4 + 4 + 2 x 4 = 19 bytes.
    let bytes = |bytes| ReplayMemory::new(Capacity::Bytes(bytes), 3, &columns());
    assert_eq!(bytes(38).unwrap().capacity_samples(), 2);
    assert_eq!(bytes(56).unwrap().capacity_samples(), 2);
    assert_eq!(bytes(57).unwrap().capacity_samples(), 3);
    assert_eq!((filled(4).bytes_per_sample(), filled(4).bytes()), (19, 76));
}

#[test]
fn a_memory_that_holds_nothing_is_refused() {
    let message = |capacity| ReplayMemory::new(capacity, 3, &columns()).unwrap_err().to_string();
    assert!(message(Capacity::Samples(0)).contains("--memory 1"));
    let bytes = message(Capacity::Bytes(18));
    assert!(bytes.contains("18 bytes") && bytes.contains("--memory 19B"), "{bytes}");
    assert!(message(Capacity::Samples(1 << 32)).contains("limit of 4294967295"));
}

#[test]
fn capacities_are_read_and_written() {
    for (text, capacity) in [
        ("200", Capacity::Samples(200)),
        ("64KiB", Capacity::Bytes(65_536)),
        ("1MB", Capacity::Bytes(1_000_000)),
        ("3 kB", Capacity::Bytes(3_000)),
        ("5000B", Capacity::Bytes(5_000)),
    ] {
        assert_eq!(text.parse(), Ok(capacity));
        assert_eq!(capacity.to_string().parse(), Ok(capacity));
    }
    for wrong in ["", "-1", "1.5", "MB", "12 apples", "99999999999999999GB"] {
        assert!(wrong.parse::<Capacity>().unwrap_err().to_string().contains("64KiB"), "{wrong}");
    }
}

#[test]
fn columns_that_cannot_be_told_apart_are_refused() {
    let new = |columns: &[Column]| {
        ReplayMemory::new(Capacity::Samples(1), 3, columns).unwrap_err().to_string()
    };
    assert!(new(&[columns(), columns()].concat()).contains("`logits` is declared twice"));
    assert!(new(&[Column { name: "a".into(), width: 0 }]).contains("`a` has width 0"));
}

#[test]
fn columns_are_written_read_and_cleared_with_their_sample() {
    let mut memory = filled(2);
    assert_eq!(memory.column("logits", 1), None);
    assert_eq!(memory.write_column("logits", 1, 1, &[0.5, -1.0]), Ok(true));
    assert_eq!(memory.column("logits", 1), Some(&[0.5, -1.0][..]));
    assert_eq!(memory.column("other", 1), None);
    let (mut values, mut present) = (Vec::new(), Vec::new());
    memory.gather_column("logits", &[1, 0], &mut values, &mut present).unwrap();
    assert_eq!((values, present), (vec![0.5, -1.0, 0.0, 0.0], vec![1, 0]));
    memory.place(1, sample(9).as_sample()).unwrap();
    assert_eq!(memory.column("logits", 1), None);
    let (mut values, mut present) = (Vec::new(), Vec::new());
    memory.gather_column("logits", &[1], &mut values, &mut present).unwrap();
    assert_eq!((values, present), (vec![0.0, 0.0], vec![0]));
}

#[test]
fn writes_to_a_sample_that_has_gone_are_passed_over() {
    let mut memory = filled(2);
    assert_eq!(memory.write_column("logits", 1, 7, &[1.0, 1.0]), Ok(false));
    assert_eq!(memory.column("logits", 1), None);
    assert_eq!(memory.relabel(1, 7, 3), Ok(false));
    assert_eq!(memory.group(1), 0);
}

#[test]
fn wrong_writes_are_refused() {
    let mut memory = filled(2);
    let mut message = |column: &str, slot, values: &[f32]| {
        memory.write_column(column, slot, 1, values).unwrap_err().to_string()
    };
    assert!(message("logit", 1, &[1.0, 1.0]).contains("`logit`; the learner declared logits"));
    assert!(message("logits", 1, &[1.0]).contains("takes 2 numbers per sample, got 1"));
    assert!(message("logits", 2, &[1.0, 1.0]).contains("slot 2 does not exist"));
    assert!(message("logits", 1, &[1.0, f32::NAN]).contains("got NaN"));
    assert!(memory.relabel(2, 2, 0).is_err());
    assert!(memory.gather_column("x", &[], &mut Vec::new(), &mut Vec::new()).is_err());
}

#[test]
fn placing_fills_the_next_slot_or_takes_one_in_use() {
    let mut memory = memory(3);
    memory.place(0, sample(5).as_sample()).unwrap();
    memory.place(1, sample(6).as_sample()).unwrap();
    memory.place(0, sample(7).as_sample()).unwrap();
    assert_eq!((memory.uid(0), memory.uid(1), memory.offered()), (7, 6, 0));
    let message = memory.place(3, sample(8).as_sample()).unwrap_err().to_string();
    assert!(message.contains("slot 3") && message.contains("2 of at most 3"), "{message}");
    memory.place(2, sample(8).as_sample()).unwrap();
    assert!(memory.place(3, sample(8).as_sample()).is_err());
    let short = Sample { image: &[1], ..sample(8).as_sample() };
    assert!(memory.place(0, short).unwrap_err().to_string().contains("image of 1 bytes"));
}

#[test]
fn the_reservoir_counts_placed_samples_as_seen() {
    let mut memory = memory(2);
    memory.place(0, sample(0).as_sample()).unwrap();
    memory.place(1, sample(1).as_sample()).unwrap();
    // The third sample of three stays with probability 2/3: 2,000 of 3,000, standard deviation 26.
    let mut rng = rng();
    let stays = |_: &u32| memory.clone().offer(sample(2).as_sample(), &mut rng).is_some();
    assert!((0..3_000).filter(stays).count().abs_diff(2_000) < 130);
}

#[test]
fn filters_select_by_experience_group_and_boundary() {
    let mut memory = filled(30); // Ten samples of each of the experiences 0, 1 and 2.
    let slots = |memory: &ReplayMemory, filter| {
        memory.select(filter, Now { experience: 2, finished: Some(1) }).to_slots()
    };
    assert_eq!(memory.select(Filter::All, Now::default()), Candidates::All(30));
    assert_eq!(slots(&memory, Filter::Past), (0..20).collect::<Vec<u32>>());
    assert_eq!(slots(&memory, Filter::Finished), (10..20).collect::<Vec<u32>>());
    assert!(memory.select(Filter::Finished, Now::default()).is_empty());
    assert!(memory.select(Filter::Past, Now::default()).is_empty());
    memory.relabel(4, 4, 1).unwrap();
    memory.relabel(25, 25, 1).unwrap();
    assert_eq!(slots(&memory, Filter::Group(1)), [4, 25]);
    assert_eq!(slots(&memory, Filter::Group(0)).len(), 28);
    assert_eq!(slots(&memory, Filter::SinceBoundary).len(), 30);
    memory.mark_boundary();
    assert!(slots(&memory, Filter::SinceBoundary).is_empty());
    memory.place(7, sample(31).as_sample()).unwrap();
    assert_eq!(slots(&memory, Filter::SinceBoundary), [7]);
}

#[test]
fn a_draw_gives_what_there_is() {
    assert_eq!(draw(&memory(5), Filter::All, 3), Vec::<u32>::new());
    let mut all = draw(&filled(5), Filter::All, 9);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4]);
    assert_eq!(draw(&filled(5), Filter::All, 0), Vec::<u32>::new());
    assert_eq!(draw(&filled(5), Filter::Group(8), 3), Vec::<u32>::new());
    let (memory, mut out) = (filled(2), Vec::new());
    let candidates = memory.select(Filter::All, Now::default());
    memory.draw(&candidates, 9, true, &mut rng(), &mut out);
    assert!(out.len() == 9 && out.iter().all(|&slot| slot < 2));
    memory.draw(&Candidates::Slots(vec![]), 9, true, &mut rng(), &mut out);
    assert!(out.is_empty());
    memory.draw(&Candidates::Slots(vec![1]), 2, true, &mut rng(), &mut out);
    assert_eq!(out, [1, 1]);
}

#[test]
fn replacing_keeps_what_is_held_and_asks_for_the_rest() {
    let mut memory = filled(4);
    memory.write_column("logits", 2, 2, &[1.0, 2.0]).unwrap();
    memory.relabel(2, 2, 5).unwrap();
    memory.mark_boundary();
    memory.replace(&[40, 2], |uid| (uid >= 40).then(|| sample(uid))).unwrap();
    assert_eq!((memory.len(), memory.offered()), (2, 4));
    assert_eq!((memory.uid(0), memory.image(0)), (40, &[40; 3][..]));
    assert_eq!((memory.uid(1), memory.image(1)), (2, &[2; 3][..]));
    assert_eq!((memory.column("logits", 0), memory.group(0)), (None, 0));
    assert_eq!((memory.column("logits", 1), memory.group(1)), (Some(&[1.0, 2.0][..]), 5));
    assert_eq!(memory.select(Filter::SinceBoundary, Now::default()), Candidates::Slots(vec![0]));
    // There is room again, so the next offer is kept.
    assert_eq!(memory.offer(sample(50).as_sample(), &mut rng()), Some(2));
}

#[test]
fn a_wrong_replacement_changes_nothing() {
    let mut memory = filled(3);
    let before = memory.clone();
    let unknown = memory.replace(&[1, 77], |_| None).unwrap_err().to_string();
    assert!(unknown.contains("sample 77 is neither"), "{unknown}");
    let many = memory.replace(&[0, 1, 2, 0], |_| None).unwrap_err().to_string();
    assert!(many.contains("4 samples do not fit into a memory of 3"), "{many}");
    assert_eq!(memory, before);
}

/// The lists, as a checkpoint gives them back.
fn owned(memory: &ReplayMemory) -> BTreeMap<String, Vec<u8>> {
    memory.sections().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect()
}

#[test]
fn a_stored_memory_comes_back_whole() {
    let mut memory = filled(4);
    memory.write_column("logits", 2, 2, &[1.0, 2.0]).unwrap();
    memory.mark_boundary();
    let json = serde_json::to_string(&memory.head()).unwrap();
    let head = serde_json::from_str(&json).unwrap();
    let mut other = ReplayMemory::from_sections(&head, owned(&memory)).unwrap();
    assert_eq!(memory, other);
    let (mut one, mut two) = (keyed(1, "offers", &[]), keyed(1, "offers", &[]));
    for uid in 4..40 {
        let sample = sample(uid);
        let slot = memory.offer(sample.as_sample(), &mut one);
        assert_eq!(slot, other.offer(sample.as_sample(), &mut two));
    }
    assert_eq!(memory, other);
}

#[test]
fn a_stored_memory_that_does_not_hold_together_is_refused() {
    type Lists = BTreeMap<String, Vec<u8>>;
    let whole = filled(4);
    let refused = |change: &dyn Fn(&mut MemoryHead, &mut Lists), part: &str| {
        let (mut head, mut lists) = (whole.head(), owned(&whole));
        change(&mut head, &mut lists);
        let message = ReplayMemory::from_sections(&head, lists).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(&|head, _| head.version = 1, "version 1");
    let uneven = serde_json::json!({"class_balanced": {"seen": [1], "full": []}});
    let uneven: Policy = serde_json::from_value(uneven).unwrap();
    refused(&|head, _| head.policy = uneven.clone(), "different numbers of classes");
    refused(&|head, _| head.capacity_samples = 3, "4 samples in a memory of 3");
    let cut = |name: &'static str, bytes: usize| {
        move |_: &mut MemoryHead, lists: &mut Lists| lists.get_mut(name).unwrap().truncate(bytes)
    };
    refused(&cut("images", 11), "`images` has 11 entries");
    refused(&cut("uids", 24), "`uids` has 3 entries");
    refused(&cut("uids", 25), "`uids` has 25 bytes");
    refused(&cut("column.logits", 28), "`logits` has 7 entries");
    refused(&|_, lists| drop(lists.remove("groups")), "`groups` is missing");
    let mark =
        |_: &mut MemoryHead, lists: &mut Lists| lists.get_mut("present.logits").unwrap()[0] = 2;
    refused(&mark, "presence mark");
}
