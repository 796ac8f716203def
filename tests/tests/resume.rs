//! A run that was killed or asked to end goes on, and leaves what an undisturbed one leaves, byte for byte:
//! summary (with the hash of the learner's state at the end) and predictions.
//!
//! `PERDURA_KILLS=30` kills at so many random points, over all methods; by default at a few.

use perdura_tests::{RunResult, Sandbox, built, plugin_names};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Methods and settings, those with most to remember first.
const CASES: [&str; 24] = [
    "sg-cls --benchmark digits-360 --memory 40 --score-every 40",
    "dualnet --memory 40 --set slow_schedule=every_k --set between=accumulate --drop-last",
    "cls-er --memory 40 --policy class-balanced --score-every 7",
    "er --memory 40 --policy ring --score-every 3",
    "joint",
    "derpp --memory 40",
    "er-ace --memory 40",
    "icarl --memory 40",
    "ogd --set anchors=segments --set samples=10 --set capacity=15",
    "gdumb --memory 40 --set epochs=8",
    "dualnet --benchmark known-similarity-digits --memory 40 --set mask_site=both",
    "sgd",
    "der --memory 40 --policy class-balanced",
    "sg-cls --memory 40 --set group_update=gradient --set others=follow --set inference=mixture",
    "dualnet --memory 40 --set head=task_aware --drop-last",
    "er --benchmark digits-360 --memory 8KiB --score-every 50",
    "sg-cls --benchmark known-similarity-digits --memory 40",
    "cls-er --benchmark digits-360 --memory 40 --policy class-balanced",
    "lwf",
    "ewc-online",
    "si",
    "agem --memory 40",
    "cls-er --benchmark digits-360 --memory 40 --set masks=window --set window=5",
    "er --benchmark digits-360 --memory 40 --set plasticity=mean --set window=5",
];

/// Settings of the shipped methods that have none above.
const FURTHER: &str = "--memory 40";

/// All of them: every shipped method is among the first so many.
fn cases() -> Vec<String> {
    let mut cases: Vec<String> = CASES.map(str::to_owned).to_vec();
    let named = |case: &String| case.split(' ').next().map(str::to_owned);
    let named: std::collections::BTreeSet<String> = cases.iter().filter_map(named).collect();
    let missing = plugin_names().into_iter().filter(|name| !named.contains(name));
    cases.extend(missing.map(|name| format!("{name} {FURTHER}")));
    cases
}

/// Kills without a wish of the tester's.
const KILLS: usize = 5;

/// Steps between two checkpoints: few, so that a random checkpoint is a random step.
const EVERY: u64 = 5;

/// Processes to be killed, by a word of their command lines: host, worker, both, and the command itself.
const VICTIMS: [&[&str]; 4] =
    [&[" execute "], &["perdura worker"], &[" execute ", "perdura worker"], &["perdura run"]];

#[test]
fn killed_at_random_steps() {
    let kills = std::env::var("PERDURA_KILLS").map_or(KILLS, |n| n.parse().expect("a number"));
    let mut random = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    println!("seed of the kills {random}");
    let cases = cases();
    for number in 0..kills {
        let case = &cases[number % cases.len()];
        let words = format!("run {case} --seed {number} --epochs 1");
        // xorshift: any spread over the checkpoints will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        kill_once(&words, random, VICTIMS[(number + number / VICTIMS.len()) % VICTIMS.len()]);
    }
}

/// Kills a run at a random checkpoint and takes it up, twice in a row.
fn kill_once(words: &str, random: u64, victims: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.line(&format!("{words} --checkpoint-every none --out calm")).expect(0);
    let calm = RunResult::only_below(&sandbox.path("work/calm"));
    assert!(calm.summary.state_sha256.is_some());
    let checkpoints = calm.summary.steps / EVERY;
    let mut at = 1 + random % checkpoints;
    let attempt = |number: u32| {
        let line = format!("{words} --checkpoint-every {EVERY} --out storm-{number}");
        let run = start(&sandbox, &line);
        let out = sandbox.path(&format!("work/storm-{number}"));
        let folder = when(&out, at, victims, (&sandbox, run));
        if folder.is_none() {
            // It had ended before the blow fell.
            at = 1 + at / 2;
        }
        folder
    };
    let folder = (1..8).find_map(attempt).expect("one of the blows hits");
    println!("{words}: {victims:?} killed at checkpoint {at} of {checkpoints}");
    assert_eq!(sandbox.processes(), [""; 0], "left running");
    let resume = format!("resume {} --checkpoint-every {EVERY}", folder.display());
    let run = start(&sandbox, &resume);
    // A second blow soon after the first; if it misses, the run has ended well.
    let later = at + 1 + random % 3;
    if when(&folder, later, &[" execute "], (&sandbox, run)).is_some() {
        sandbox.line(&resume).expect(0);
    }
    let stormy = RunResult::only_below(&folder);
    same(&calm, &stormy);
    assert!(!folder.join("checkpoints").exists(), "a finished run needs no checkpoints");
    assert_eq!(sandbox.processes(), [""; 0], "left running");
}

#[track_caller]
fn same(calm: &RunResult, stormy: &RunResult) {
    assert_eq!(
        calm.determined.keys().collect::<Vec<_>>(),
        stormy.determined.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &calm.determined {
        assert!(*bytes == stormy.determined[name], "{name} differs in {}", stormy.folder.display());
    }
}

fn start(sandbox: &Sandbox, line: &str) -> Child {
    let mut command = sandbox.command(built().perdura());
    command.args(line.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program can be started")
}

/// Kills when the so many-th checkpoint is there. Returns the folder of the run, unless it was over before.
fn when(
    out: &Path,
    at: u64,
    victims: &[&str],
    (sandbox, mut run): (&Sandbox, Child),
) -> Option<PathBuf> {
    let until = Instant::now() + Duration::from_secs(120);
    let checkpoint = format!("checkpoints/{at:06}.checkpoint");
    let mut folder = None;
    while run.try_wait().expect("a child can be waited for").is_none() {
        assert!(Instant::now() < until, "no {checkpoint} below {}", out.display());
        folder = folder.or_else(|| folder_below(out));
        if folder.as_ref().is_some_and(|folder| folder.join(&checkpoint).exists()) {
            for word in victims {
                sandbox.signal("KILL", word);
            }
            break;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    run.wait().expect("a child can be waited for");
    // Those that die with their host take a moment.
    while !sandbox.processes().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
    let folder = folder.or_else(|| folder_below(out))?;
    let finished =
        || RunResult::only_below(&folder).summary.outcome == perdura::run::Outcome::Finished;
    let over = folder.join("summary.json").exists() && finished();
    (!over).then_some(folder)
}

fn folder_below(out: &Path) -> Option<PathBuf> {
    if out.join("plan.json").exists() {
        return Some(out.to_owned());
    }
    let files = perdura_tests::files_below(out);
    let plan = files.into_iter().find(|path| path.ends_with("plan.json"))?;
    plan.parent().map(Path::to_owned)
}

/// Starts a command, waits until a run has a checkpoint, asks the command to end.
fn interrupted(sandbox: &Sandbox, line: &str, out: &str, signal: &str) -> (i32, String) {
    let mut command = sandbox.command(built().perdura());
    command.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = command.spawn().expect("the program can be started");
    let until = Instant::now() + Duration::from_secs(120);
    let out = sandbox.path("work").join(out);
    let any = || {
        perdura_tests::files_below(&out)
            .iter()
            .any(|p| p.extension().is_some_and(|e| e == "checkpoint"))
    };
    while !any() {
        assert!(Instant::now() < until, "no checkpoint below {}", out.display());
        std::thread::sleep(Duration::from_millis(1));
    }
    let number = run.id().to_string();
    std::process::Command::new("kill")
        .args([&format!("-{signal}"), &number])
        .output()
        .expect("kill");
    let output = run.wait_with_output().expect("a child can be waited for");
    assert_eq!(sandbox.processes(), [""; 0], "left running");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (
        output.status.code().expect("it left by itself"),
        String::from_utf8_lossy(&output.stderr).into(),
    )
}

#[test]
fn a_run_that_is_asked_to_end_can_be_taken_up() {
    let sandbox = Sandbox::new();
    let words = "run cls-er --memory 40 --epochs 2";
    sandbox.line(&format!("{words} --out calm")).expect(0);
    let calm = RunResult::only_below(&sandbox.path("work/calm"));
    let line = format!("{words} --checkpoint-every 20 --out out");
    let (code, said) = interrupted(&sandbox, &line, "out", "TERM");
    assert_eq!(code, 75, "{said}");
    let folder = folder_below(&sandbox.path("work/out")).expect("the run has a folder");
    assert!(
        said.contains("interrupted: 0 of 1 runs have ended; go on with perdura resume "),
        "{said}"
    );
    assert!(!folder.join("summary.json").exists());
    let events = |kind: &str| {
        let text = std::fs::read_to_string(folder.join("events.jsonl")).expect("it is there");
        text.lines().filter(|line| line.contains(kind)).count()
    };
    assert_eq!((events("run_begun"), events("run_interrupted")), (1, 1));
    let answer =
        sandbox.line(&format!("resume {} --format json", folder.display())).expect(0).json();
    assert_eq!(answer["resources"]["resumed"], 1);
    same(&calm, &RunResult::only_below(&folder));
    // Nothing is told twice: what came after the checkpoint is told by the process that went on.
    assert_eq!((events("run_begun"), events("run_resumed"), events("run_finished")), (1, 1, 1));
    assert_eq!(
        (events("experience_begun"), events("experience_ended"), events("epoch_ended")),
        (5, 5, 10)
    );
    let again = sandbox.line(&format!("resume {}", folder.display()));
    again.refused(&["has ended: there is nothing to take up"]);
}

#[test]
fn snapshots_on_their_way_are_few_and_in_the_checkpoint() {
    let sandbox = Sandbox::new();
    // Scoring takes longer than a step: without a limit, snapshots would pile up.
    let words = "run cls-er --memory 40 --epochs 1 --score-every 1";
    sandbox.line(&format!("{words} --out calm")).expect(0);
    let calm = RunResult::only_below(&sandbox.path("work/calm"));
    let resources =
        std::fs::read_to_string(calm.folder.join("resources.json")).expect("it is there");
    let resources: serde_json::Value = serde_json::from_str(&resources).expect("JSON");
    assert!(resources["ledger"]["snapshots"].as_f64() > Some(0.0), "{resources}");
    assert!(resources["snapshot_seconds"].as_f64() > Some(0.0), "{resources}");

    let line = format!("{words} --checkpoint-every 5 --out out");
    let (code, said) = interrupted(&sandbox, &line, "out", "TERM");
    assert_eq!(code, 75, "{said}");
    let folder = folder_below(&sandbox.path("work/out")).expect("the run has a folder");
    let cores = std::thread::available_parallelism().expect("a number of cores").get();
    // One in each lane, one that waits, and one that was taken when the signal came.
    let most = cores.saturating_sub(1).max(1) + 2;
    let files = perdura_tests::files_below(&folder.join("checkpoints"));
    let waiting = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("it was just listed");
        String::from_utf8_lossy(&bytes).matches("[\"snapshot.").count()
    };
    let counts: Vec<usize> = files.iter().map(waiting).collect();
    assert!(counts.iter().all(|count| (1..=most).contains(count)), "{counts:?} of {most}");
    sandbox.line(&format!("resume {}", folder.display())).expect(0);
    same(&calm, &RunResult::only_below(&folder));
}

#[test]
fn a_comparison_that_is_asked_to_end_runs_only_what_is_open() {
    let sandbox = Sandbox::new();
    let words = "compare --methods sgd,er --memory 40 --seeds 0..2 --epochs 1 --jobs 2";
    sandbox.line(&format!("{words} --out calm")).expect(0);
    sandbox.line("run sgd --memory 40 --seed 1 --epochs 1 --out out").expect(0);
    let before = std::fs::read(
        folder_below(&sandbox.path("work/out")).expect("a run").join("resources.json"),
    );
    // Longer than the others, so that something is open when the signal comes.
    let line = format!("{words} --checkpoint-every 3 --out out --resume");
    let (code, said) = interrupted(&sandbox, &line, "out", "INT");
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("go on with the same command and --resume"), "{said}");
    let answer = sandbox.line(&line).expect(0);
    assert!(!answer.err.contains("sgd seed 1"), "it was finished:\n{}", answer.err);
    let (calm, out) = (sandbox.path("work/calm"), sandbox.path("work/out"));
    let (calm, stormy) = (RunResult::all_below(&calm), RunResult::all_below(&out));
    assert_eq!((calm.len(), stormy.len()), (4, 4));
    calm.iter().zip(&stormy).for_each(|(calm, stormy)| same(calm, stormy));
    let kept = stormy.iter().find(|run| run.plan.seed == 1 && run.plan.method == "perdura/sgd");
    let after = std::fs::read(kept.expect("it is there").folder.join("resources.json"));
    assert_eq!(before.expect("written"), after.expect("kept"));
    assert_eq!(sandbox.line(&line).expect(0).err, "", "nothing is open");
}

#[test]
fn shards_share_a_folder() {
    let sandbox = Sandbox::new();
    let words =
        "compare --methods nearest-mean,sgd --seeds 0..2 --epochs 1 --out out --format json";
    let runs = |answer: perdura_tests::Answer| {
        let rows = answer.expect(0).json()["rows"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["n"].as_u64().expect("a number")).max()
    };
    assert_eq!(runs(sandbox.line(&format!("{words} --shard 1/2"))), Some(1));
    assert_eq!(runs(sandbox.line(&format!("{words} --shard 2/2"))), Some(1));
    assert_eq!(RunResult::all_below(&sandbox.path("work/out")).len(), 4);
    let whole = sandbox.line(&format!("{words} --resume"));
    assert_eq!(whole.err, "", "nothing is left to run");
    assert_eq!(runs(whole), Some(2));
    sandbox.line(&format!("{words} --shard 3/2")).refused(&["--shard `3/2`: expected part"]);
}
