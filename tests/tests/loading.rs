//! What is not a good plugin is refused, whatever it is: with the file, what was expected, what was found and
//! the way out, in a few lines, and nothing is written. What is good works beside others in one process.

use perdura::plugin::{LoadError, OpenPlugin, inspect, open, open_private_copy};
use perdura_tests::{Answer, Learner, Samples, Sandbox, built, in_child};
use serde_json::json;
use std::path::{Path, PathBuf};

fn good_bytes() -> Vec<u8> {
    std::fs::read(built().plugin("nearest-mean")).expect("it was built")
}

/// Every command refuses the file. `code` is what `plugins list` calls it.
#[track_caller]
fn refused_everywhere(file: &Path, code: &str, words: &[&str]) {
    let sandbox = Sandbox::new();
    let name = file.display().to_string();
    let words = [words, &[&name, "remedy: "]].concat();
    refused(&sandbox, &["run", "nearest-mean", "--plugin", &name], &words);
    refused(&sandbox, &["compare", "--methods", "nearest-mean", "--plugin", &name], &words);
    refused(&sandbox, &["plugins", "info", "nearest-mean", "--plugin", &name], &words);
    refused(&sandbox, &["plugins", "info", &name], &words);
    listed_as_refused(&sandbox, &name, code);
    assert!(!sandbox.path("work/perdura-runs").exists(), "something was written");
}

#[track_caller]
fn refused(sandbox: &Sandbox, line: &[&str], words: &[&str]) -> Answer {
    sandbox.perdura(line).refused(words)
}

#[track_caller]
fn listed_as_refused(sandbox: &Sandbox, name: &str, code: &str) {
    let list = ["plugins", "list", "--format", "json", "--plugin", name];
    let list = sandbox.perdura(&list).expect(2).json();
    let refused = list["refused"].as_array().expect("a list");
    let entry = refused.iter().find(|entry| entry["file"] == name);
    assert_eq!(entry.expect("it is listed")["code"], code);
    let text = sandbox.perdura(&["plugins", "list", "--plugin", name]).expect(2);
    assert!(text.err.contains(&format!("refused ({code})")), "{}", text.err);
    assert!(text.out.contains("examples/nearest-mean"), "{}", text.out);
}

/// The same for a file with these bytes.
#[track_caller]
fn refused_bytes(bytes: &[u8], code: &str, words: &[&str]) {
    let folder = Sandbox::new();
    refused_everywhere(&folder.write("libcandidate.so", bytes), code, words);
}

#[test]
fn missing_file_and_folder() {
    let folder = Sandbox::new();
    refused_everywhere(&folder.path("libnothing.so"), "missing", &["does not exist"]);
    refused_everywhere(&folder.path("work"), "not-a-file", &["found: a folder"]);
}

#[test]
fn empty_and_text() {
    refused_bytes(b"", "empty", &["empty", "expected: a shared library"]);
    let text =
        b"#!/bin/sh\necho this is a script and no plugin at all, though long enough to be one\n";
    refused_bytes(
        text,
        "not-elf",
        &["expected: ELF", "found: a file that starts with \"#!/bin/sh"],
    );
}

#[test]
fn truncated_anywhere() {
    let (sandbox, bytes) = (Sandbox::new(), good_bytes());
    for point in 1..=50 {
        let cut = bytes.len() * point / 51;
        let file = sandbox.write("libcut.so", &bytes[..cut]);
        let name = file.display().to_string();
        let words = [&name, "truncated", "expected: at least", &format!("found: {cut} bytes")];
        refused(&sandbox, &["run", "nearest-mean", "--plugin", &name], &words);
    }
    refused_bytes(
        &bytes[..bytes.len() - 1],
        "truncated",
        &["truncated", "remedy: build or copy it"],
    );
}

#[test]
fn wrong_architecture() {
    let mut bytes = good_bytes();
    // Field e_machine of the ELF header; 243 is RISC-V.
    bytes[18..20].copy_from_slice(&243u16.to_le_bytes());
    refused_bytes(&bytes, "wrong-machine", &["another machine", "found: riscv"]);
}

/// A shared library of the system that has nothing to do with Perdura: the C library of this process.
#[test]
fn foreign_library() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has /proc");
    let path =
        maps.split_whitespace().find(|word| word.contains("/libc.so")).expect("it is mapped");
    refused_everywhere(Path::new(path), "no-manifest", &["expected: an ELF section .perdura"]);
}

/// Replaces text in the static manifest by other text of the same length.
fn patched(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = good_bytes();
    let start = b"{\"id\":\"examples/nearest-mean\",";
    let manifest = bytes.windows(start.len()).position(|window| window == start);
    let manifest = manifest.expect("the manifest is in the file");
    let place = bytes[manifest..].windows(from.len()).position(|window| window == from.as_bytes());
    let place = manifest + place.expect("the manifest holds the text");
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn another_boundary_abi_stable_or_target() {
    let abi = perdura_abi::ABI;
    let other = format!("9{}", &abi[1..]);
    let (from, to) = (format!("\"abi\":\"{abi}\""), format!("\"abi\":\"{other}\""));
    let words = [format!("expected: ABI {abi}"), format!("found: ABI {other}")];
    let words = [&*words[0], &*words[1], "plugin examples/nearest-mean", "perdura plugins build"];
    refused_bytes(&patched(&from, &to), "abi-mismatch", &words);

    let bytes = patched("\"abi_stable\":\"0.11.", "\"abi_stable\":\"0.12.");
    refused_bytes(&bytes, "abi-stable-mismatch", &["found: abi_stable 0.12."]);
    let bytes = patched("-linux-", "-plan9-");
    refused_bytes(&bytes, "target-mismatch", &["another target", "plan9"]);
    let bytes = patched("\"licence\"", "\"license\"");
    refused_bytes(&bytes, "bad-manifest", &["missing field `licence`"]);
}

/// The bytes say one id, the code another: found out before anything is trained.
#[test]
fn forged_manifest() {
    let sandbox = Sandbox::new();
    let forged = patched("examples/nearest-mean", "examples/nearest-gold");
    let name = sandbox.write("libforged.so", forged).display().to_string();
    let words = [
        &*name,
        "the two manifests of the plugin disagree",
        "expected: id examples/nearest-gold",
        "found: id examples/nearest-mean",
        "remedy: do not trust the file",
    ];
    refused(&sandbox, &["run", "nearest-gold", "--plugin", &name], &words);
    refused(&sandbox, &["plugins", "info", &name], &words);
    // Asked again: the answer of a forged file is not kept.
    refused(&sandbox, &["run", "nearest-gold", "--plugin", &name], &words);
    assert!(!sandbox.path("work/perdura-runs").exists());
}

#[test]
fn two_plugins_with_one_id() {
    let sandbox = Sandbox::new();
    let [a, b] = ["twin_a", "twin_b"].map(|name| built().zoo(name));
    let both = std::env::join_paths([&a, &b]).expect("paths without colons");
    let env = [("PERDURA_PLUGIN_PATH", both.as_os_str())];
    let [a, b] = [a, b].map(|path| path.display().to_string());
    for line in [&["run", "zoo/twin"][..], &["run", "twin"], &["plugins", "info", "zoo/twin"]] {
        let words = [&*a, &*b, "two different plugins carry the id zoo/twin", "--plugin FILE"];
        sandbox.perdura_with(line, &env).refused(&words);
    }
    assert!(!sandbox.path("work/perdura-runs").exists());
    // The remedy it names.
    let chosen = ["plugins", "info", "zoo/twin", "--plugin", &b, "--format", "json"];
    let chosen = sandbox.perdura_with(&chosen, &env).expect(0).json();
    assert_eq!((&chosen["file"], &chosen["manifest"]["native"]), (&json!(b), &json!("libm.so.6")));
    // Twice the same content is one plugin.
    let copy = sandbox.write("libcopy.so", std::fs::read(&a).expect("it was built"));
    let same = std::env::join_paths([Path::new(&a), &copy]).expect("paths without colons");
    let line = ["run", "zoo/twin", "--epochs", "1", "--out", "out"];
    sandbox.perdura_with(&line, &[("PERDURA_PLUGIN_PATH", same.as_os_str())]).expect(0);
}

fn opened(file: &Path) -> Result<OpenPlugin, LoadError> {
    open(&inspect(file)?)
}

fn batch(labels: &[u32]) -> Samples {
    let input = |&label: &u32| [label as f32, 1.0 - label as f32 / 3.0];
    let (inputs, labels) = (labels.iter().flat_map(input).collect(), labels.to_vec());
    Samples { inputs, labels, ..Samples::default() }
}

/// Every load order of plugins of today's and of a later boundary: `n` is the later one.
const ORDERS: [&[char]; 6] =
    [&['o'], &['n'], &['o', 'n'], &['n', 'o'], &['o', 'n', 'o'], &['n', 'o', 'n']];

fn files_of(order: &[char]) -> Vec<PathBuf> {
    order.iter().map(|kind| built().zoo(if *kind == 'n' { "next" } else { "old" })).collect()
}

/// Today's host, in a process of its own for each order, because nothing is ever unloaded.
fn host_of_today(order: usize) {
    in_child(&format!("loading::abi_order_{order}"), || {
        for (kind, file) in ORDERS[order].iter().zip(files_of(ORDERS[order])) {
            let plugin = opened(&file).unwrap_or_else(|error| panic!("{error}"));
            let id = if *kind == 'n' { "zoo/next" } else { "zoo/old" };
            assert_eq!(plugin.describe().expect("it can").id, id);
            let mut learner = Learner::in_process(plugin.root, &json!({"weight": 2.0}), &[2]);
            learner.observe(&batch(&[1, 1, 3]), &[]);
            let logits = learner.predict("main", &[0.0, 0.0]);
            assert_eq!(logits, [0.0, 4.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        }
    });
}

#[test]
fn abi_order_0() {
    host_of_today(0);
}
#[test]
fn abi_order_1() {
    host_of_today(1);
}
#[test]
fn abi_order_2() {
    host_of_today(2);
}
#[test]
fn abi_order_3() {
    host_of_today(3);
}
#[test]
fn abi_order_4() {
    host_of_today(4);
}
#[test]
fn abi_order_5() {
    host_of_today(5);
}

/// A later host takes the plugins of today, which is the case labs live in, and sees the new field of the
/// new ones only.
#[test]
fn abi_of_a_later_host() {
    let sandbox = Sandbox::new();
    for order in ORDERS {
        let answer =
            sandbox.program(&built().example("abi_probe_next"), &files_of(order)).expect(0);
        let line = |kind: &char| if *kind == 'n' { "zoo/next 7001\n" } else { "zoo/old missing\n" };
        assert_eq!(answer.out, order.iter().map(line).collect::<String>());
    }
}

/// Through the whole host, the plugin of a later boundary gives what today's gives.
#[test]
fn abi_of_a_later_plugin_in_a_run() {
    let predictions = ["old", "next"].map(|name| {
        let sandbox = Sandbox::new();
        let file = built().zoo(name).display().to_string();
        let id = format!("zoo/{name}");
        sandbox
            .perdura(&["run", &id, "--plugin", &file, "--epochs", "1", "--out", "out"])
            .expect(0);
        perdura_tests::RunResult::only_below(&sandbox.path("work/out")).predictions("main")
    });
    assert_eq!(predictions[0], predictions[1]);
    assert!(!predictions[0].is_empty());
}

/// A learner's life: what it says in each step, what it predicts, what it saves.
fn life(learner: &mut Learner, steps: std::ops::Range<u32>) -> Vec<f64> {
    let step = |n: u32| batch(&[n % 4, n % 3]);
    let said = |n| learner.observe(&step(n), &[]).scalars.into_values().collect::<Vec<_>>();
    steps.flat_map(said).collect()
}

#[test]
fn two_plugins_in_one_process() {
    in_child("loading::two_plugins_in_one_process", || {
        let files = [built().plugin("nearest-mean"), built().zoo("twin_a")];
        let plugins = files.map(|file| inspect(&file).expect("a good file"));
        let fresh = |index: usize| {
            let plugin = open_private_copy(&plugins[index]).expect("it opens");
            Learner::in_process(plugin.root, &json!({}), &[2])
        };
        let (mut a, mut b) = (fresh(0), fresh(1));
        let (said_a, said_b) = (life(&mut a, 0..6), life(&mut b, 10..16));
        let (mut mixed_a, mut mixed_b) = (fresh(0), fresh(1));
        let (mut mixed_said_a, mut mixed_said_b) = (Vec::new(), Vec::new());
        for step in 0..6 {
            mixed_said_a.extend(life(&mut mixed_a, step..step + 1));
            mixed_said_b.extend(life(&mut mixed_b, step + 10..step + 11));
        }
        assert_eq!((said_a, said_b), (mixed_said_a, mixed_said_b));
        assert_eq!(a.save(), mixed_a.save());
        assert_eq!(b.save(), mixed_b.save());
        let probe = [0.5, 0.25, 2.0, 1.0];
        assert_eq!(a.predict("main", &probe), mixed_a.predict("main", &probe));
        assert_eq!(b.predict("main", &probe), mixed_b.predict("main", &probe));
    });
}

/// The scalar of a twin counts the steps of all that share its copy of the file.
#[test]
fn two_instances_of_one_plugin() {
    in_child("loading::two_instances_of_one_plugin", || {
        let found = inspect(&built().zoo("twin_a")).expect("a good file");
        let private = || {
            let plugin = open_private_copy(&found).expect("it opens");
            Learner::in_process(plugin.root, &json!({}), &[2])
        };
        let (mut first, mut second) = (private(), private());
        for step in 0..5 {
            assert_eq!(life(&mut first, step..step + 1), [f64::from(step) + 1.0]);
            assert_eq!(life(&mut second, step + 7..step + 8), [f64::from(step) + 1.0]);
        }
        let mut alone = private();
        assert_eq!(life(&mut alone, 7..12), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(second.save(), alone.save());
        assert_ne!(first.save(), alone.save());
        // Without private copies they share statics, which is why a run's instances get them.
        let shared = || Learner::in_process(open(&found).expect("it opens").root, &json!({}), &[2]);
        let (mut first, mut second) = (shared(), shared());
        assert_eq!((life(&mut first, 0..1), life(&mut second, 0..1)), (vec![1.0], vec![2.0]));
    });
}
