//! Samples of the types of a run, and the life of a run folder.

use std::fs;
use std::path::Path;

use super::*;

/// A plan on the digits with 200 samples of memory.
pub fn plan(method: &str, seed: u64) -> RunPlan {
    RunPlan {
        format: RunPlan::FORMAT,
        method: method.into(),
        arm: None,
        equal_compute: None,
        plugin: PluginFile {
            version: "0.1.0".into(),
            sha256: "ab".repeat(32),
            abi: "1.0-draft.1".into(),
            file: "libperdura_er.so".into(),
        },
        config: serde_json::json!({ "lr": 0.1, "replay": 10 }),
        preset: Some(PresetUsed {
            name: "split-digits-200".into(),
            benchmark: "split-digits".into(),
            memory: Some(200),
            source: "chosen by hand".into(),
        }),
        benchmark: "split-digits".into(),
        scenario: "class-il".into(),
        stream: StreamSettings {
            epochs: 10,
            batch: 10,
            drop_last: false,
            class_order: (0..10).collect(),
            eval_head: "all".into(),
            validation: 0.0,
            score_on: Default::default(),
            online: false,
            score_every: None,
            sha256: "cd".repeat(32),
        },
        memory: Some(MemorySize::Samples(200)),
        policy: Some(perdura_abi::message::InsertionPolicy::Reservoir),
        seed,
        threads: 1,
        device: "flex".into(),
        host: HostBuild { version: "0.1.0".into(), commit: None },
    }
}

fn event(at_ms: u64) -> Event {
    Event { at_ms, what: EventKind::ExperienceEnded { experience: 0, steps: 27, step: 27 } }
}

fn create(out: &Path) -> RunFolder {
    RunFolder::create(out, &plan("perdura/er", 0)).unwrap()
}

#[test]
fn the_life_of_a_run() {
    let out = tempfile::tempdir().unwrap();
    let plan = plan("perdura/er", 0);
    let mut folder = RunFolder::create(out.path(), &plan).unwrap();
    assert_eq!(folder.path(), out.path().join(plan.folder_name()));
    assert_eq!(folder.plan().unwrap(), plan);
    assert_eq!(folder.status().unwrap(), Status::Unfinished);
    assert_eq!(folder.events().unwrap(), []);

    folder.append_event(&event(1)).unwrap();
    folder.append_event(&event(2)).unwrap();
    let predictions = Predictions::default();
    folder.write_predictions(After::Experience(0), "main", &predictions).unwrap();
    let summary = Summary::empty(&plan, Outcome::Finished);
    let resources = Resources { format: Resources::FORMAT, seconds: 1.5, ..Resources::default() };
    folder.finish(&summary, &resources).unwrap();

    let read = RunFolder::open(folder.path()).unwrap();
    assert_eq!(read.status().unwrap(), Status::Finished);
    assert_eq!(read.events().unwrap(), [event(1), event(2)]);
    assert_eq!(read.predictions(After::Experience(0), "main").unwrap(), predictions);
    assert_eq!(read.summary().unwrap(), Some(summary));
    assert_eq!(read.resources().unwrap(), Some(resources));
    assert_eq!(read.log_path().file_name().unwrap(), "log.txt");
}

#[test]
fn a_failed_run_says_so() {
    let out = tempfile::tempdir().unwrap();
    let folder = create(out.path());
    let fault = Fault { call: "observe".into(), kind: "panicked".into(), ..Fault::default() };
    let mut summary = Summary::empty(&plan("perdura/er", 0), Outcome::Failed(fault));
    summary.events.push(LearnerEvent {
        step: 4,
        event: perdura_abi::message::EventMsg { kind: "opened".into(), data: 3.into() },
    });
    folder.finish(&summary, &Resources { format: 1, ..Resources::default() }).unwrap();
    assert_eq!(folder.status().unwrap(), Status::Failed);
    assert_eq!(folder.summary().unwrap(), Some(summary));
    let text = fs::read_to_string(folder.path().join("summary.json")).unwrap();
    assert!(text.contains("\"status\": \"failed\""), "{text}");
    assert!(text.contains("\"kind\": \"panicked\""), "{text}");
}

#[test]
fn a_folder_that_holds_a_run_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let folder = create(out.path());
    let before = fs::read(folder.path().join("plan.json")).unwrap();
    let error = RunFolder::create(out.path(), &plan("perdura/er", 0)).unwrap_err().to_string();
    let path = folder.path().display().to_string();
    assert!(error.contains(&path) && error.contains("`--out`"), "{error}");
    assert_eq!(fs::read(folder.path().join("plan.json")).unwrap(), before);
}

#[test]
fn a_folder_that_holds_something_else_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join(plan("perdura/er", 0).folder_name());
    fs::create_dir_all(&path).unwrap();
    // An empty folder, or what an interrupted start left, is no obstacle.
    fs::write(path.join(".writing-x"), "").unwrap();
    fs::write(path.join("thesis.tex"), "words").unwrap();
    let error = RunFolder::create(out.path(), &plan("perdura/er", 0)).unwrap_err();
    assert!(matches!(error, RunError::Foreign { ref found, .. } if found == "thesis.tex"));
    fs::remove_file(path.join("thesis.tex")).unwrap();
    create(out.path());
}

#[test]
fn of_many_that_create_one_folder_one_succeeds() {
    let out = tempfile::tempdir().unwrap();
    let create = || RunFolder::create(out.path(), &plan("perdura/er", 0)).is_ok();
    let succeeded = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|ok| *ok).count()
    });
    assert_eq!(succeeded, 1);
}

#[test]
fn only_a_folder_with_a_plan_opens() {
    let out = tempfile::tempdir().unwrap();
    let error = RunFolder::open(out.path()).unwrap_err().to_string();
    assert!(error.contains("is not the folder of a run: it has no plan.json"), "{error}");
}

#[test]
fn a_torn_last_event_is_passed_over_and_cut_off() {
    let out = tempfile::tempdir().unwrap();
    let mut folder = create(out.path());
    folder.append_event(&event(1)).unwrap();
    let path = folder.path().join("events.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"at_ms\":2,")).unwrap();
    assert_eq!(folder.events().unwrap(), [event(1)]);

    let mut again = RunFolder::open(folder.path()).unwrap();
    again.append_event(&event(3)).unwrap();
    assert_eq!(again.events().unwrap(), [event(1), event(3)]);
}

#[test]
fn a_damaged_event_is_named_by_its_line() {
    let out = tempfile::tempdir().unwrap();
    let mut folder = create(out.path());
    folder.append_event(&event(1)).unwrap();
    let path = folder.path().join("events.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}nonsense\n")).unwrap();
    let error = folder.events().unwrap_err().to_string();
    assert!(error.contains("events.jsonl is damaged or was edited: line 2"), "{error}");
}

#[test]
fn events_are_one_line_of_json_each() {
    let line = serde_json::to_string(&event(5)).unwrap();
    assert_eq!(
        line,
        r#"{"at_ms":5,"event":"experience_ended","experience":0,"steps":27,"step":27}"#
    );
}

#[test]
fn a_damaged_summary_is_named() {
    let out = tempfile::tempdir().unwrap();
    let folder = create(out.path());
    fs::write(folder.path().join("summary.json"), "{\"format\": 1").unwrap();
    let error = folder.status().unwrap_err().to_string();
    assert!(error.contains("summary.json is damaged or was edited: EOF"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let out = tempfile::NamedTempFile::new().unwrap();
    let error = RunFolder::create(out.path(), &plan("perdura/er", 0)).unwrap_err().to_string();
    assert!(error.starts_with("cannot create "), "{error}");
}
