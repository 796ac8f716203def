//! What is told of groups at boundaries from their correlation matrices: how alike they are, what
//! they lose (algorithms 3.6, f0 and f2).

mod support;

use perdura_dualnet::{Config, DualNet, MatrixOf};
use perdura_nn::Net;
use perdura_nn::similarity::linear_cka;
use perdura_sdk::serde_json;
use perdura_sdk::testing::{Driver, Samples};
use support::memory::*;
use support::*;

/// Data of every event of a kind.
fn events(driver: &Driver<DualNet>, kind: &str) -> Vec<serde_json::Value> {
    let told = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
    let of_kind = told.filter(|(_, event)| event["kind"] == kind);
    of_kind.map(|(_, event)| event["data"].clone()).collect()
}

/// Three experiences, the first and the last of one kind: S-BT of every pair is told, the last
/// finds the group of the first, and given groups are taken as they are.
#[test]
fn alike_experiences_are_told_to_be_of_one_group() {
    let grouped = |matrix_groups: Vec<usize>, matrix_of: MatrixOf| {
        let config = Config {
            matrix_similarity: true,
            matrix_tau: 0.95,
            matrix_groups,
            matrix_of,
            hidden: vec![16, 12],
            matrix_draws: 4,
            matrix_batch: 200,
            ..small()
        };
        let mut driver = driver(config);
        for index in 0..3u32 {
            begin(&mut driver, index);
            for draw in 0..4 {
                let of = |i: u32| correlated(200, (i % 2) as usize, 10 + 10 * i + draw);
                let parts: Vec<Samples> = (0..=index).map(of).collect();
                let view =
                    |v: usize| parts.iter().flat_map(|p| p.views[v].clone()).collect::<Vec<_>>();
                let drawn = Samples::new(&view(0), &vec![0; 200 * parts.len()]).view(&view(1));
                driver.script.draws.push_back(of_memory(drawn, index + 1));
            }
            driver.script.iterations.push_back(vec![]);
            driver.end_experience(index).unwrap();
        }
        let groups =
            events(&driver, "grouped").iter().map(|data| data["group"].as_u64().unwrap()).collect();
        (groups, events(&driver, "matrix_similarity"), events(&driver, "grouped"))
    };
    let (found, told, similarities): (Vec<u64>, _, _) = grouped(vec![], MatrixOf::Projections);
    assert_eq!(found, [0, 1, 0]);
    let last = &told[2].clone();
    assert_eq!(last["groups"], serde_json::json!([0, 1, 2]));
    let s = |i: usize, j: usize| last["similarity"][i][j].as_f64().unwrap();
    assert!((0..3).all(|i| (s(i, i) - 1.0).abs() < 1e-5));
    assert!((0..9).all(|at| s(at / 3, at % 3) == s(at % 3, at / 3)));
    assert!(s(0, 2) > 0.98 && s(0, 1) < 0.9 && s(1, 2) < 0.9, "{last}");
    let to = &similarities[2]["similarities"];
    assert_eq!((to[0][0].as_u64(), to[0][1].as_f64()), (Some(0), Some(s(2, 0))));
    let (given, told, _) = grouped(vec![4, 2, 4], MatrixOf::Projections);
    assert_eq!(given, [4, 2, 4]);
    assert_eq!(told[2]["groups"], serde_json::json!([2, 4]));
    let (found, of_features, _) = grouped(vec![], MatrixOf::Features);
    assert_eq!(found, [0, 1, 0]);
    assert_ne!(of_features[2], *last);
}

/// Against what steps report: L_BT of both halves, and Z by a step on the first half of γ, whose
/// consequence a second step on the other group's second half reports.
#[test]
fn losses_and_affinities_are_those_of_steps() {
    let config = Config { matrix_losses: true, matrix_draws: 1, ..small() };
    let drawn = memory(8, 2, 5);
    let half = |group: usize, half: usize| {
        let rows = |view: usize| -> Vec<f32> {
            let own = drawn.views[view].chunks(WIDTH).skip(8 * group).take(8);
            own.skip(half).step_by(2).flatten().copied().collect()
        };
        Samples::new(&rows(0), &[0; 4]).view(&rows(1))
    };
    let mut told = driver(config.clone());
    begin(&mut told, 0);
    end_of_nothing(&mut told, 0);
    begin(&mut told, 1);
    let over = of_memory(samples(6, 8), 2);
    told.script.draws.push_back(drawn.clone());
    told.script.iterations = [vec![over.clone()], vec![]].into();
    told.end_experience(1).unwrap();
    let event = events(&told, "matrix_losses").pop().unwrap();
    assert_eq!(event["group"], 1);
    let logits = told.predict("main", &over.views[0]).unwrap().unwrap();
    let loss = |steps: &[Samples]| {
        let mut driver = driver(Config { labelled: 1e-12, ..config.clone() });
        let mut last = 0.0;
        for views in steps {
            let report = driver.step(&samples(6, 0), &[("ssl", views.clone())]).unwrap();
            last = report.scalar("loss_ssl").unwrap();
        }
        last
    };
    for group in [0, 1] {
        let of = |key: &str| event["groups"][group][key].as_f64().unwrap();
        let mean = (loss(&[half(group, 0)]) + loss(&[half(group, 1)])) / 2.0;
        assert!((of("loss_bt") - mean).abs() < 1e-5, "{event} {mean}");
        let after = loss(&[half(1, 0), half(group, 1)]);
        let z = 1.0 - after / loss(&[half(group, 1)]);
        assert!((of("affinity") - z).abs() < 1e-5 && z.abs() > 1e-3, "{event} {z}");
        let rows = 3 * group..3 * group + 3;
        let ce = |row: usize| {
            let own = &logits[row * CLASSES..][..CLASSES];
            let sum: f64 = own.iter().map(|z| f64::from(*z).exp()).sum();
            sum.ln() - f64::from(own[over.labels[row] as usize])
        };
        let mean = rows.map(ce).sum::<f64>() / 3.0;
        assert!((of("loss_sup") - mean).abs() < 1e-5, "{event} {mean}");
    }
}

/// An experience of which the memory has kept nothing.
fn end_of_nothing(driver: &mut Driver<DualNet>, index: u32) {
    let nothing = Samples { experiences: Some(vec![]), ..Samples::new(&[], &[]).view(&[]) };
    driver.script.draws.push_back(nothing);
    driver.script.iterations = [vec![], vec![]].into();
    driver.end_experience(index).unwrap();
}

/// Nothing at the first boundary; then `1 − CKA` between the networks of two boundaries on what the
/// memory holds, which is nothing where nothing was learned.
#[test]
fn the_drift_of_slow_features_is_told() {
    let mut driver = driver(Config { matrix_losses: true, ..small() });
    let drift = |driver: &Driver<DualNet>| {
        events(driver, "matrix_losses").pop().unwrap()["groups"][0]["drift"].as_f64()
    };
    experience(&mut driver, 0, 0..3);
    assert_eq!(drift(&driver), None);
    let then = slow_network(&mut driver);
    begin(&mut driver, 1);
    end(&mut driver, 1);
    assert!(drift(&driver).unwrap().abs() < 1e-6);
    experience(&mut driver, 2, 3..9);
    let now = slow_network(&mut driver);
    // What `end` showed of group 0.
    let held = samples(18, 402).views[0][..6 * WIDTH].to_vec();
    let features = |net: &Net| {
        let features = net.features(net.rows(&[&held])).into_data();
        features.iter::<f32>().collect::<Vec<f32>>()
    };
    let expected = 1.0 - f64::from(linear_cka(&features(&then), 4, &features(&now), 4));
    let found = drift(&driver).unwrap();
    assert!(found > 1e-4 && (found - expected).abs() < 1e-5, "{found}, expected {expected}");
}
