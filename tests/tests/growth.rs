//! Learners that grow: what they tell of their groups becomes the grouping of the result, and its
//! measure.

use perdura_tests::{RunResult, Sandbox};

/// T7 of SG-CLS: on a stream of three groups it opens exactly three networks, and finds the groups.
#[test]
fn sg_cls_finds_the_groups_of_a_known_stream() {
    let sandbox = Sandbox::new();
    let words = "run sg-cls --benchmark known-similarity-digits --memory 400 --seed 0 --out out";
    sandbox.line(words).expect(0);
    let summary = RunResult::only_below(&sandbox.path("work/out")).summary;
    let grouping = summary.grouping.expect("it speaks of groups");
    let found: Vec<u32> = grouping.of_experience.into_iter().flatten().collect();
    assert_eq!(found, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert_eq!((grouping.groups, grouping.ari), (3, Some(1.0)));
    let networks: Vec<u32> = summary.growth.iter().map(|growth| growth.networks).collect();
    assert_eq!(networks, [1, 2, 3]);
    // A network opens with its experience: 60 steps an epoch, 5 epochs.
    let steps: Vec<u64> = summary.growth.iter().map(|growth| growth.step).collect();
    assert_eq!(steps, [0, 300, 600]);
    assert!(summary.events.iter().any(|event| event.event.kind == "opened"));
}

/// The row of a comparison holds the grouping of all seeds; a learner without groups has none.
#[test]
fn a_comparison_tells_how_groups_were_found() {
    let sandbox = Sandbox::new();
    let words = "compare --methods sg-cls,er --benchmark known-similarity-digits --memory 400 \
                 --epochs 1 --seeds 0..2 --set replay=10 --preset none --out out --format json";
    let out = sandbox.line(words).expect(0);
    let document: serde_json::Value = serde_json::from_str(&out.out).expect("a document");
    let rows = document["rows"].as_array().expect("rows");
    let of = |method: &str| rows.iter().find(|row| row["method"] == method).expect("a row");
    let grouping = &of("perdura/sg-cls")["grouping"];
    assert_eq!(grouping["ari_by_seed"].as_array().map(Vec::len), Some(2));
    assert!(grouping["groups"]["mean"].as_f64().is_some_and(|groups| groups >= 3.0));
    assert_eq!(of("perdura/sg-cls")["growth"].as_array().map(Vec::len), Some(2));
    assert!(of("perdura/er")["grouping"].is_null());
}

/// One pass, so that no experience can be looked through: its first batches are, and it is put into
/// its group in its middle. The three groups are found all the same, and nothing opens at a
/// boundary.
#[test]
fn sg_cls_finds_the_groups_in_one_pass() {
    let sandbox = Sandbox::new();
    let words = "run sg-cls --benchmark known-similarity-digits --memory 400 --seed 1 --online \
                 --epochs 2 --set window=20 --out out";
    sandbox.line(words).expect(0);
    let summary = RunResult::only_below(&sandbox.path("work/out")).summary;
    let grouping = summary.grouping.expect("it speaks of groups");
    assert_eq!((grouping.groups, grouping.ari), (3, Some(1.0)));
    // 120 steps an experience, of which the first 20 are waited for.
    let steps: Vec<u64> = summary.growth.iter().map(|growth| growth.step).collect();
    assert_eq!(steps, [0, 139, 259]);
}

/// Without boundaries a window of batches takes the place of a look at the experience. The digits
/// come in pairs, so that a window is of few classes; every change has been confirmed by two
/// windows of five.
#[test]
fn sg_cls_works_where_boundaries_are_hidden() {
    let sandbox = Sandbox::new();
    let words = "run sg-cls --benchmark digits-360 --memory 100 --seed 0 --set window=5 --out out";
    sandbox.line(words).expect(0);
    let summary = RunResult::only_below(&sandbox.path("work/out")).summary;
    let steps: Vec<u64> = summary.growth.iter().map(|growth| growth.step).collect();
    assert_eq!(steps[0], 0);
    assert!(steps[1..].iter().all(|step| (step + 1) % 5 == 0 && *step >= 14), "{steps:?}");
    assert!(summary.growth.iter().all(|growth| growth.networks <= 5));
    assert!(summary.views[0].scenarios[0].metrics.average_accuracy.is_some());
}

#[test]
fn given_groups_are_refused_where_boundaries_are_hidden() {
    let sandbox = Sandbox::new();
    let words = "run sg-cls --benchmark digits-360 --memory 100 --set groups=[0,1] --out out";
    let error = sandbox.line(words).expect(2).err;
    assert!(error.contains("`groups`: expected none where boundaries are hidden"), "{error}");
}
