//! What runs have brought outlives what may befall them: processes that die without a checkpoint, folders
//! that cannot be written, files that are damaged, plans that were edited.

use perdura::run::Outcome;
use perdura_tests::{Answer, RunResult, Sandbox, answer_of, built, files_below};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const RUN: &str = "run cls-er --memory 40 --epochs 2 --checkpoint-every none --out out";

fn folder_below(out: &Path) -> PathBuf {
    let plan = files_below(out).into_iter().find(|path| path.ends_with("plan.json"));
    plan.and_then(|path| path.parent().map(Path::to_owned)).expect("the run has a folder")
}

/// Starts the run and kills all processes with this word once two experiences were scored. Returns the
/// folder and how the command ended.
fn killed(sandbox: &Sandbox, word: &str) -> (PathBuf, Option<i32>) {
    for _ in 0..5 {
        let _ = std::fs::remove_dir_all(sandbox.path("work/out"));
        let mut command = sandbox.command(built().perdura());
        command.args(RUN.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().expect("the program can be started");
        let until = Instant::now() + Duration::from_secs(120);
        let scored = || {
            let files = files_below(&sandbox.path("work/out/split-digits"));
            files.iter().any(|path| path.to_string_lossy().contains("after-1.working"))
        };
        while !scored() && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(500));
        }
        // Of the two experiences both are in the summary so far, or the first is.
        sandbox.signal("KILL", word);
        let code = run.wait().expect("a child can be waited for").code();
        while !sandbox.processes().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        let folder = folder_below(&sandbox.path("work/out"));
        let summary = folder.join("summary.json");
        let finished =
            summary.exists() && RunResult::only_below(&folder).summary.outcome == Outcome::Finished;
        if !finished {
            return (folder, code);
        }
    }
    panic!("the run was always faster than the blow");
}

/// Rows of the calm run's matrices that a summary has, which must be the first of them.
fn rows_kept(calm: &RunResult, summary: &perdura::run::Summary) -> usize {
    let mut kept = Vec::new();
    for (view, whole) in summary.views.iter().zip(&calm.summary.views) {
        for (scores, whole) in view.scenarios.iter().zip(&whole.scenarios) {
            assert_eq!(scores.initial, whole.initial);
            assert_eq!(scores.matrix, whole.matrix[..scores.matrix.len()]);
            kept.push(scores.matrix.len());
        }
    }
    assert!(kept.windows(2).all(|pair| pair[0] == pair[1]), "{kept:?}");
    kept.first().copied().unwrap_or(0)
}

#[test]
fn a_run_whose_process_dies_keeps_its_finished_experiences() {
    let sandbox = Sandbox::new();
    sandbox.line(&RUN.replace("--out out", "--out calm")).expect(0);
    let calm = RunResult::only_below(&sandbox.path("work/calm"));
    assert!(!calm.folder.join("partial.json").exists(), "a run that has ended has a summary");
    let (folder, code) = killed(&sandbox, " execute ");
    assert_eq!(code, Some(1), "the run is a failed one");
    let dead = RunResult::only_below(&folder);
    assert!(dead.fault().kind.contains("ended by signal 9"), "{:?}", dead.fault());
    assert!((1..=2).contains(&rows_kept(&calm, &dead.summary)));
    assert!(dead.summary.steps > 0 && !folder.join("partial.json").exists());
    // Whoever reads results gets them, as those of a failed run.
    let csv = sandbox.line("report out --format csv").expect(0).out;
    assert!(csv.contains(",failed,stable,nothing,class-il,accuracy,0,0,"), "{csv}");
    // There was no checkpoint: it begins anew, and comes to the same end.
    let answer = sandbox.line(&format!("resume {}", folder.display())).expect(0);
    assert!(answer.err.contains("there is no checkpoint: the run begins anew"), "{}", answer.err);
    assert_eq!(RunResult::only_below(&folder).determined, calm.determined);
}

#[test]
fn a_run_of_which_everything_dies_keeps_them_too() {
    let sandbox = Sandbox::new();
    sandbox.line(&RUN.replace("--out out", "--out calm")).expect(0);
    let calm = RunResult::only_below(&sandbox.path("work/calm"));
    let (folder, code) = killed(&sandbox, "perdura");
    assert_eq!(code, None, "the command itself was killed");
    assert!(!folder.join("summary.json").exists());
    let partial = std::fs::read_to_string(folder.join("partial.json")).expect("it was scored");
    let partial = serde_json::from_str(&partial).expect("whole, whenever the blow fell");
    assert!((1..=2).contains(&rows_kept(&calm, &partial)));
    let listed = sandbox.line("runs list --out out --format json").expect(0).json();
    assert_eq!(listed[0]["status"], "unfinished");
    let csv = sandbox.line("report out --format csv").expect(0).out;
    assert!(csv.contains(",unfinished,stable,nothing,class-il,accuracy,0,0,"), "{csv}");
    let shown = sandbox.line("report out --format markdown").expect(0).out;
    assert!(shown.contains("it goes on, or was killed"), "{shown}");
}

#[test]
fn damaged_files_are_named_and_the_rest_is_used() {
    let sandbox = Sandbox::new();
    sandbox.line("compare --methods sgd,nearest-mean --seeds 0 --epochs 1 --out out").expect(0);
    let runs = RunResult::all_below(&sandbox.path("work/out"));
    let [first, second] = &runs[..] else { panic!("two runs") };
    let page = || sandbox.line("report out --format csv").expect(0);
    let whole = page();
    assert_eq!(whole.err, "");

    // Events: no number of the tables comes from them.
    let events = first.folder.join("events.jsonl");
    let mut bytes = std::fs::read(&events).expect("it was written");
    bytes[5] = 0xff;
    std::fs::write(&events, &bytes).expect("writable");
    let answer = page();
    assert_eq!(answer.out, whole.out);
    let said = "events.jsonl is damaged or was edited: line 1: ";
    assert!(
        answer.err.contains("warning: read in part: ") && answer.err.contains(said),
        "{}",
        answer.err
    );

    // The index: nothing is lost with it.
    let list = || sandbox.line("runs list --out out --format json").expect(0);
    let before = list().json();
    std::fs::write(sandbox.path("work/out/index.sqlite"), [7; 4096]).expect("writable");
    let answer = list();
    assert_eq!(answer.json(), before);
    assert!(
        answer.err.contains("index.sqlite is damaged: made again from the runs"),
        "{}",
        answer.err
    );

    // A summary: that run is named, the other one shown.
    std::fs::write(first.folder.join("summary.json"), "{").expect("writable");
    let answer = page();
    assert!(
        answer.err.contains("not read: ") && answer.err.contains("summary.json"),
        "{}",
        answer.err
    );
    assert!(!answer.out.contains(&first.plan.method) && answer.out.contains(&second.plan.method));
}

#[test]
fn a_plan_edited_by_hand_is_not_carried_out() {
    let sandbox = Sandbox::new();
    let words = "compare --methods sgd --seeds 0 --epochs 1 --out out";
    sandbox.line(words).expect(0);
    let run = RunResult::only_below(&sandbox.path("work/out"));
    let path = run.folder.join("plan.json");
    let plan = std::fs::read_to_string(&path).expect("it was written");
    let edited = plan.replace("\"batch\": 10", "\"batch\": 20");
    assert_ne!(edited, plan);
    std::fs::write(&path, edited).expect("writable");
    let resumed = format!("{words} --resume");
    sandbox.line(&resumed).refused(&["plan.json was edited: stream.batch: 20 and 10"]);
    sandbox.line(words).refused(&["already holds a run"]);
    // Back as it was everything is as it was.
    std::fs::write(&path, plan).expect("writable");
    sandbox.line(&resumed).expect(0);
    assert_eq!(RunResult::only_below(&run.folder).determined, run.determined);
}

/// Below a file system that cannot be written. What was there can be read; what is new is refused.
#[test]
fn a_read_only_folder_is_read_and_refuses_clearly() {
    let sandbox = Sandbox::new();
    let perdura = built().perdura();
    let script = format!(
        "mkdir disk; mount -t tmpfs -o size=16m none disk || exit 99\n\
         run() {{ name=$1; shift; {perdura} \"$@\" > $name.out 2> $name.err; echo $? > $name.code; }}\n\
         run first run sgd --epochs 1 --out disk/runs\n\
         mount -o remount,ro none disk || exit 99\n\
         run again run sgd --epochs 1 --seed 1 --out disk/runs\n\
         run list runs list --out disk/runs\n\
         run page report disk/runs\n\
         run elsewhere report disk/runs --out page.html\n\
         run=$(cd disk/runs; echo split-digits/perdura-sgd/*/*)\n\
         run tag runs tag --out disk/runs $run best\n\
         run resume resume disk/runs/$run\n",
        perdura = perdura.display()
    );
    sandbox.write("script", script);
    let mut command = sandbox.command("unshare");
    command.args(["--mount", "--map-root-user", "sh", "script"]);
    let answer = answer_of(command);
    if answer.code == Some(99) || !sandbox.path("work/first.code").exists() {
        eprintln!(
            "SKIPPED a_read_only_folder_is_read_and_refuses_clearly: no file system can be mounted here: {}",
            answer.err
        );
        return;
    }
    let read = |name: &str| {
        let text = |end: &str| {
            let path = sandbox.path("work").join(format!("{name}.{end}"));
            std::fs::read_to_string(path).expect("the script wrote it")
        };
        let code = text("code").trim().parse().ok();
        Answer { code, out: text("out"), err: text("err") }
    };
    read("first").expect(0);
    read("again").refused(&["cannot create disk/runs/", "Read-only file system"]);
    let list = read("list").expect(0);
    assert!(list.out.contains("finished"), "{}", list.out);
    read("page").refused(&["report.html cannot be read or written", "Read-only file system"]);
    read("elsewhere").expect(0);
    assert!(sandbox.path("work/page.html").is_file());
    read("tag").refused(&["Read-only file system"]);
    read("resume").expect(2);
}
