//! Targets by hand, and the identity of soft teachers.

use super::*;
use perdura_nn::similarity::FlatGradient;
use perdura_nn::teaching::consistency;
use perdura_nn::{BackboneConfig, NetShape, Network};
use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

const CLASSES: usize = 3;

fn net(seed: u64) -> Net {
    let backbone = BackboneConfig { hidden: vec![5], ..BackboneConfig::default() };
    let shape = NetShape { backbone, input: vec![4], classes: CLASSES };
    let device = perdura_nn::device("flex", 0).unwrap();
    Net::new(&shape, &mut StdRng::seed_from_u64(seed), &device).unwrap()
}

/// Answers of two memories about two rows; the label is class 0.
fn answers() -> [Answer; 2] {
    let answer = |logits: [f32; 4], log_p: [f32; 2]| Answer {
        rows: vec![0, 1],
        logits: logits.to_vec(),
        log_p: log_p.to_vec(),
    };
    [answer([1.0, 2.0, 3.0, 4.0], [-0.5, -2.0]), answer([5.0, 6.0, 7.0, 8.0], [-1.0, -0.1])]
}

fn config(w_correct: f64, w_similar: f64) -> Config {
    Config { w_correct, w_similar, ..Config::default() }
}

/// Similarities of the two memories to the samples of group 0 and of group 1.
fn sims() -> Vec<Vec<f32>> {
    vec![vec![1.0, 0.5], vec![0.5, 1.0]]
}

/// w = (1, 0) is CLS-ER's rule: row 0 from the first (−0.5 > −1), row 1 from the second. w = (0,
/// 1): both rows are of group 0, to which the first is more similar. w = (1, 1): row 1 gets −2 + ln
/// 1 from the first and −0.1 + ln 0.5 = −0.79 from the second.
#[test]
fn hard_teachers_by_hand() {
    let choose = |config: Config| hard(&config, &sims(), &[0, 0], &answers(), 2);
    assert_eq!(choose(config(1.0, 0.0)), [1.0, 2.0, 7.0, 8.0]);
    assert_eq!(choose(config(0.0, 1.0)), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(choose(config(1.0, 1.0)), [1.0, 2.0, 7.0, 8.0]);
    // Ten times the weight of similarity: −2 against −0.1 + 10 ln 0.5.
    assert_eq!(choose(config(1.0, 10.0)), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_tie_is_the_first_memorys() {
    let mut equal = answers();
    equal[1].log_p = equal[0].log_p.clone();
    assert_eq!(hard(&config(1.0, 0.0), &sims(), &[0, 1], &equal, 2), [1.0, 2.0, 3.0, 4.0]);
}

/// ŝ = (1, ½): z̄ = (z_0 + ½ z_1)/1.5 and Λ = 1.5.
#[test]
fn soft_teachers_by_hand() {
    let of = |soft_normalised, places: &[usize]| {
        let config = Config { soft_normalised, ..Config::default() };
        soft(&config, &sims(), places, &answers(), 2)
    };
    let (logits, weights) = of(false, &[0, 1]);
    let expected = [3.5 / 1.5, 5.0 / 1.5, 8.5 / 1.5, 10.0 / 1.5];
    assert!(logits.iter().zip(expected).all(|(z, e)| (z - e).abs() < 1e-6), "{logits:?}");
    assert_eq!(weights, [1.5, 1.5]);
    assert_eq!(of(true, &[0, 1]), (logits, vec![1.0, 1.0]));
}

#[test]
fn what_no_memory_is_similar_to_has_no_soft_teacher() {
    let nobody = vec![vec![0.0, 0.0], vec![0.0, 1.0]];
    for soft_normalised in [true, false] {
        let config = Config { soft_normalised, ..Config::default() };
        let (_, weights) = soft(&config, &nobody, &[0, 1], &answers(), 2);
        assert_eq!(weights, [0.0, 1.0]);
    }
}

#[test]
fn teachers_are_similar_to_the_sample_the_task_or_both() {
    let matrix = [1.0, 0.5, 0.2, 1.0];
    let similarities = Similarities { groups: &[0, 3], matrix: &matrix, current: 1 };
    assert_eq!(similarities.of_teachers(0, TeacherSim::SampleTask), [1.0, 0.5]);
    assert_eq!(similarities.of_teachers(0, TeacherSim::CurrentTask), [0.2, 1.0]);
    assert_eq!(similarities.of_teachers(0, TeacherSim::Product), [0.2, 0.5]);
}

#[test]
fn hard_teachers_of_a_sample_are_the_most_similar_ones() {
    assert_eq!(most_similar(&[0.2, 0.9, 0.2, 0.4], 2), [false, true, false, true]);
    assert_eq!(most_similar(&[0.5, 0.5, 0.5], 2), [true, true, false]);
    let sims = vec![vec![1.0, 0.5, 0.1], vec![0.1, 1.0, 0.5], vec![0.1, 0.5, 1.0]];
    let asked = duties(&Config::default(), &sims, &[0, 2, 0]);
    assert_eq!(asked, [vec![0, 2], vec![0, 1, 2], vec![1]]);
    let current = Config { teacher_sim: TeacherSim::CurrentTask, ..Config::default() };
    assert_eq!(duties(&current, &sims, &[0, 2, 0]), [[0, 1, 2]; 3], "not restricted");
}

/// T4: one target in place of one term per memory, for samples of different groups.
#[test]
fn the_single_soft_target_has_the_gradient_of_the_sum() {
    let mut memories = [net(1), net(2), net(3)];
    let working = net(4);
    let matrix = [1.0, 0.3, 0.0, 0.3, 1.0, 0.6, 0.0, 0.6, 1.0];
    let similarities = Similarities { groups: &[0, 1, 2], matrix: &matrix, current: 1 };
    let inputs: Vec<f32> = (0..20).map(|i| ((i * 37) % 11) as f32 / 11.0).collect();
    let places = [0, 1, 2, 0, 1];
    let x = working.rows(&[&inputs]);
    let y = working.labels(&[&[0, 1, 2, 0, 1]]);
    for soft_normalised in [false, true] {
        let config = Config { teacher: Teacher::Soft, soft_normalised, ..Config::default() };
        let single = FlatGradient::of(&working, |n| {
            let mut teachers: Vec<&mut Net> = memories.iter_mut().collect();
            let asked = (x.clone(), y.clone());
            let target = target(&config, &similarities, &mut teachers, &places, asked).unwrap();
            consistency(n.forward(x.clone()), target)
        });
        let sum = FlatGradient::of(&working, |n| {
            let terms = memories.iter().enumerate().map(|(g, memory)| {
                let weights = places.map(|h| {
                    let total: f32 = matrix[h * 3..][..3].iter().sum();
                    matrix[h * 3 + g] / if soft_normalised { total } else { 1.0 }
                });
                let weights = Tensor::from_data(weights, &x.device());
                let logits = memory.forward(x.clone());
                consistency(n.forward(x.clone()), Target { logits, weights: Some(weights) })
            });
            terms.reduce(|a, b| a + b).unwrap()
        });
        for (a, b) in single.values.iter().zip(&sum.values) {
            assert!((a - b).abs() <= 1e-6, "{a} {b}");
        }
        assert!(single.values.iter().any(|g| g.abs() > 1e-3));
    }
    assert_eq!(memories[0].parameter_count(), working.parameter_count());
}

/// Asking about some rows gives the rows of asking about all.
#[test]
fn a_memory_is_asked_about_its_rows_alone() {
    let mut memory = net(1);
    let x = memory.rows(&[&[0.1; 12]]);
    let y = memory.labels(&[&[0, 1, 2]]);
    let all = ask(&mut memory, vec![0, 1, 2], 3, (&x, &y), EmaBn::Code).unwrap();
    let some = ask(&mut memory, vec![1, 2], 3, (&x, &y), EmaBn::Code).unwrap();
    assert_eq!(some.logits, all.logits[CLASSES..]);
    assert_eq!(some.log_p, all.log_p[1..]);
    let none = ask(&mut memory, vec![], 3, (&x, &y), EmaBn::Code).unwrap();
    assert!(none.logits.is_empty());
}
