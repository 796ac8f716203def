//! DualNet's whole path on images, through the host: ResNet-18 (narrow), two augmented views of
//! each draw, look-ahead, soft targets written at boundaries, a task-aware head, and state that is
//! saved and loaded for every evaluation.

use perdura_tests::{RunResult, Sandbox};
use serde_json::Value;

const PER_CLASS: usize = 12;

/// Records of a small CIFAR-10: every class has a colour of its own, under noise.
fn coloured(salt: u32) -> Vec<u8> {
    let mut state = salt;
    let mut noise = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 26) as u8
    };
    let mut records = Vec::new();
    for row in 0..10 * PER_CLASS {
        let class = (row % 10) as u8;
        records.push(class);
        for channel in 0..3 {
            let level = 19 * ((class + 3 * channel) % 10);
            records.extend((0..1024).map(|_| level + noise()));
        }
    }
    records
}

/// A sandbox with this data.
pub fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("data/cifar-10-subset")).expect("the folder is new");
    sandbox.write("../data/cifar-10-subset/data_batch_1.bin", coloured(1));
    sandbox.write("../data/cifar-10-subset/test_batch.bin", coloured(2));
    sandbox
}

const RUN: &str = "run dualnet --benchmark split-cifar10-subset --data-dir ../data --seed 0 \
                   --memory 50 --epochs 1 --batch 6 --preset none --set backbone=resnet18 \
                   --set width=2 --set head=task_aware --set ssl_source=past_only \
                   --set ssl_batch=8 --set replay=6 --out out";

/// Means of the scalars of an epoch, experience by experience.
fn epochs(run: &RunResult) -> Vec<Value> {
    let text = std::fs::read_to_string(run.folder.join("events.jsonl")).expect("events");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    lines.filter(|event| event["event"] == "epoch_ended").collect()
}

#[test]
fn dualnet_trains_a_resnet_end_to_end() {
    let first = sandbox();
    first.line(RUN).expect(0);
    let first = RunResult::only_below(&first.path("work/out"));
    let scenarios = &first.summary.views[0].scenarios;
    assert_eq!(scenarios.len(), 1, "a task-aware head has Task-IL rows only");
    assert!(scenarios[0].metrics.average_accuracy.is_some_and(|of| of > 0.5), "{scenarios:?}");
    let epochs = epochs(&first);
    assert_eq!(epochs.len(), 5);
    for (experience, epoch) in epochs.iter().enumerate() {
        let of = |name: &str| epoch["scalars"][name].as_f64();
        // Two views of 8 images in every look-ahead step; independent features would have D + 16.
        assert!(of("loss_ssl").is_some_and(|loss| loss.is_finite() && loss > 0.0), "{epoch}");
        assert!(of("slow_move_ssl").is_some_and(|moved| moved > 0.0), "{epoch}");
        // Replay and old answers count from the second experience on.
        for name in ["loss_ce_replay", "loss_kd"] {
            assert_eq!(of(name).is_some(), experience > 0, "{name} in {epoch}");
        }
    }
    let kd = epochs[4]["scalars"]["loss_kd"].as_f64();
    assert!(kd.is_some_and(|kd| kd > 0.0), "old answers were written at the boundaries: {kd:?}");
    // The same bytes in another tier, where every evaluation goes through `save` and `load` too.
    let second = sandbox();
    second.line(&format!("{RUN} --isolation in-process")).expect(0);
    let second = RunResult::only_below(&second.path("work/out"));
    assert_eq!(first.determined, second.determined);
}

/// The same on real images, where they are: better than guessing between two classes.
#[test]
fn dualnet_learns_from_the_cifar_subset() {
    let Some(data) = std::env::var_os("PERDURA_DATA") else {
        eprintln!("SKIPPED dualnet_learns_from_the_cifar_subset: set PERDURA_DATA");
        return;
    };
    let data = std::path::PathBuf::from(data).canonicalize().expect("PERDURA_DATA is a folder");
    let sandbox = Sandbox::new();
    let words = RUN
        .replace("../data", &data.display().to_string())
        .replace("--batch 6", "--batch 30")
        .replace("--memory 50", "--memory 100")
        .replace("width=2", "width=4 --set lr=0.1");
    sandbox.line(&words).expect(0);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let average = run.summary.views[0].scenarios[0].metrics.average_accuracy;
    assert!(average.is_some_and(|average| average > 0.5), "{average:?}");
    assert_eq!(epochs(&run).len(), 5);
}
