//! The life of masks by hand: who learns, at which scale, what is common, and what is refused.

use super::*;
use crate::masks::{Ends, Layers};
use perdura_sdk::rand::SeedableRng;
use perdura_sdk::{Rng, StateReader, StateWriter};

fn options() -> MaskOptions {
    let (s_max, lambda_c, mask_mean) = (4.0, 0.75, 0.0);
    MaskOptions { s_max, lambda_c, mask_mean, mask_anneal: true, mask_steps: 5 }
}

/// Two layers of four and two units, the first two and one of them common.
fn learning() -> (MaskLearning, Device) {
    let weight = |output, input| [Ends { output, input }, Ends { output, input: None }];
    let ends = [weight(0, None), weight(1, Some(0)), weight(2, Some(1))].concat();
    let layers = Layers::over(vec![4, 2], ends).with_common(vec![2, 1]);
    let masks = GroupMasks::over(layers, 3, options().s_max).unwrap();
    (MaskLearning::new(options(), masks), crate::device("flex", 0).unwrap())
}

fn at(step_in_epoch: u64) -> Option<Position> {
    let (experience, epoch, epochs, steps_per_epoch) = (0, 0, 1, 5);
    Some(Position { experience, epoch, epochs, step_in_epoch, steps_per_epoch })
}

fn values(masks: &[Tensor<1>]) -> Vec<Vec<f32>> {
    masks.iter().map(|mask| mask.to_data().iter::<f32>().collect()).collect()
}

/// A group learns from when it is entered until it is frozen: s goes from 1/4 by 0.75 a step.
#[test]
fn a_group_learns_its_masks_once() {
    let (mut learning, device) = learning();
    let mut rng = Rng::seed_from_u64(1);
    learning.enter(3, &device, &mut rng);
    assert_eq!((learning.learning(), learning.scale(3, at(1))), (Some(3), Some(1.0)));
    assert_eq!(learning.scale(2, at(1)), None, "another group");
    learning.freeze();
    assert_eq!(learning.scale(3, at(1)), None);
    learning.enter(3, &device, &mut rng);
    assert_eq!(learning.learning(), None, "it has masks");
}

/// Without boundaries the scale rises over `mask_steps` steps of learning, and then masks freeze.
#[test]
fn hidden_boundaries_have_a_count_of_steps() {
    let (mut learning, device) = learning();
    learning.enter(0, &device, &mut Rng::seed_from_u64(1));
    for step in 0..5 {
        assert_eq!(learning.scale(0, None), Some(0.25 + 0.75 * f64::from(step)));
        learning.count(true, None);
    }
    assert_eq!(learning.scale(0, None), None);
}

/// Common units have the mask 1 exactly, the others σ(s·e); they are neither capacity nor free.
/// With embeddings of 0 for one group the capacity is ½; the term of the first group is the mean
/// over units of its own, ½, whatever is common: L + 0.75·½.
#[test]
fn common_units_are_open_and_nobodys() {
    let (mut learning, device) = learning();
    learning.enter(0, &device, &mut Rng::seed_from_u64(1));
    let zeros = vec![vec![0.0; 4], vec![0.0; 2]];
    *learning.masks.embeddings(0) = Embeddings::of(&zeros, &device).with_common(&[2, 1]);
    let hard = learning.masks.hard(0).unwrap();
    assert_eq!(values(&hard), [vec![1.0, 1.0, 0.5, 0.5], vec![1.0, 0.5]]);
    assert_eq!(learning.masks.capacity_used(), 0.5);
    learning.take_stock(0);
    let e = learning.tracked(0, Some(1.0)).unwrap();
    let loss = learning.with_sparsity(Tensor::from_data([2.0], &device), Some((&e, 1.0)));
    assert_eq!(loss.into_scalar::<f32>(), 2.375);
    let taken = learning.masks.taken(7).unwrap();
    assert_eq!(taken[..2], [vec![1.0, 1.0, 0.5, 0.5], vec![1.0, 0.5]]);
}

/// What leads to a common unit is never gated; from a common unit to a closed one it is: a weight
/// `[in, out]` of the second layer to units (common, 0.5), from (1, 1, 0.5, 0.5).
#[test]
fn the_gate_of_common_units_is_open() {
    use crate::{BackboneConfig, Net, NetShape, numbers};
    let (mut learning, device) = learning();
    let shape = NetShape { backbone: BackboneConfig::mlp(&[4, 2]), input: vec![2], classes: 3 };
    let net = Net::new(&shape, &mut Rng::seed_from_u64(1), &device).unwrap();
    learning.enter(0, &device, &mut Rng::seed_from_u64(1));
    let zeros = vec![vec![6.0; 4], vec![0.0, 0.0]];
    *learning.masks.embeddings(0) = Embeddings::of(&zeros, &device).with_common(&[2, 1]);
    let gate = numbers::by_tensor(&learning.masks.gate(&net, 1).unwrap());
    assert_eq!(gate[1], [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(gate[2], [1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5]);
    assert_eq!(gate[3], [1.0, 0.5]);
}

/// ā = max(a, hard masks of the others): of (0.5, …) here and (1 | 0) there.
#[test]
fn the_union_is_the_largest_mask() {
    let (mut learning, device) = learning();
    for (group, e) in [(0, 0.0), (1, 600.0), (2, -600.0)] {
        learning.enter(group, &device, &mut Rng::seed_from_u64(1));
        let all = vec![vec![-600.0, -600.0, e, -e], vec![-600.0, e]];
        *learning.masks.embeddings(group) = Embeddings::of(&all, &device).with_common(&[2, 1]);
    }
    let here = learning.answering(0, Some(1.0));
    assert_eq!(values(&here)[0], [1.0, 1.0, 0.5, 0.5]);
    assert_eq!(values(&learning.union(0, here)), [vec![1.0; 4], vec![1.0; 2]]);
    let of_two = learning.answering(2, None);
    assert_eq!(values(&learning.union(2, of_two))[1], [1.0, 1.0]);
}

/// Rows get the masks of their group; of a group without masks those of the group at hand.
#[test]
fn rows_have_places() {
    let (mut learning, device) = learning();
    for group in [0, 4] {
        learning.enter(group, &device, &mut Rng::seed_from_u64(1));
    }
    let of_here = learning.answering(4, None);
    let rows = learning.rows(4, &[4, 0, 9, 0], of_here);
    let groups: Vec<usize> = rows.groups.iter().map(|(group, _)| *group).collect();
    assert_eq!((groups, rows.places), (vec![4, 0], vec![0, 1, 0, 1]));
}

#[test]
fn it_is_saved_and_loaded() {
    let saved = |learning: &MaskLearning| {
        let mut out = StateWriter::new();
        learning.save(&mut out).unwrap();
        out.into_bytes().unwrap()
    };
    let (mut first, device) = learning();
    first.enter(2, &device, &mut Rng::seed_from_u64(1));
    first.count(true, None);
    let bytes = saved(&first);
    let (mut second, _) = learning();
    second.load(&device, &mut StateReader::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(saved(&second), bytes);
    assert_eq!(values(&second.answering(2, None))[0][..2], [1.0, 1.0], "common still");
    assert_eq!(second.scale(2, None), Some(1.0));
}

#[test]
fn options_out_of_range_are_refused() {
    assert!(options().check().is_ok());
    let refused = |options: MaskOptions, expected: &str| {
        let message = options.check().unwrap_err().to_string();
        assert!(message.starts_with(&format!("hyper-parameter `{expected}")), "{message}");
    };
    refused(MaskOptions { s_max: 0.0, ..options() }, "s_max`: expected a number above 0");
    refused(MaskOptions { lambda_c: -1.0, ..options() }, "lambda_c`: expected a number of");
    refused(MaskOptions { mask_mean: f64::NAN, ..options() }, "mask_mean`: expected a number");
    refused(MaskOptions { mask_steps: 0, ..options() }, "mask_steps`: expected at least 1");
}
