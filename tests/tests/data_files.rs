//! Data files that are short, damaged or do not belong together are named with what was expected and what
//! was found, and nothing is run on them.

use perdura_tests::{RunResult, Sandbox};
use std::collections::BTreeMap;
use std::path::Path;

/// The four files of a tiny MNIST, two images of each class in both parts.
fn tiny_mnist() -> BTreeMap<&'static str, Vec<u8>> {
    let header = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let labels: Vec<u8> = (0..20).map(|row| row % 10).collect();
    let image = |&label: &u8| {
        (0..784).map(move |pixel| if pixel / 78 == usize::from(label) { 255 } else { 9 })
    };
    let pixels: Vec<u8> = labels.iter().flat_map(image).collect();
    let images = [header(&[0x803, 20, 28, 28]), pixels].concat();
    let labels = [header(&[0x801, 20]), labels].concat();
    BTreeMap::from([
        ("train-images-idx3-ubyte", images.clone()),
        ("train-labels-idx1-ubyte", labels.clone()),
        ("t10k-images-idx3-ubyte", images),
        ("t10k-labels-idx1-ubyte", labels),
    ])
}

fn write_all(folder: &Path, files: &BTreeMap<&str, Vec<u8>>) {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).expect("the sandbox can be written");
    }
}

const MNIST_RUN: &str =
    "run nearest-mean --benchmark split-mnist --batch 2 --data-dir ../data --out out";

#[test]
fn fashion_mnist_lies_in_a_folder_of_its_own() {
    let sandbox = Sandbox::new();
    let line = MNIST_RUN.replace("split-mnist", "split-fmnist");
    write_all(&sandbox.path("data"), &tiny_mnist());
    sandbox.line(&line).refused(&["fmnist/train-images-idx3-ubyte"]);
    std::fs::create_dir(sandbox.path("data/fmnist")).expect("the folder is new");
    write_all(&sandbox.path("data/fmnist"), &tiny_mnist());
    sandbox.line(&line).expect(0);
}

/// Name of the file, what happens to it, and words of the error.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static [&'static str]);

#[test]
fn damaged_data_files() {
    let damages: [Damage; 9] = [
        (
            "train-images-idx3-ubyte",
            |b| b.truncate(9000),
            &["expected 15680 bytes", "found 8984 bytes"],
        ),
        (
            "t10k-images-idx3-ubyte",
            |b| b.truncate(6),
            &["expected an IDX header", "end of the file"],
        ),
        ("train-labels-idx1-ubyte", |b| b.truncate(20), &["expected 20 bytes", "found 12 bytes"]),
        ("t10k-labels-idx1-ubyte", |b| b.clear(), &["expected an IDX header"]),
        ("train-labels-idx1-ubyte", |b| b[3] = 3, &["magic number", "0x00000803"]),
        (
            "train-labels-idx1-ubyte",
            |b| b[11] = 10,
            &["labels from 0 to 9", "label 10 at position 3"],
        ),
        ("train-images-idx3-ubyte", |b| b[11] = 27, &["images of 28 x 28", "27 x 28"]),
        ("t10k-images-idx3-ubyte", |b| b.push(0), &["more bytes after them"]),
        ("train-images-idx3-ubyte", |b| b[..2].copy_from_slice(&[0x1f, 0x8b]), &["gzip"]),
    ];
    for (name, damage, words) in damages {
        let sandbox = Sandbox::new();
        let mut files = tiny_mnist();
        damage(files.get_mut(name).expect("one of the four"));
        write_all(&sandbox.path("data"), &files);
        let words = [&[name, "fetch it again"][..], words].concat();
        sandbox.line(MNIST_RUN).refused(&words);
        assert!(!sandbox.path("work/out").exists(), "something was written");
    }
}

#[test]
fn data_files_that_do_not_fit_or_are_missing() {
    let sandbox = Sandbox::new();
    let mut files = tiny_mnist();
    write_all(&sandbox.path("data"), &files);
    sandbox.line(MNIST_RUN).expect(0);
    assert_eq!(RunResult::only_below(&sandbox.path("work/out")).summary.steps, 10);
    let labels = files.get_mut("t10k-labels-idx1-ubyte").expect("one of the four");
    labels[7] = 19;
    labels.pop();
    write_all(&sandbox.path("data"), &files);
    let line = MNIST_RUN.replace("--out out", "--out other");
    sandbox.line(&line).refused(&["t10k-labels", "20 labels, one per image", "19 labels"]);
    std::fs::remove_file(sandbox.path("data/t10k-labels-idx1-ubyte")).expect("it is there");
    sandbox.line(&line).refused(&["no file t10k-labels-idx1-ubyte", "--data-dir"]);
    sandbox
        .line("run nearest-mean --benchmark split-mnist")
        .refused(&["PERDURA_DATA", "--data-dir"]);
    assert!(!sandbox.path("work/other").exists());
    // The run that was there is untouched.
    RunResult::only_below(&sandbox.path("work/out"));
}
