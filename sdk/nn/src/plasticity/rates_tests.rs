//! Rates by hand, what they reduce to, and their properties over random claims.

use super::*;
use crate::masks::GroupMasks;
use crate::plasticity::SpeedCurve;
use crate::{BackboneConfig, Net, NetShape, Update, distance, losses, state};
use perdura_sdk::StateWriter;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn net(hidden: &[usize]) -> Net {
    let backbone = BackboneConfig::mlp(hidden);
    let shape = NetShape { backbone, input: vec![2], classes: 2 };
    Net::new(&shape, &mut rng(1), &crate::device("flex", 0).unwrap()).unwrap()
}

fn pace(plasticity: Plasticity) -> Pace {
    let (curve, kappa_min, kappa_max, tau) = (SpeedCurve::Geometric, 0.1, 1.0, 0.5);
    let speed = Speed { curve, kappa_min, kappa_max, tau };
    Pace { plasticity, speed, budget_neutral: false }
}

const KINDS: [Plasticity; 3] = [Plasticity::Mean, Plasticity::Min, Plasticity::Hat];

/// Random claims by masks, the head's outputs included.
fn owners(net: &Net, similarities: &[f32], rng: &mut impl Rng) -> (Layers, Vec<Owner>) {
    let layers = Layers::of(net).unwrap();
    let widths = [layers.widths(), &[net.head.outputs()]].concat();
    let owners = similarities.iter().map(|&similarity| {
        let mut unit = |_| if rng.random::<f32>() < 0.3 { 0.0 } else { rng.random() };
        let units = widths.iter().map(|w| (0..*w).map(&mut unit).collect()).collect();
        Owner { similarity, claim: Claim::Units(units) }
    });
    let owners = owners.collect();
    (layers, owners)
}

fn of(pace: Pace, net: &Net, (layers, owners): &(Layers, Vec<Owner>)) -> Vec<f32> {
    numbers::by_tensor(&pace.rates(net, Some(layers), owners).unwrap()).concat()
}

/// p = (0.5, 0.2), κ = (0.1, 1): mean (0.05 + 0.2 + 0.001)/(0.7 + 0.001); min 1 − 0.5·0.9 = 0.55;
/// without owners 1.
#[test]
fn mean_and_min_by_hand() {
    let (p, kappas) = ([0.5, 0.2], [0.1, 1.0]);
    assert!((mean(&p, &kappas) - 0.251 / 0.701).abs() < 1e-6);
    assert!((min(&p, &kappas) - 0.55).abs() < 1e-6);
    assert_eq!((mean(&[0.0, 0.0], &kappas), min(&[0.0, 0.0], &kappas)), (1.0, 1.0));
}

/// Units (1, 0) and (0.5, 1) before the head (1, 0), κ = 0.1 for both. Held: (0.9, 0.9) and the
/// head (0.9, 0). Hidden weights and biases: 0.1; the head's to class 0: 1 − min(0.9, 0.9) = 0.1, to
/// class 1: 1. Where the first group has the unit and the second the class, `min` does not see it.
#[test]
fn hat_by_hand() {
    let net = net(&[2]);
    let of_group = |units: [f32; 2], head: [f32; 2]| Owner {
        similarity: 0.0,
        claim: Claim::Units(vec![units.to_vec(), head.to_vec()]),
    };
    let layers = Layers::of(&net).unwrap();
    let owners = vec![of_group([1.0, 0.0], [0.0, 0.0]), of_group([0.0, 1.0], [1.0, 0.0])];
    let both = (layers, owners);
    let near = |found: &[f32], expected: &[f32]| {
        let close = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6);
        assert!(close && found.len() == expected.len(), "{found:?} {expected:?}");
    };
    let hat = of(pace(Plasticity::Hat), &net, &both);
    near(&hat, &[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.0, 0.1, 1.0, 0.1, 1.0]);
    let min = of(pace(Plasticity::Min), &net, &both);
    near(&min, &[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.0, 1.0, 0.1, 1.0, 0.1, 1.0]);
}

/// `agg = hat`, `step(τ = 1)`, similarity 1 with itself and 0 with others: HAT's gate, to the bit.
/// `agg = min` is the same with one earlier group.
#[test]
fn a_step_at_one_is_the_gate_of_hat() {
    let net = net(&[5, 4]);
    let mut masks = GroupMasks::new(&net, 400.0).unwrap();
    let mut rng = rng(3);
    let speed = Speed { curve: SpeedCurve::Step, tau: 1.0, ..pace(Plasticity::Hat).speed };
    for groups in 1..4usize {
        let group = groups - 1;
        masks.open(group, net.device(), 0.0, &mut rng);
        masks.own(group, &[(group % 2) as u32]);
        // Soft masks too: at s_max = 400 embeddings near 0 are neither open nor closed.
        let current = groups;
        let owner = |group: usize| Owner {
            similarity: if group == current { 1.0 } else { 0.0 },
            claim: Claim::Units(masks.units(group).unwrap()),
        };
        let owners = (masks.layers().clone(), (0..groups).map(owner).collect::<Vec<_>>());
        let gate = numbers::by_tensor(&masks.gate(&net, current).unwrap()).concat();
        assert_eq!(of(Pace { speed, ..pace(Plasticity::Hat) }, &net, &owners), gate);
        if groups == 1 {
            assert_eq!(of(Pace { speed, ..pace(Plasticity::Min) }, &net, &owners), gate);
        }
    }
}

/// κ = 1: plain gradient descent to the byte, by every aggregation.
#[test]
fn a_speed_of_one_is_plain_training() {
    for plasticity in KINDS {
        let (mut plain, mut mine) = (net(&[5, 4]), net(&[5, 4]));
        let owners = owners(&plain, &[0.0, 0.4, 1.0], &mut rng(5));
        let speed = Speed { kappa_min: 1.0, ..pace(plasticity).speed };
        let pace = Pace { speed, ..pace(plasticity) };
        let rates = pace.rates(&mine, Some(&owners.0), &owners.1).unwrap();
        for i in 0..5 {
            let (mut tracked, x) = (plain.tracked(), [0.3, i as f32, -0.2, 0.9]);
            let loss = |net: &mut Net| {
                let logits = net.forward_train(net.rows(&[&x])).unwrap();
                losses::cross_entropy(logits, net.labels(&[&[0, 1]]))
            };
            let gradients = loss(&mut tracked).backward();
            plain.descend(&tracked, gradients, 0.3);
            let mut tracked = mine.tracked();
            let mut update = Update::of(&tracked.clone(), &mut loss(&mut tracked).backward());
            update.scale(&rates);
            update.descend(&mut mine, 0.3);
        }
        let bytes = |net: &Net| {
            let mut out = StateWriter::new();
            state::save(net, "", &mut out).unwrap();
            out.into_bytes().unwrap()
        };
        assert_eq!(bytes(&mine), bytes(&plain), "{plasticity:?}");
    }
}

/// Over random claims and similarities: κ_min ≤ μ ≤ 1; μ does not fall when any similarity rises;
/// `min` is not below `hat`, and equals it with one owner.
#[test]
fn properties_of_rates() {
    let net = net(&[5, 4]);
    for seed in 0..40 {
        let mut rng = rng(seed);
        let groups = 1 + (seed % 4) as usize;
        let similarities: Vec<f32> = (0..groups).map(|_| rng.random()).collect();
        let owners = owners(&net, &similarities, &mut rng);
        for curve in [SpeedCurve::Geometric, SpeedCurve::Linear, SpeedCurve::Step] {
            let paced = |kind| Pace { speed: Speed { curve, ..pace(kind).speed }, ..pace(kind) };
            let [_, min, hat] = KINDS.map(|kind| of(paced(kind), &net, &owners));
            let pairs = || min.iter().zip(&hat);
            assert!(pairs().all(|(min, hat)| *min >= hat - 1e-6), "seed {seed} {curve:?}");
            if groups == 1 {
                let equal = pairs().all(|(min, hat)| (min - hat).abs() < 1e-6);
                assert!(equal, "seed {seed} {curve:?}");
            }
            for kind in KINDS {
                let pace = paced(kind);
                let rates = of(pace, &net, &owners);
                let least = if curve == SpeedCurve::Step { 0.0 } else { 0.1 };
                let within = |rate: &f32| (least - 1e-6..=1.0).contains(rate);
                assert!(rates.iter().all(within), "seed {seed} {curve:?} {kind:?}");
                let mut more = owners.clone();
                let raised = &mut more.1[seed as usize % groups].similarity;
                *raised = (*raised + 0.3).min(1.0);
                let faster = of(pace, &net, &more);
                let rises = rates.iter().zip(&faster).all(|(a, b)| *b >= a - 1e-6);
                assert!(rises, "seed {seed} {curve:?} {kind:?}");
            }
        }
    }
}

/// The mean of all rates is 1, and their order is what it was; where all stand still they do.
#[test]
fn a_neutral_budget_has_a_mean_of_one() {
    let net = net(&[5, 4]);
    let owners = owners(&net, &[0.0, 0.7], &mut rng(2));
    for kind in KINDS {
        let plain = of(pace(kind), &net, &owners);
        let neutral = of(Pace { budget_neutral: true, ..pace(kind) }, &net, &owners);
        let mean = neutral.iter().sum::<f32>() / neutral.len() as f32;
        assert!((mean - 1.0).abs() < 1e-5, "{kind:?}: {mean}");
        let ratio = neutral[0] / plain[0];
        assert!(plain.iter().zip(&neutral).all(|(p, n)| (p * ratio - n).abs() < 1e-4));
    }
    let mut still = vec![vec![0.0; 3]];
    neutralise(&mut still);
    assert_eq!(still, [vec![0.0; 3]]);
}

#[test]
fn nobody_slows_what_nobody_owns() {
    let net = net(&[5]);
    let (layers, owners) = owners(&net, &[0.0], &mut rng(1));
    assert!(pace(Plasticity::None).rates(&net, Some(&layers), &owners).is_none());
    assert!(pace(Plasticity::Mean).rates(&net, Some(&layers), &[]).is_none());
}

/// Claims by parameter need no masks: those of importance 1 at similarity 0 go at κ_min.
#[test]
fn claims_by_parameter_are_taken_as_they_are() {
    let net = net(&[3]);
    let claimed: Vec<Vec<f32>> = numbers::by_tensor(&net)
        .into_iter()
        .map(|tensor| (0..tensor.len()).map(|i| f32::from(u8::from(i == 0))).collect())
        .collect();
    let owner = Owner { similarity: 0.0, claim: Claim::Parameters(claimed) };
    let rates = pace(Plasticity::Min).rates(&net, None, &[owner]).unwrap();
    for tensor in numbers::by_tensor(&rates) {
        assert!((tensor[0] - 0.1).abs() < 1e-6 && tensor[1..].iter().all(|rate| *rate == 1.0));
    }
}

/// Four groups own a fourth of the parameters each, at similarities 0, 1/3, 2/3 and 1 in an order
/// that turns with the seed; after training, the distance a group's parameters have moved, over
/// their norm, goes with its similarity: Spearman's rank correlation over all pairs is above 0.5.
#[test]
fn what_is_like_moves_further() {
    let (mut similarities, mut moved) = (Vec::new(), Vec::new());
    for seed in 0..8u64 {
        let mut net = net(&[16, 16]);
        let of_group = |group: u64| {
            let number = |i: usize| f32::from(u8::from((i as u64 + i as u64 / 4) % 4 == group));
            let tensors = numbers::by_tensor(&net).into_iter();
            tensors.map(|t| (0..t.len()).map(number).collect()).collect::<Vec<Vec<f32>>>()
        };
        let similarity = |group: u64| ((group + seed) % 4) as f32 / 3.0;
        let owners: Vec<Owner> = (0..4)
            .map(|group| Owner {
                similarity: similarity(group),
                claim: Claim::Parameters(of_group(group)),
            })
            .collect();
        let rates = pace(Plasticity::Mean).rates(&net, None, &owners).unwrap();
        let claims: Vec<Vec<Vec<f32>>> = (0..4).map(of_group).collect();
        let before = net.clone();
        let mut rng = rng(seed);
        for _ in 0..30 {
            let x: Vec<f32> = (0..32).map(|_| rng.random::<f32>() - 0.5).collect();
            let y: Vec<u32> = x.chunks(2).map(|x| u32::from(x[0] * x[1] > 0.0)).collect();
            let mut tracked = net.tracked();
            let logits = tracked.forward_train(net.rows(&[&x])).unwrap();
            let loss = losses::cross_entropy(logits, net.labels(&[&y]));
            let mut update = Update::of(&tracked, &mut loss.backward());
            update.scale(&rates);
            update.descend(&mut net, 0.2);
        }
        for (group, claim) in claims.into_iter().enumerate() {
            let only = |of: &Net| {
                let own = numbers::by_tensor(of).into_iter().zip(&claim);
                let own = own.map(|(t, p)| t.iter().zip(p).map(|(t, p)| t * p).collect());
                numbers::filled(of, own.collect())
            };
            let nothing = numbers::filled(
                &net,
                numbers::by_tensor(&net).into_iter().map(|t| vec![0.0; t.len()]).collect(),
            );
            let norm = distance(&only(&before), &nothing);
            moved.push(distance(&only(&net), &only(&before)) / norm);
            similarities.push(f64::from(similarity(group as u64)));
        }
    }
    let rho = spearman(&similarities, &moved);
    assert!(rho > 0.5, "{rho}");
}

/// Spearman's rank correlation, ties at their mean rank.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| -> Vec<f64> {
        let below = |v: f64| values.iter().filter(|w| **w < v).count() as f64;
        let equal = |v: f64| values.iter().filter(|w| **w == v).count() as f64;
        values.iter().map(|&v| below(v) + (equal(v) + 1.0) / 2.0).collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let centre = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - centre) * (y - centre)).sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}
