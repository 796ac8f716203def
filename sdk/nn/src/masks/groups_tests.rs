//! Gates by hand and as properties, and what they are for: a closed group's logits stay what they
//! are while others are trained.

use super::*;
use crate::masks::{RowMasks, Statistics, annealed, forward, sparsity};
use crate::{BackboneConfig, BackboneKind, Mode, NetShape, Update, losses};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const CLASSES: usize = 3;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn net(kind: BackboneKind, hidden: &[usize], input: &[usize]) -> Net {
    let backbone = BackboneConfig { kind, hidden: hidden.to_vec(), width: 3 };
    let shape = NetShape { backbone, input: input.to_vec(), classes: CLASSES };
    Net::new(&shape, &mut rng(1), &crate::device("flex", 0).unwrap()).unwrap()
}

/// Masks whose embeddings are ±6 or random, drawn from `seed`.
fn masks(net: &Net, groups: usize, seed: u64, hard: bool) -> GroupMasks {
    let (mut masks, mut rng) = (GroupMasks::new(net, 400.0).unwrap(), rng(seed));
    for group in 0..groups {
        masks.open(group, net.device(), 0.0, &mut rng);
        let widths = masks.layers().widths().to_vec();
        if hard {
            let mut sign = |_| if rng.random::<f32>() < 0.5 { 6.0 } else { -6.0 };
            let units: Units = widths.iter().map(|w| (0..*w).map(&mut sign).collect()).collect();
            *masks.embeddings(group) = Embeddings::of(&units, net.device());
        }
        masks.own(group, &[(group % CLASSES) as u32]);
    }
    masks
}

fn values(net: &Net) -> Vec<Vec<f32>> {
    crate::numbers::by_tensor(net)
}

fn inputs(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + salt * 101) % 97) as f32 / 97.0).collect()
}

/// Two inputs, two units, two classes. Group 0 has the masks (1, 0) and class 0, group 1 (1, 1) and
/// class 1. While group 1 is learned: weights to unit 0 are closed (1 − 1 = 0), those to unit 1
/// open; of the head only the weight from unit 0 to class 0, and the bias of class 0, are closed.
#[test]
fn the_gate_by_hand() {
    let net = net(BackboneKind::Mlp, &[2], &[2]);
    let mut masks = GroupMasks::new(&net, 400.0).unwrap();
    assert_eq!(masks.capacity_used(), 0.0);
    for (group, embeddings) in [vec![6.0, -6.0], vec![6.0, 6.0]].into_iter().enumerate() {
        masks.open(group, net.device(), 0.0, &mut rng(1));
        *masks.embeddings(group) = Embeddings::of(&vec![embeddings], net.device());
        masks.own(group, &[group as u32]);
    }
    let of_one = values(&masks.gate(&net, 1).unwrap());
    assert_eq!(of_one[0], [0.0, 1.0, 0.0, 1.0]);
    assert_eq!(of_one[1], [0.0, 1.0]);
    assert_eq!(of_one[2], [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(of_one[3], [0.0, 1.0, 1.0]);
    let of_zero = values(&masks.gate(&net, 0).unwrap());
    assert_eq!(of_zero[1], [0.0, 0.0]);
    assert_eq!(of_zero[2], [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
    assert_eq!((masks.capacity_used(), masks.classes_of(1)), (1.0, Some(vec![1])));
    assert!(masks.classes_of(2).is_none() && masks.hard(2).is_none());
}

/// `a^{≤t}` is the largest mask so far: (0.9, 0.2) and (0.3, 0.6) make (0.9, 0.6).
#[test]
fn cumulative_masks_by_hand() {
    let net = net(BackboneKind::Mlp, &[2], &[2]);
    let mut masks = GroupMasks::new(&net, 1.0).unwrap();
    let logit = |p: f32| (p / (1.0 - p)).ln();
    for (group, [a, b]) in [[0.9, 0.2], [0.3, 0.6]].into_iter().enumerate() {
        masks.open(group, net.device(), 0.0, &mut rng(1));
        let embeddings = vec![vec![logit(a), logit(b)]];
        *masks.embeddings(group) = Embeddings::of(&embeddings, net.device());
    }
    let near = |found: &[f32], expected: [f32; 2]| {
        found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6)
    };
    assert!(near(&masks.others(7).unwrap()[0], [0.9, 0.6]));
    assert!(near(&masks.others(0).unwrap()[0], [0.3, 0.6]));
    assert!((masks.capacity_used() - 0.75).abs() < 1e-6);
}

/// Properties over random masks: gates lie in [0, 1]; another group closes, and never opens; the
/// capacity used does not fall.
#[test]
fn gates_only_close_as_groups_are_added() {
    for seed in 0..20 {
        let net = net(BackboneKind::Mlp, &[6, 5], &[4]);
        let all = masks(&net, 4, seed, false);
        assert!(masks(&net, 1, seed, false).gate(&net, 0).is_none(), "nobody to protect");
        let mut before = (vec![1.0; net.parameter_count()], 0.0);
        for groups in 1..4 {
            let some = masks(&net, groups, seed, false);
            let gate = values(&some.gate(&net, 9).unwrap()).concat();
            assert!(gate.iter().all(|g| (0.0..=1.0).contains(g)));
            assert!(gate.iter().zip(&before.0).all(|(now, then)| now <= then));
            assert!(some.capacity_used() >= before.1 && some.capacity_used() <= 1.0);
            before = (gate, some.capacity_used());
        }
        assert_eq!(values(&all.gate(&net, 3).unwrap()).concat(), before.0);
    }
}

/// One step of HAT for group `group`, embeddings included.
fn step(net: &mut Net, masks: &mut GroupMasks, group: usize, x: &[f32], i: u64) {
    let s = annealed(i, 20, masks.s_max());
    let (mut tracked, embeddings) = (net.tracked(), masks.embeddings(group).tracked());
    let of_units = embeddings.masks(s);
    let rows = RowMasks::same(of_units.clone());
    let labels: Vec<u32> = vec![group as u32; x.len() / net.backbone.inputs()];
    let logits = forward(&mut tracked, net.rows(&[x]), &rows, Mode::Train).unwrap();
    let mut loss = losses::cross_entropy(logits, net.labels(&[&labels]));
    if let Some(term) = sparsity(&of_units, masks.others(group).as_ref()) {
        loss = loss + term * 0.75;
    }
    let mut gradients = loss.backward();
    let mut update = Update::of(&tracked, &mut gradients);
    let mut of_embeddings = Update::of(&embeddings, &mut gradients);
    if let Some(gate) = masks.gate(net, group) {
        update.scale(&gate);
    }
    update.descend(net, 0.1);
    let factors = masks.embeddings(group).factors(s, 400.0);
    of_embeddings.scale(&factors);
    of_embeddings.descend(masks.embeddings(group), 0.1);
    masks.embeddings(group).clamp();
}

fn answer(net: &Net, masks: &GroupMasks, statistics: &Statistics, group: usize) -> Vec<f32> {
    let mut net = net.clone();
    statistics.enter(&mut net);
    let x = inputs(5 * net.backbone.inputs(), 3);
    let mut out = vec![0.0; 5 * CLASSES];
    super::super::predict(&net, &masks.hard(group).unwrap(), &x, &mut out);
    out
}

/// With hard masks, and statistics of its own, a closed group answers with the logits it had, for
/// the classes it owns, whatever is trained after it.
#[test]
fn a_closed_group_keeps_its_logits() {
    for (kind, hidden, input) in [
        (BackboneKind::Mlp, &[12, 10][..], &[1, 8, 8][..]),
        (BackboneKind::Resnet18, &[], &[1, 8, 8]),
    ] {
        let mut net = net(kind, hidden, input);
        let mut masks = masks(&net, 2, 5, true);
        let fresh = Statistics::of(&net);
        for i in 0..10 {
            step(&mut net, &mut masks, 0, &inputs(4 * 64, i), i as u64);
        }
        // Training at small s softens embeddings; what closes is hard again.
        let hard = masks.units(0).unwrap()[..masks.layers().widths().len()].to_vec();
        let ends = |a: &f32| if *a > 0.5 { 6.0 } else { -6.0 };
        let hard: Units = hard.iter().map(|l| l.iter().map(ends).collect()).collect();
        *masks.embeddings(0) = Embeddings::of(&hard, net.device());
        let closed = Statistics::of(&net);
        let (before, parameters) = (answer(&net, &masks, &closed, 0), values(&net).concat());
        fresh.enter(&mut net);
        for i in 0..20 {
            step(&mut net, &mut masks, 1, &inputs(4 * 64, 50 + i), i as u64);
        }
        assert_ne!(values(&net).concat(), parameters, "{kind:?}: something was learned");
        let after = answer(&net, &masks, &closed, 0);
        for row in 0..5 {
            let (a, b) = (before[row * CLASSES], after[row * CLASSES]);
            assert!((a - b).abs() <= 1e-5, "{kind:?}, row {row}: {a} {b}");
        }
        assert_ne!(before, after, "outputs of classes it does not own may move");
    }
}

/// Groups without a common unit: what protects one does not move at all while the other learns.
#[test]
fn disjoint_masks_share_no_parameter() {
    let mut net = net(BackboneKind::Mlp, &[4, 4], &[4]);
    let mut masks = masks(&net, 2, 1, true);
    for (group, e) in [[6.0, 6.0, -6.0, -6.0], [-6.0, -6.0, 6.0, 6.0]].into_iter().enumerate() {
        *masks.embeddings(group) = Embeddings::of(&vec![e.to_vec(); 2], net.device());
    }
    let (before, owned) = (values(&net), masks.units(0).unwrap());
    let protected = values(&masks.layers().spread(&net, &owned));
    for i in 0..10 {
        step(&mut net, &mut masks, 1, &inputs(12, i), 20);
    }
    let after = values(&net);
    let mut moved = 0;
    for ((before, after), protected) in before.iter().zip(&after).zip(&protected) {
        for ((b, a), p) in before.iter().zip(after).zip(protected) {
            assert!(*p == 0.0 || b == a, "a protected parameter moved from {b} to {a}");
            moved += i32::from(a != b);
        }
    }
    assert!(moved > 0);
}

/// Masks of ones are no masks, to the byte, and rows get the masks of their own group.
#[test]
fn masks_of_ones_change_nothing_and_rows_have_their_own() {
    for (kind, hidden) in [(BackboneKind::Mlp, &[6, 5][..]), (BackboneKind::Resnet18, &[])] {
        let mut net = net(kind, hidden, &[1, 8, 8]);
        let mut masks = masks(&net, 3, 2, true);
        let ones: Units = masks.layers().widths().iter().map(|w| vec![6.0; *w]).collect();
        *masks.embeddings(2) = Embeddings::of(&ones, net.device());
        let x = net.rows(&[&inputs(4 * 64, 1)]);
        let of: Vec<Vec<Tensor<1>>> = (0..3).map(|g| masks.hard(g).unwrap()).collect();
        let mut run = |rows: &RowMasks| {
            let logits = forward(&mut net, x.clone(), rows, Mode::Eval).unwrap();
            logits.into_data().iter::<f32>().collect::<Vec<f32>>()
        };
        let alone: Vec<Vec<f32>> = of.iter().map(|m| run(&RowMasks::same(m.clone()))).collect();
        assert_eq!(run(&RowMasks::by_row(&of, &[2, 2, 2, 2])), alone[2]);
        let mixed = run(&RowMasks::by_row(&of, &[0, 1, 2, 0]));
        for (row, group) in [0, 1, 2, 0].into_iter().enumerate() {
            let expected = &alone[group][row * CLASSES..][..CLASSES];
            let found = &mixed[row * CLASSES..][..CLASSES];
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6), "{kind:?}");
        }
        let plain: Vec<f32> = net.forward(x.clone()).into_data().iter::<f32>().collect();
        assert_eq!(alone[2], plain, "{kind:?}");
        let train = |masked: bool| {
            let mut net = net.clone();
            let logits = match masked {
                true => forward(&mut net, x.clone(), &RowMasks::same(of[2].clone()), Mode::Train),
                false => net.forward_train(x.clone()),
            };
            logits.unwrap().into_data()
        };
        assert_eq!(train(true), train(false), "{kind:?}");
    }
}

#[test]
fn groups_are_saved_and_loaded() {
    let net = net(BackboneKind::Mlp, &[6, 5], &[4]);
    let mut all = masks(&net, 3, 4, false);
    all.own(1, &[0]);
    let saved = |masks: &GroupMasks| {
        let mut state = StateWriter::new();
        masks.save(&mut state).unwrap();
        state.into_bytes().unwrap()
    };
    let bytes = saved(&all);
    let mut other = masks(&net, 1, 9, true);
    other.load(net.device(), &mut StateReader::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(saved(&other), bytes);
    assert_eq!(other.open_groups(), [0, 1, 2]);
    assert_eq!(other.classes_of(1), Some(vec![0, 1]));
}

#[test]
fn a_scale_that_is_not_above_zero_is_refused() {
    let net = net(BackboneKind::Mlp, &[2], &[2]);
    for s_max in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = GroupMasks::new(&net, s_max).unwrap_err().to_string();
        assert!(error.starts_with("hyper-parameter `s_max`: expected a number above 0"), "{error}");
    }
}
