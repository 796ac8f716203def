//! Passes under masks, and a step in two backward passes, on a small network.

use super::*;
use crate::config::{Config, Roles};
use crate::masked::MaskSite;
use burn::tensor::activation::relu;
use perdura_nn::masks::RowMasks;
use perdura_nn::{Backbone, Linear, Mlp};
use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

use crate::modulator::Modulator;
use crate::nets::Part;

const WIDTH: usize = 6;
const WIDTHS: [usize; 2] = [5, 4];
const ROWS: usize = 7;

fn parts() -> (Mlp, Modulator, Linear, Tensor<2>) {
    let device = perdura_nn::device("flex", 0).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let backbone = Mlp::new(WIDTH, &WIDTHS, &mut rng, &device);
    let modulator = Modulator::of_units(WIDTH, &WIDTHS, &mut rng, &device);
    let head = Linear::xavier(WIDTHS[1], 3, &mut rng, &device);
    let x: Vec<f32> = (0..ROWS * WIDTH).map(|i| (i * 37 % 41) as f32 / 41.0).collect();
    (backbone, modulator, head, rows(&[&x], WIDTH, &device))
}

fn nets(roles: Roles) -> Nets {
    let (backbone, modulator, head, _) = parts();
    let device = perdura_nn::device("flex", 0).unwrap();
    let backbone = Part::Backbone(Backbone::Mlp(backbone));
    let parts = (backbone, Part::Modulator(modulator));
    let (slow, fast) = match roles {
        Roles::Paper => parts,
        Roles::Blog => (parts.1, parts.0),
    };
    Nets::of_parts(slow, Some(fast), head, &device)
}

/// Soft masks, one set per row.
fn masks() -> RowMasks {
    let device = perdura_nn::device("flex", 0).unwrap();
    let of = |salt: usize| {
        let layer = |width: &usize| {
            let value = |i: usize| ((i * 29 + salt * 17) % 11) as f32 / 10.0;
            let values: Vec<f32> = (0..*width).map(value).collect();
            Tensor::<1>::from_data(values.as_slice(), &device)
        };
        WIDTHS.iter().map(layer).collect::<Vec<_>>()
    };
    RowMasks::by_row(&[of(1), of(2)], &[0, 1, 1, 0, 0, 1, 0])
}

fn values(t: Tensor<2>) -> Vec<f32> {
    t.into_data().iter::<f32>().collect()
}

/// 3.1: in the supervised path a mask on h_l, on m_l and on h'_l is the same; it is what `fast` and
/// `slow` compute, in both roles. Masked within the backbone, `both`, it is another.
#[test]
fn masks_on_h_on_m_and_on_their_product_are_one() {
    let (backbone, modulator, _, x) = parts();
    let rows = masks();
    let expected = [0, 1, 2].map(|place| {
        let stages = backbone.stages(x.clone());
        let Modulator::Units(layers) = &modulator else { panic!("units modulate units") };
        let mut before = x.clone();
        for (l, h) in stages.into_iter().enumerate() {
            let m = relu(layers[l].forward(before));
            let a = rows.layers()[l].clone();
            before = match place {
                0 => (h * a) * m,
                1 => h * (m * a),
                _ => (h * m) * a,
            };
        }
        values(before)
    });
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    for roles in [Roles::Paper, Roles::Blog] {
        let of = |site: MaskSite| {
            let mut nets = nets(roles);
            nets.masks = Some(site.stages(rows.clone()));
            values(nets.features(x.clone(), Mode::Train, None).unwrap())
        };
        for site in [MaskSite::Fast, MaskSite::Slow, MaskSite::Split] {
            let found = of(site);
            assert_eq!(found, expected[2], "{site:?}");
            assert!(near(&found, &expected[0]) && near(&found, &expected[1]), "{site:?}");
        }
        assert!(!near(&of(MaskSite::Both), &expected[2]));
    }
}

/// `both`: `h_1 ⊗ a_1` is what the second layer of the slow network sees, and what it gives is
/// masked once.
#[test]
fn the_slow_network_itself_is_masked_in_both() {
    let (backbone, modulator, _, x) = parts();
    let rows = masks();
    let Modulator::Units(layers) = &modulator else { panic!("units modulate units") };
    let device = perdura_nn::device("flex", 0).unwrap();
    let Part::Backbone(Backbone::Mlp(mlp)) = nets(Roles::Paper).phi.slow else { panic!("an mlp") };
    let stages = mlp.stages_with(x.clone(), |l, h| h * rows.layers()[l].clone());
    let first = backbone.stages(x.clone()).remove(0) * rows.layers()[0].clone();
    assert_eq!(values(stages[0].clone()), values(first.clone()));
    let fused = first * relu(layers[0].forward(x.clone()));
    let expected = stages[1].clone() * relu(layers[1].forward(fused));
    let mut nets = nets(Roles::Paper);
    nets.masks = Some(MaskSite::Both.stages(rows));
    assert_eq!(values(nets.features(x, Mode::Eval, None).unwrap()), values(expected));
    assert_eq!(nets.plain(&device).head.outputs(), 3);
}

/// Gates by site, from one closed group that owns the first unit of each layer and class 0; `slow`
/// and `split` count parameters of the slow network by their output alone.
#[test]
fn gates_by_site() {
    let device = perdura_nn::device("flex", 0).unwrap();
    let nets = nets(Roles::Paper);
    let of = |mask_site: MaskSite| {
        let config = Config { mask_site, hidden: WIDTHS.into(), rho: 1.0, ..Config::default() };
        let mut masked = Masked::new(&config, 3, &nets).unwrap();
        masked.lesson.enter(0, &device, &mut StdRng::seed_from_u64(2));
        let first = |width: &usize| (0..*width).map(|i| if i == 0 { 6.0 } else { -6.0 }).collect();
        let units = WIDTHS.iter().map(first).collect();
        *masked.lesson.masks.embeddings(0) = Embeddings::of(&units, &device);
        masked.lesson.masks.own(0, &[0]);
        let mut gate = masked.lesson.masks.gate(&Supervised::of(&nets), 1).unwrap();
        mask_site.leave_open(&mut gate);
        // Of the second layer's weights `[in, out]` the row from the first unit, and from another.
        let weight = |part: &Part| {
            let mut part = part.clone();
            let named = part.tensors_mut();
            let (_, tensor) = named.into_iter().find(|(name, _)| name == "fc2.weight").unwrap();
            let perdura_nn::TensorMut::Linear(t) = tensor else { panic!("a matrix") };
            let all = values(t.clone());
            [all[0], all[1], all[WIDTHS[1]]]
        };
        let head = values(gate.head.weight.clone());
        (weight(&gate.slow), weight(gate.fast.as_ref().unwrap()), [head[0], head[1], head[3]])
    };
    let (open, by_both, by_output) = ([1.0; 3], [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]);
    assert_eq!(of(MaskSite::Fast), (open, by_both, by_both));
    assert_eq!(of(MaskSite::Slow), (by_output, open, open));
    assert_eq!(of(MaskSite::Split), (by_output, by_both, by_both));
    assert_eq!(of(MaskSite::Both), (by_both, by_both, by_both));
}
