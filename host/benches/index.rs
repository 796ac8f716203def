//! An output folder with 10,000 made-up runs: 10 methods with 10 seeds on each of 100 benchmarks.
//! Limits (issue of the results): listing, filtering and comparing in less than 200 ms each. Run:
//! `cargo bench -p perdura --bench index`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use perdura::compare::{Comparison, RunRecord};
use perdura::index::{Filter, Index};
use perdura::run::{
    HostBuild, MemorySize, Metrics, Outcome, PluginFile, Resources, RunFolder, RunPlan,
    ScenarioSummary, StreamSettings, Summary, ViewSummary,
};
use perdura_abi::message::ViewNeeds;

const BENCHMARKS: u64 = 100;
const METHODS: u64 = 10;
const SEEDS: u64 = 10;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path();
    make_runs(out);
    println!("{} runs", BENCHMARKS * METHODS * SEEDS);
    let mut index = timed("index made from the folders", || Index::open(out).expect("it is made"));
    for _ in 0..3 {
        let all = timed("  opened and all listed", || list(out, Filter::default()));
        assert_eq!(all, (BENCHMARKS * METHODS * SEEDS) as usize);
        let method = Some("method-3".into());
        let of_method = Filter { method, since: Some("2026-02-05".into()), ..Filter::default() };
        let some =
            timed("  opened and filtered by method and date", || list(out, of_method.clone()));
        assert_eq!(some as u64, BENCHMARKS * (SEEDS - 4));
        let pairs = timed("  opened, filtered by benchmark, and compared", || compare(out));
        assert_eq!(pairs as u64, METHODS * (METHODS - 1) / 2);
    }
    let run = RunFolder::open(&out.join(first(out))).expect("it is a run");
    timed("one run taken in", || index.update([run.path()]).expect("it can be written"));
}

fn timed<R>(what: &str, work: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let result = black_box(work());
    println!("{what}: {:.1} ms", 1e3 * begun.elapsed().as_secs_f64());
    result
}

fn list(out: &Path, filter: Filter) -> usize {
    let mut index = Index::open(out).expect("it was made");
    index.refresh().expect("it can be read");
    index.list(&filter).expect("it can be read").len()
}

fn first(out: &Path) -> String {
    let index = Index::open(out).expect("it was made");
    index.list(&Filter::default()).expect("it can be read")[0].folder.clone()
}

/// As `perdura runs compare --benchmark benchmark-42`: the index finds the runs, their folders are
/// read.
fn compare(out: &Path) -> usize {
    let filter = Filter { benchmark: Some("benchmark-42".into()), ..Filter::default() };
    let index = Index::open(out).expect("it was made");
    let entries = index.list(&filter).expect("it can be read");
    let read = |folder: &str| RunRecord::read(&RunFolder::open(&out.join(folder))?);
    let records = entries.iter().map(|entry| read(&entry.folder)).collect::<Result<Vec<_>, _>>();
    let pairs = Comparison::of(&records.expect("the runs are whole")).pairs;
    pairs.iter().filter(|pair| pair.metric == "average_accuracy").count()
}

fn make_runs(out: &Path) {
    for benchmark in 0..BENCHMARKS {
        for method in 0..METHODS {
            for seed in 0..SEEDS {
                make_run(out, &plan(benchmark, method, seed));
            }
        }
    }
}

/// Files as a run leaves them, without waiting for the disk.
fn make_run(out: &Path, plan: &RunPlan) {
    let path = out.join(plan.folder_name());
    let write = |name: &str, text: String| std::fs::write(path.join(name), text);
    let noise = (plan.seed * 37 % 11) as f64 / 1000.0;
    let accuracy = 0.5 + plan.method.len() as f64 / 100.0 + noise;
    let metrics = Metrics { average_accuracy: Some(accuracy), ..Metrics::default() };
    let matrix = vec![vec![Some(accuracy); 5]; 5];
    let scenario = "class-il".to_owned();
    let scores = ScenarioSummary { scenario, initial: vec![Some(0.1); 5], matrix, metrics };
    let scenarios = vec![scores];
    let (view, needs) = ("main".to_owned(), ViewNeeds::Nothing);
    let views = vec![ViewSummary { view, needs, upper_bound: false, scenarios }];
    let summary = Summary { views, ..Summary::empty(plan, Outcome::Finished) };
    let started = format!("2026-02-{:02}T12:00:00Z", plan.seed + 1);
    let ledger = BTreeMap::from([("learner".to_owned(), 1.0)]);
    let resources = Resources { format: 1, seconds: 2.0, started, ledger, ..Resources::default() };
    let json = |value: serde_json::Result<String>| value.expect("plain data");
    std::fs::create_dir_all(&path)
        .and_then(|()| write("plan.json", plan.to_json()))
        .and_then(|()| write("summary.json", json(serde_json::to_string_pretty(&summary))))
        .and_then(|()| write("resources.json", json(serde_json::to_string_pretty(&resources))))
        .expect("a temporary folder");
}

fn plan(benchmark: u64, method: u64, seed: u64) -> RunPlan {
    let text = |text: &str| text.to_owned();
    RunPlan {
        format: RunPlan::FORMAT,
        method: format!("lab/method-{method}"),
        arm: None,
        equal_compute: None,
        plugin: PluginFile {
            version: text("0.1.0"),
            sha256: "ab".repeat(32),
            abi: text("1.0-draft.1"),
            file: text("libmethod.so"),
        },
        config: serde_json::json!({ "lr": 0.1, "hidden": [100, 100] }),
        preset: None,
        benchmark: format!("benchmark-{benchmark}"),
        scenario: text("class-il"),
        stream: StreamSettings {
            epochs: 1,
            batch: 10,
            drop_last: false,
            class_order: (0..10).collect(),
            eval_head: text("all"),
            validation: 0.0,
            score_on: Default::default(),
            online: false,
            score_every: None,
            sha256: "cd".repeat(32),
        },
        memory: Some(MemorySize::Samples(200)),
        policy: None,
        seed,
        threads: 1,
        device: text("flex"),
        host: HostBuild { version: text("0.1.0"), commit: None },
    }
}
