//! What a run is not taken up with: another plan, another plugin, damaged files; and what a full disk does.

use perdura_tests::{RunResult, Sandbox, built, files_below};
use std::path::{Path, PathBuf};

/// A run that failed after some steps, with two checkpoints beside it.
struct Left {
    sandbox: Sandbox,
    folder: PathBuf,
}

/// The learner of the zoo that exits at its 60th step: everything before is as if it did not.
fn left() -> Left {
    let sandbox = Sandbox::new();
    let faulty = built().zoo("faulty").display().to_string();
    let settings = "--set call=observe --set how=exit --set at=60";
    let line = format!(
        "run zoo/faulty --plugin {faulty} --epochs 1 --checkpoint-every 25 --out out {settings}"
    );
    sandbox.line(&line).expect(1);
    let plan =
        files_below(&sandbox.path("work/out")).into_iter().find(|p| p.ends_with("plan.json"));
    let folder = plan.and_then(|p| p.parent().map(Path::to_owned)).expect("the run has a folder");
    assert!(folder.join("summary.json").exists());
    Left { sandbox, folder }
}

impl Left {
    fn resume(&self, words: &str) -> perdura_tests::Answer {
        let plugin = built().zoo("faulty");
        let line =
            format!("resume {} --plugin {} {words}", self.folder.display(), plugin.display());
        self.sandbox.line(&line)
    }

    /// The checkpoints, oldest first.
    fn checkpoints(&self) -> Vec<PathBuf> {
        let files = files_below(&self.folder.join("checkpoints"));
        files.into_iter().filter(|p| p.extension().is_some_and(|e| e == "checkpoint")).collect()
    }

    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let read = |path: PathBuf| (path.clone(), std::fs::read(path).expect("it was just listed"));
        files_below(&self.folder).into_iter().map(read).collect()
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_aloud() {
    let left = left();
    let [older, newer] = &left.checkpoints()[..] else { panic!("{:?}", left.checkpoints()) };
    let mut bytes = std::fs::read(newer).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(newer, &bytes).expect("writable");
    let older = std::fs::read(older).expect("it is there");
    // The learner counts its steps anew, and fails again.
    let answer = left.resume("").expect(1);
    assert!(
        answer.err.contains("its checksum does not fit; the one before it is taken"),
        "{}",
        answer.err
    );
    assert!(newer.with_extension("damaged").exists());
    let step = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (_, rest) = text.split_once("\"step\":").expect("a step");
        rest.split(|c: char| !c.is_ascii_digit()).next().expect("digits").to_owned()
    };
    let events = std::fs::read_to_string(left.folder.join("events.jsonl")).expect("it is there");
    let resumed =
        events.lines().find(|line| line.contains("run_resumed")).expect("it was taken up");
    assert!(resumed.contains(&format!("\"step\":{}}}", step(&older))), "{resumed}");
    // Without a good one it begins anew, aloud too.
    for path in left.checkpoints() {
        std::fs::write(path, "perdura-checkpoint 2\nnot really").expect("writable");
    }
    let answer = left.resume("").expect(1);
    assert!(answer.err.contains("there is no checkpoint: the run begins anew"), "{}", answer.err);
}

#[test]
fn another_plan_or_plugin_is_refused_and_nothing_is_touched() {
    let left = left();
    let path = left.folder.join("plan.json");
    let plan = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, plan.replace("\"epochs\": 1", "\"epochs\": 2")).expect("writable");
    let before = left.contents();
    left.resume("").refused(&["plan.json is damaged or was edited", "put the plan back as it was"]);
    assert!(left.contents() == before, "something was changed");

    // In a folder of another name the checkpoint tells.
    let moved = left.sandbox.path("work/moved");
    std::fs::rename(&left.folder, &moved).expect("they lie beside each other");
    let moved = Left { folder: moved, ..left };
    let answer = moved.resume("");
    assert!(answer.err.contains("stream.epochs: 1 and 2"), "{}", answer.err);
    assert!(moved.folder.join("summary.json").exists(), "the failed run is still told of");
    std::fs::write(moved.folder.join("plan.json"), &plan).expect("writable");

    let other = moved.sandbox.path("work/other.so");
    let mut library = std::fs::read(built().zoo("faulty")).expect("it was built");
    library.push(0);
    std::fs::write(&other, library).expect("writable");
    let line = format!("resume {} --plugin {}", moved.folder.display(), other.display());
    moved.sandbox.line(&line).refused(&["begun with another zoo/faulty", "sha256", "--plugin"]);
    std::fs::write(moved.folder.join("plan.json"), "{").expect("writable");
    moved.resume("").refused(&["plan.json is damaged or was edited"]);
}

#[test]
fn missing_results_and_wrong_words_are_refused() {
    let left = left();
    let predictions = files_below(&left.folder.join("predictions"));
    let kept = std::fs::read(&predictions[0]).expect("it is there");
    std::fs::remove_file(&predictions[0]).expect("it is there");
    let answer = left.resume("");
    assert!(answer.err.contains("the file is gone: put it back"), "{}", answer.err);
    std::fs::write(&predictions[0], kept).expect("writable");
    left.resume("--checkpoint-every often")
        .refused(&["--checkpoint-every: `often` is no interval"]);
    left.sandbox.line("run sgd --checkpoint-every 0").refused(&["--checkpoint-every: `0`"]);
    left.sandbox.line("resume nowhere").refused(&["nowhere is not the folder of a run"]);
    // As another process that writes holds it.
    let events = std::fs::OpenOptions::new().append(true).open(left.folder.join("events.jsonl"));
    let events = events.expect("it is there");
    events.lock().expect("it can be locked");
    left.resume("").refused(&["is being written by another process"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.line("run sgd --epochs 1 --out /proc/runs").refused(&["cannot create /proc/runs/"]);
}

/// On a disk of a few pages: what does not fit is said, and once there is room the run goes on.
#[test]
fn a_full_disk_loses_nothing() {
    let sandbox = Sandbox::new();
    let words = "run er --memory 40 --epochs 1 --checkpoint-every 20 --out";
    sandbox.line(&format!("{words} calm")).expect(0);
    let script = format!(
        "set -e; mkdir small; mount -t tmpfs -o size=160k none small || exit 99\n\
         {perdura} {words} small > said 2>&1 && echo 0 > first || echo $? > first\n\
         mount -o remount,size=16m none small\n\
         {perdura} resume small/*/*/*/* >> said 2>&1\n\
         cp -r small kept\n",
        perdura = built().perdura().display()
    );
    sandbox.write("script", script);
    let mut command = sandbox.command("unshare");
    command.args(["--mount", "--map-root-user", "sh", "script"]);
    let answer = perdura_tests::answer_of(command);
    if answer.code == Some(99) || !sandbox.path("work/said").exists() {
        eprintln!(
            "SKIPPED a_full_disk_loses_nothing: no file system can be mounted here: {}",
            answer.err
        );
        return;
    }
    let said = std::fs::read_to_string(sandbox.path("work/said")).expect("it was written");
    assert_eq!(answer.code, Some(0), "{said}\n{}", answer.err);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("no checkpoint after "), "{said}");
    let first = std::fs::read_to_string(sandbox.path("work/first")).expect("it was written");
    assert_eq!(first.trim(), "1", "the run was to fail for want of room:\n{said}");
    let calm = RunResult::only_below(&sandbox.path("work/calm"));
    let kept = RunResult::only_below(&sandbox.path("work/kept"));
    assert_eq!(calm.determined, kept.determined);
}
