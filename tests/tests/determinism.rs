//! Same seed, same bytes: whatever is not part of the plan (repetition, tier, runs side by side) does not show
//! in a result; and methods that are equal by their equations are equal to the byte.

use perdura_tests::{RunResult, Sandbox};
use std::collections::BTreeMap;

/// Runs once and returns what it left.
fn run(words: &str) -> RunResult {
    let sandbox = Sandbox::new();
    sandbox.line(&format!("run {words} --epochs 1 --out out")).expect(0);
    RunResult::only_below(&sandbox.path("work/out"))
}

#[track_caller]
fn same(a: &RunResult, b: &RunResult) {
    assert_eq!(a.determined.keys().collect::<Vec<_>>(), b.determined.keys().collect::<Vec<_>>());
    for (name, bytes) in &a.determined {
        assert!(bytes == &b.determined[name], "{name} differs");
    }
}

fn same_in_every_tier(words: &str) {
    let first = run(&format!("{words} --require-sandbox"));
    // Summary and predictions; those of the union alone are not made after every experience.
    assert!(first.determined.len() >= 3, "{:?}", first.determined.keys());
    for tier in ["sandbox", "process", "in-process"] {
        same(&first, &run(&format!("{words} --isolation {tier}")));
    }
}

#[test]
fn nearest_mean_repeats() {
    same_in_every_tier("nearest-mean --seed 3");
}

#[test]
fn er_repeats() {
    same_in_every_tier("er --seed 3 --memory 100");
}

#[test]
fn cls_er_repeats() {
    same_in_every_tier("cls-er --seed 3 --memory 100");
}

#[test]
fn joint_repeats() {
    same_in_every_tier("joint --seed 3");
}

#[test]
fn memory_in_bytes_repeats() {
    same_in_every_tier("er --seed 3 --memory 8KiB --class-order seeded --drop-last");
}

#[test]
fn another_seed_differs() {
    for method in ["sgd", "er --memory 100"] {
        let (first, second) =
            (run(&format!("{method} --seed 0")), run(&format!("{method} --seed 1")));
        for (moment, predictions) in first.predictions("main") {
            assert_ne!(predictions, second.predictions("main")[&moment], "{method}: {moment}");
        }
    }
}

/// All determined files of all runs below a folder, by their path.
fn compared(jobs: &str) -> BTreeMap<String, Vec<u8>> {
    let sandbox = Sandbox::new();
    let line = "compare --methods sgd,er,cls-er --memory 100 --seeds 0..2 --epochs 1 \
                --score-every 11 --out out";
    sandbox.line(&format!("{line} --jobs {jobs}")).expect(0);
    let out = sandbox.path("work/out");
    let runs = RunResult::all_below(&out);
    assert_eq!(runs.len(), 6);
    let named = |run: RunResult| {
        let folder = run.folder.strip_prefix(&out).expect("below").display().to_string();
        run.determined.into_iter().map(move |(name, bytes)| (format!("{folder}/{name}"), bytes))
    };
    runs.into_iter().flat_map(named).collect()
}

#[test]
fn runs_side_by_side_do_not_touch_each_other() {
    let (one, two) = (compared("1"), compared("2"));
    assert!(one == two, "runs differ between --jobs 1 and --jobs 2");
}

/// The accuracies of two views of two methods are the same too.
#[track_caller]
fn equal_views((a, view_a): (&RunResult, &str), (b, view_b): (&RunResult, &str)) {
    let (predictions_a, predictions_b) = (a.predictions(view_a), b.predictions(view_b));
    assert_eq!(predictions_a.len(), 6);
    assert!(predictions_a == predictions_b, "predictions differ");
    let scores = |run: &RunResult, view: &str| {
        let views = &run.summary.views;
        views.iter().find(|v| v.view == view).expect("the view is there").scenarios.clone()
    };
    assert_eq!(scores(a, view_a), scores(b, view_b));
}

#[test]
fn er_without_replay_is_sgd() {
    let sgd = run("sgd --preset none --seed 2 --set lr=0.05");
    for words in ["", "--memory 100", "--memory 0"] {
        let er = run(&format!("er --preset none --seed 2 --set lr=0.05 --set replay=0 {words}"));
        equal_views((&er, "main"), (&sgd, "main"));
    }
}

#[test]
fn cls_er_without_teachers_is_er() {
    let common = "--preset none --seed 2 --memory 100 --set lr=0.05 --set replay=20";
    let er = run(&format!("er {common}"));
    let off = "--set reg_weight=0 --set r_plastic=0 --set r_stable=0";
    let cls_er = run(&format!("cls-er {common} {off}"));
    equal_views((&cls_er, "working"), (&er, "main"));
    // Its averages never move.
    let stable = cls_er.predictions("stable");
    let start = &stable["after-initial"];
    assert_eq!(stable.values().filter(|bytes| *bytes == start).count(), 6);
}

#[test]
fn dark_replay_repeats_in_every_tier() {
    same_in_every_tier("derpp --seed 3 --memory 100");
    same_in_every_tier("er-ace --seed 3 --memory 100");
}

#[test]
fn baselines_repeat_in_every_tier() {
    same_in_every_tier("icarl --seed 3 --memory 100");
    same_in_every_tier("gdumb --seed 3 --memory 100 --set epochs=16");
    same_in_every_tier("ogd --seed 3 --set anchors=segments --set head=task_aware");
}

/// With averages that do not lag all anchors are the trained network; and without a direction, in
/// the first experience, OGD is gradient descent.
#[test]
fn ogd_with_coinciding_anchors_is_ogd_and_begins_as_sgd() {
    let common = "--preset none --seed 2 --set lr=0.05 --set samples=20";
    let ogd = run(&format!("ogd {common}"));
    let off = "--set alpha_plastic=0 --set alpha_stable=0 --set r_stable=1";
    for anchors in ["segments", "chords"] {
        let other = run(&format!("ogd {common} {off} --set anchors={anchors}"));
        equal_views((&other, "main"), (&ogd, "main"));
    }
    let sgd = run("sgd --preset none --seed 2 --set lr=0.05");
    let (ogd, sgd) = (ogd.predictions("main"), sgd.predictions("main"));
    assert_eq!(ogd["after-0"], sgd["after-0"]);
    assert_ne!(ogd["after-1"], sgd["after-1"]);
}

#[test]
fn der_without_its_term_is_sgd_and_derpp_without_labels_is_der() {
    let common = "--preset none --seed 2 --memory 100 --set lr=0.05 --set replay=20";
    let sgd = run("sgd --preset none --seed 2 --set lr=0.05");
    let off = run(&format!("der {common} --set alpha=0"));
    equal_views((&off, "main"), (&sgd, "main"));
    let der = run(&format!("der {common} --set alpha=0.5"));
    let derpp = run(&format!("derpp {common} --set alpha=0.5 --set beta=0"));
    equal_views((&derpp, "main"), (&der, "main"));
    assert_ne!(der.predictions("main"), sgd.predictions("main"));
}

/// oEWC and SI where nothing pulls and nothing is cut off; LwF repeats only.
#[test]
fn held_weights_repeat_and_are_sgd_where_nothing_holds_them() {
    let sgd = run("sgd --preset none --seed 2 --set lr=0.05");
    let common = "--preset none --seed 2 --set lr=0.05";
    let ewc = |set: &str| run(&format!("ewc-online {common} --set e_lambda={set}"));
    let si = |set: &str| run(&format!("si {common} --set clip=1000 --set {set}"));
    equal_views((&ewc("0"), "main"), (&sgd, "main"));
    equal_views((&si("c=0"), "main"), (&sgd, "main"));
    assert_ne!(ewc("90").predictions("main"), sgd.predictions("main"));
    assert_ne!(si("c=10").predictions("main"), sgd.predictions("main"));
    for method in ["ewc-online", "si", "lwf", "agem --memory 100"] {
        same_in_every_tier(&format!("{method} --seed 3"));
    }
}

/// In the first experience A-GEM has nothing to compare with; its variant with a reservoir has.
#[test]
fn agem_is_sgd_until_there_is_a_past() {
    let sgd = run("sgd --preset none --seed 2 --set lr=0.05");
    let common = "agem --preset none --seed 2 --memory 100 --set lr=0.05 --set replay=20";
    let (ring, reservoir) = (run(common), run(&format!("{common} --set memory=reservoir")));
    let at = |run: &RunResult, moment: &str| run.predictions("main")[moment].clone();
    assert!(at(&ring, "after-0") == at(&sgd, "after-0"));
    assert!(at(&ring, "after-1") != at(&sgd, "after-1"));
    assert!(at(&reservoir, "after-4") != at(&ring, "after-4"));
}

#[test]
fn views_and_dropout_repeat_in_every_tier() {
    same_in_every_tier("dualnet --seed 3 --memory 100 --set interaction_dropout=0.35");
    same_in_every_tier(
        "dualnet --seed 3 --memory 100 --drop-last --set head=task_aware --set ssl_source=past_only",
    );
}

#[test]
fn mnist_repeats() {
    let Some(data) = std::env::var_os("PERDURA_DATA") else {
        eprintln!("SKIPPED mnist_repeats: set PERDURA_DATA to the folder that holds MNIST");
        return;
    };
    let data = std::path::PathBuf::from(data).canonicalize().expect("PERDURA_DATA is a folder");
    let words = format!(
        "er --benchmark split-mnist --memory 200 --batch 100 --data-dir {}",
        data.display()
    );
    let first = run(&words);
    same(&first, &run(&format!("{words} --isolation in-process")));
    let average = first.summary.views[0].scenarios[1].metrics.average_accuracy;
    assert!(average.expect("all experiences were scored") > 0.8, "{average:?}");
}

/// T1 of SG-CLS: two groups that are open from the start, with CLS-ER's speeds and its choice of teacher.
#[test]
fn sg_cls_with_two_fixed_groups_is_cls_er() {
    let common = "--preset none --seed 2 --memory 100 --set lr=0.05 --set replay=20";
    let common = format!("{common} --set reg_weight=2.0");
    let cls_er = run(&format!(
        "cls-er {common} --set r_plastic=0.9 --set alpha_plastic=0.95 --set r_stable=0.4 \
         --set alpha_stable=0.99"
    ));
    let sg_cls = run(&format!(
        "sg-cls {common} --set groups_max=2 --set open_at_start=2 --set groups=[0,0,0,0,0] \
         --set rates=[0.9,0.4] --set alphas=[0.95,0.99] --set keep_global=false \
         --set inference=mixture --set w_similar=0"
    ));
    equal_views((&sg_cls, "working"), (&cls_er, "working"));
    equal_views((&sg_cls, "group-0"), (&cls_er, "plastic"));
    equal_views((&sg_cls, "group-1"), (&cls_er, "stable"));
    // And the three networks are three.
    let of = |view: &str| sg_cls.predictions(view)["after-4"].clone();
    assert!(of("working") != of("group-0") && of("group-0") != of("group-1"));
}

/// T2 of SG-CLS: one group is Mean-ER, that is CLS-ER with two equal averages that are always updated.
#[test]
fn sg_cls_with_one_group_is_mean_er() {
    let common = "--preset none --seed 2 --memory 100 --set lr=0.05 --set replay=20";
    let common = format!("{common} --set reg_weight=2.0");
    let cls_er = run(&format!(
        "cls-er {common} --set r_plastic=1 --set alpha_plastic=0.98 --set r_stable=1 \
         --set alpha_stable=0.98"
    ));
    let sg_cls = run(&format!(
        "sg-cls {common} --set groups_max=1 --set open_at_start=1 --set r_max=1 --set alpha=0.98 \
         --set keep_global=false --set inference=mixture"
    ));
    equal_views((&sg_cls, "working"), (&cls_er, "working"));
    equal_views((&sg_cls, "group-0"), (&cls_er, "stable"));
}

#[test]
fn sg_cls_repeats() {
    same_in_every_tier("sg-cls --seed 3 --memory 100");
    let gradient = "--set group_update=gradient --set inference=mixture --set others=follow";
    same_in_every_tier(&format!("sg-cls --seed 3 --memory 100 {gradient}"));
}

#[test]
fn hat_repeats() {
    same_in_every_tier("hat --seed 3");
    same_in_every_tier("hat --seed 3 --validation 0.2 --set patience=1 --set restore_best=true");
}

/// Masks of 1, one group, no sparsity term: CLS-ER. Where several groups are found it is another.
#[test]
fn cls_er_with_masks_of_ones_is_cls_er() {
    let common = "--preset none --seed 2 --memory 100 --set lr=0.05 --set replay=20";
    let plain = run(&format!("cls-er {common}"));
    let ones = "--set masks=groups --set mask_anneal=false --set mask_mean=1e9 --set lambda_c=0";
    let masked = run(&format!("cls-er {common} {ones} --set groups_max=1"));
    for view in ["stable", "plastic", "working"] {
        equal_views((&masked, view), (&plain, view));
    }
    let groups = run(&format!("cls-er {common} --set masks=groups --set groups=[0,1,2,3,4]"));
    assert_ne!(groups.predictions("stable"), plain.predictions("stable"));
}

/// The same for DualNet, wherever its masks act.
#[test]
fn dualnet_with_masks_of_ones_is_dualnet() {
    let common = "--preset none --seed 2 --memory 100";
    let plain = run(&format!("dualnet {common}"));
    let ones = "--set mask_anneal=false --set mask_mean=1e9 --set lambda_c=0 --set groups_max=1";
    for site in ["fast", "slow", "split", "both"] {
        let masked = run(&format!("dualnet {common} --set mask_site={site} {ones}"));
        equal_views((&masked, "main"), (&plain, "main"));
    }
    let groups = run(&format!("dualnet {common} --set mask_site=both --set groups=[0,1,2,3,4]"));
    assert_ne!(groups.predictions("main"), plain.predictions("main"));
}

#[test]
fn plasticity_at_a_speed_of_one_is_the_plain_method() {
    let common = "--preset none --seed 2 --memory 100 --set lr=0.05 --set replay=20";
    for (method, view) in [("er", "main"), ("cls-er", "stable"), ("dualnet", "main")] {
        let plain = run(&format!("{method} {common}"));
        let paced = format!("{method} {common} --set plasticity=mean --set groups=[0,1,2,3,4]");
        let one = run(&format!("{paced} --set kappa_min=1"));
        equal_views((&one, view), (&plain, view));
        assert_ne!(run(&paced).predictions(view), plain.predictions(view));
    }
}

#[test]
fn masks_and_rates_of_groups_repeat_in_every_tier() {
    same_in_every_tier("cls-er --seed 3 --memory 100 --set masks=groups");
    same_in_every_tier("cls-er --seed 3 --memory 100 --set masks=groups --set plasticity=hat");
    same_in_every_tier("er --seed 3 --memory 100 --set plasticity=min");
    same_in_every_tier("er --seed 3 --memory 100 --set plasticity=mean --set ownership=fisher");
    same_in_every_tier("dualnet --seed 3 --memory 100 --set mask_site=both");
    same_in_every_tier("dualnet --seed 3 --memory 100 --set plasticity=mean");
}
