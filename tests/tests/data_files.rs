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
    sandbox.line("run nearest-mean --benchmark split-mnist").refused(&[
        "PERDURA_DATA",
        "--data-dir",
        "perdura data fetch mnist",
    ]);
    assert!(!sandbox.path("work/other").exists());
    // The run that was there is untouched.
    RunResult::only_below(&sandbox.path("work/out"));
}

/// Two records of each class in both files of a small CIFAR-10.
fn tiny_cifar() -> BTreeMap<&'static str, Vec<u8>> {
    let record = |row: u8| [vec![row % 10], vec![25 * (row % 10); 3072]].concat();
    let records: Vec<u8> = (0..20).flat_map(record).collect();
    BTreeMap::from([("data_batch_1.bin", records.clone()), ("test_batch.bin", records)])
}

#[test]
fn damaged_cifar_files() {
    let run = "run nearest-mean --benchmark split-cifar10-subset --batch 2 --epochs 1 \
               --data-dir ../data --out out";
    let damages: [Damage; 4] = [
        (
            "data_batch_1.bin",
            |b| b.truncate(9000),
            &["whole records of 3073", "2 records and 2854"],
        ),
        ("test_batch.bin", |b| b.clear(), &["whole records of 3073", "found 0 bytes"]),
        ("data_batch_1.bin", |b| b[3073] = 10, &["labels from 0 to 9", "label 10 in record 1"]),
        (
            "test_batch.bin",
            |b| (0..20).for_each(|row| b[row * 3073] = (row % 9) as u8),
            &["no test samples of classes [9]", "experience 5"],
        ),
    ];
    for (name, damage, words) in damages {
        let sandbox = Sandbox::new();
        let folder = sandbox.path("data/cifar-10-subset");
        std::fs::create_dir(&folder).expect("the folder is new");
        let mut files = tiny_cifar();
        damage(files.get_mut(name).expect("one of the two"));
        write_all(&folder, &files);
        sandbox.line(run).refused(words);
        assert!(!sandbox.path("work/out").exists(), "something was written");
        write_all(&folder, &tiny_cifar());
        sandbox.line(run).expect(0);
    }
}

#[test]
fn split_cifar10_insists_on_its_size() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("data/cifar-10-batches-bin");
    std::fs::create_dir(&folder).expect("the folder is new");
    write_all(&folder, &tiny_cifar());
    let inspect = "benchmarks inspect split-cifar10 --data-dir ../data";
    sandbox.line(inspect).refused(&["data_batch_2.bin", "perdura data fetch cifar10"]);
    let records = tiny_cifar()["test_batch.bin"].clone();
    for number in 2..=5 {
        let path = folder.join(format!("data_batch_{number}.bin"));
        std::fs::write(path, &records).expect("the sandbox can be written");
    }
    let words = ["data_batch_1.bin", "10000 records", "found 61460 bytes, which are 20 records"];
    sandbox.line(inspect).refused(&words);
}
