//! The index against the folders it stands for.

use std::fs;

use super::*;
use crate::run::tests::plan;
use crate::run::{Metrics, Outcome, Resources, ScenarioSummary, Summary, ViewSummary};

/// A finished run with this accuracy.
fn finish(out: &Path, method: &str, seed: u64, accuracy: f64) -> RunFolder {
    let plan = plan(method, seed);
    let folder = RunFolder::create(out, &plan).unwrap();
    let metrics = Metrics { average_accuracy: Some(accuracy), ..Metrics::default() };
    let scenario = "class-il".to_owned();
    let scores = ScenarioSummary { scenario, initial: vec![], matrix: vec![], metrics };
    let needs = perdura_abi::message::ViewNeeds::Nothing;
    let view =
        ViewSummary { view: "main".into(), needs, upper_bound: false, scenarios: vec![scores] };
    let summary = Summary { views: vec![view], ..Summary::empty(&plan, Outcome::Finished) };
    let started = format!("2026-02-{:02}T12:00:00Z", seed + 1);
    let resources = Resources { format: 1, seconds: 2.5, started, ..Resources::default() };
    folder.finish(&summary, &resources).unwrap();
    folder
}

fn folders(entries: &[Entry]) -> Vec<(String, u64)> {
    entries.iter().map(|entry| (entry.method.clone(), entry.seed)).collect()
}

#[test]
fn an_index_is_made_from_the_folders_and_deleting_it_loses_nothing() {
    let out = tempfile::tempdir().unwrap();
    finish(out.path(), "perdura/er", 0, 0.5);
    finish(out.path(), "perdura/er", u64::MAX, 0.25);
    RunFolder::create(out.path(), &plan("perdura/sgd", 3)).unwrap();
    let before = Index::open(out.path()).unwrap().list(&Filter::default()).unwrap();
    assert_eq!(before.len(), 3);
    assert_eq!((before[0].accuracy, before[0].seconds), (Some(0.5), Some(2.5)));
    assert_eq!((before[0].view.as_deref(), before[0].memory.as_str()), (Some("main"), "200"));
    assert_eq!(before[1].seed, u64::MAX, "all of a seed is kept");
    assert_eq!((before[2].status.as_str(), &before[2].started), ("unfinished", &None));
    fs::remove_file(out.path().join(FILE)).unwrap();
    assert_eq!(Index::open(out.path()).unwrap().list(&Filter::default()).unwrap(), before);
}

#[test]
fn runs_that_end_come_in_with_a_refresh() {
    let out = tempfile::tempdir().unwrap();
    let plan = plan("perdura/er", 0);
    let folder = RunFolder::create(out.path(), &plan).unwrap();
    let mut index = Index::open(out.path()).unwrap();
    let summary = Summary::empty(&plan, Outcome::Finished);
    folder.finish(&summary, &Resources { format: 1, ..Resources::default() }).unwrap();
    let status = |index: &Index| index.list(&Filter::default()).unwrap()[0].status.clone();
    assert_eq!(status(&index), "unfinished");
    index.refresh().unwrap();
    assert_eq!(status(&index), "finished");
    fs::remove_dir_all(folder.path()).unwrap();
    index.update([folder.path()]).unwrap();
    assert!(index.list(&Filter::default()).unwrap().is_empty());
}

#[test]
fn filters_hold_together() {
    let out = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        finish(out.path(), "perdura/er", seed, 0.5);
        finish(out.path(), "lab/sgd", seed, 0.5).set_tags(&["paper".into(), "v2".into()]).unwrap();
    }
    let index = Index::open(out.path()).unwrap();
    let count = |filter: Filter| index.list(&filter.checked().unwrap()).unwrap().len();
    let some = |text: &str| Some(text.to_owned());
    let all = Filter::default;
    assert_eq!(count(all()), 6);
    for (expected, filter) in [
        (3, Filter { method: some("sgd"), ..all() }),
        (3, Filter { method: some("lab/sgd"), ..all() }),
        (0, Filter { method: some("lab/er"), ..all() }),
        (6, Filter { benchmark: some("split-digits"), ..all() }),
        (0, Filter { benchmark: some("split"), ..all() }),
        (6, Filter { memory: some("200"), ..all() }),
        (0, Filter { memory: some("200B"), ..all() }),
        (3, Filter { tag: some("v2"), ..all() }),
        (0, Filter { tag: some("v"), ..all() }),
        (0, Filter { status: some("failed"), ..all() }),
        (4, Filter { since: some("2026-02-02"), ..all() }),
        (4, Filter { until: some("2026-02-02"), ..all() }),
        (
            1,
            Filter {
                method: some("er"),
                since: some("2026-02-02"),
                until: some("2026-02-02T12"),
                ..all()
            },
        ),
    ] {
        assert_eq!(count(filter.clone()), expected, "{filter:?}");
    }
    let entries = index.list(&Filter { tag: some("paper"), ..all() }).unwrap();
    assert_eq!(entries[0].tags, ["paper", "v2"]);
}

#[test]
fn wrong_filters_are_named() {
    let message = |filter: Filter| filter.checked().unwrap_err().to_string();
    let some = |text: &str| Some(text.to_owned());
    let expected = "--memory `much`: expected samples such as 200 or bytes such as 64KiB";
    assert_eq!(message(Filter { memory: some("much"), ..Filter::default() }), expected);
    let expected = "--status `done`: expected finished, failed, unfinished or damaged";
    assert_eq!(message(Filter { status: some("done"), ..Filter::default() }), expected);
    for wrong in ["yesterday", "2026", "2026-2-28", "2026-02-28 12:00", "é026-02-28"] {
        let text = message(Filter { until: some(wrong), ..Filter::default() });
        assert!(text.starts_with(&format!("--until `{wrong}`: expected a day")), "{text}");
    }
}

#[test]
fn eight_writers_lose_nothing() {
    let out = tempfile::tempdir().unwrap();
    // Each opens the index for itself, as processes do; the first of them make it.
    std::thread::scope(|scope| {
        for writer in 0..8u64 {
            let out = out.path();
            scope.spawn(move || {
                for run in 0..10 {
                    let folder = finish(out, "perdura/er", writer * 100 + run, 0.5);
                    Index::open(out).unwrap().update([folder.path()]).unwrap();
                }
            });
        }
    });
    let entries = Index::open(out.path()).unwrap().list(&Filter::default()).unwrap();
    let seeds: Vec<u64> = entries.iter().map(|entry| entry.seed).collect();
    let expected: Vec<u64> = (0..8).flat_map(|w| (0..10).map(move |r| w * 100 + r)).collect();
    assert_eq!(seeds, expected);
}

#[test]
fn a_damaged_index_is_moved_aside_and_made_again() {
    let out = tempfile::tempdir().unwrap();
    finish(out.path(), "perdura/er", 0, 0.5);
    drop(Index::open(out.path()).unwrap());
    fs::write(out.path().join(FILE), "this is no database, but long enough to look at").unwrap();
    let index = Index::open(out.path()).unwrap();
    assert_eq!(folders(&index.list(&Filter::default()).unwrap()), [("perdura/er".into(), 0)]);
    assert!(out.path().join("index.sqlite.damaged").is_file());
}

#[test]
fn an_index_of_another_version_is_made_again() {
    let out = tempfile::tempdir().unwrap();
    finish(out.path(), "perdura/er", 0, 0.5);
    let connection = Connection::open(out.path().join(FILE)).unwrap();
    connection.execute_batch("CREATE TABLE runs (folder TEXT); PRAGMA user_version = 99;").unwrap();
    drop(connection);
    assert_eq!(Index::open(out.path()).unwrap().list(&Filter::default()).unwrap().len(), 1);
}

#[test]
fn a_damaged_run_is_listed_as_such() {
    let out = tempfile::tempdir().unwrap();
    let folder = finish(out.path(), "perdura/er", 0, 0.5);
    fs::write(folder.path().join("summary.json"), "{").unwrap();
    let entries = Index::open(out.path()).unwrap().list(&Filter::default()).unwrap();
    assert_eq!((entries[0].status.as_str(), entries[0].accuracy), ("damaged", None));
}

#[test]
fn a_folder_that_cannot_hold_an_index_has_one_in_memory() {
    let out = tempfile::tempdir().unwrap();
    finish(out.path(), "perdura/er", 0, 0.5);
    // A folder in place of the file cannot be opened; permissions do not hold for every user.
    fs::create_dir(out.path().join(FILE)).unwrap();
    let index = Index::open(out.path()).unwrap();
    assert_eq!(index.list(&Filter::default()).unwrap().len(), 1);
}

#[test]
fn folders_are_named_by_path_or_below_the_output_folder() {
    let out = tempfile::tempdir().unwrap();
    let run = finish(out.path(), "perdura/er", 0, 0.5);
    let index = Index::open(out.path()).unwrap();
    let name = index.list(&Filter::default()).unwrap()[0].folder.clone();
    assert_eq!(index.folder(Path::new(&name)).unwrap().path(), run.path());
    assert_eq!(index.folder(run.path()).unwrap().path(), run.path());
    let error = index.folder(Path::new("nothing")).unwrap_err().to_string();
    assert!(error.contains("is not the folder of a run"), "{error}");
}
