//! Folders of images as benchmarks: parameters in the name, decoding once, what is refused.

use jpeg_encoder::{ColorType, Encoder};
use perdura_tests::{RunResult, Sandbox};
use std::path::Path;

/// A grey JPEG image of one brightness.
fn write_image(path: &Path, side: u16, brightness: u8) {
    std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a new folder");
    let pixels = vec![brightness; usize::from(side) * usize::from(side)];
    let encoder = Encoder::new_file(path, 90).expect("the sandbox can be written");
    encoder.encode(&pixels, side, side, ColorType::Luma).expect("the sizes agree");
}

/// Six classes, each of its own brightness, with four training images and one test image.
fn shades(sandbox: &Sandbox) {
    for class in 0..6u8 {
        let folder = |part: &str| sandbox.path(&format!("data/shades/{part}/c{class}"));
        for image in 0..4 {
            let brightness = 40 * class + image;
            write_image(&folder("train").join(format!("{image}.jpg")), 12, brightness);
        }
        write_image(&folder("test").join("0.jpg"), 12, 40 * class + 2);
    }
}

const RUN: &str = "run nearest-mean --batch 2 --data-dir ../data --out out --benchmark";

#[test]
fn a_folder_is_a_benchmark() {
    let sandbox = Sandbox::new();
    shades(&sandbox);
    let benchmark = "split-folder:path=shades,classes=2,skip=1,size=8";
    sandbox.line(&format!("{RUN} {benchmark}")).expect(0);
    let summary = RunResult::only_below(&sandbox.path("work/out")).summary;
    // Two experiences of two classes with four images each, in batches of two.
    assert_eq!((summary.steps, summary.benchmark.as_str()), (8, benchmark));
    let cached =
        || std::fs::read_dir(sandbox.path("cache/perdura/images")).expect("a cache").count();
    assert_eq!(cached(), 1);

    let inspect = |parameters: &str| {
        let name = format!("split-folder:path=shades,{parameters}");
        let words = ["benchmarks", "inspect", &name, "--batch", "2", "--data-dir", "../data"];
        sandbox.perdura(&[&words[..], &["--format", "json"]].concat())
    };
    let grey = inspect("classes=3,channels=1").expect(0).json();
    assert_eq!(grey["input_shape"], serde_json::json!([1, 12, 12]));
    assert_eq!(grey["experiences"].as_array().map(Vec::len), Some(2));
    let first = inspect("classes=2,experiences=1").expect(0).json();
    assert_eq!((&first["classes"], &first["experiences"][0]["train"]), (&2.into(), &8.into()));
    inspect("classes=4").refused(&["6 classes", "experiences of 4"]);
    inspect("classes=2,skip=2,experiences=2").refused(&["8 class folders or more, found 6"]);
    inspect("size=8").refused(&["it needs `path` and `classes`"]);
    inspect("classes=2,channels=2").refused(&["channels must be 1 or 3"]);
    inspect("classes=2,sise=8").refused(&["unknown parameter `sise`", "size, channels, test"]);
}

#[test]
fn a_plan_file_names_a_folder_too() {
    let sandbox = Sandbox::new();
    shades(&sandbox);
    let plan = "benchmark = \"split-folder:path=shades,classes=3\"\nseeds = \"0\"\nbatch = 2\n\
                [[method]]\nid = \"nearest-mean\"\n";
    sandbox.write("plan.toml", plan);
    sandbox.line("compare plan.toml --data-dir ../data --out out").expect(0);
    assert_eq!(RunResult::only_below(&sandbox.path("work/out")).summary.steps, 12);
}

#[test]
fn what_is_wrong_with_a_folder_is_named_and_nothing_is_run() {
    type Harm = fn(&Path);
    let harms: [(Harm, &[&str]); 4] = [
        (
            |shades| std::fs::write(shades.join("train/c3/1.jpg"), "no image").expect("writable"),
            &["train/c3/1.jpg", "a whole PNG or JPEG image", "replace the file"],
        ),
        (
            |shades| write_image(&shades.join("test/c5/0.jpg"), 9, 1),
            &["test/c5/0.jpg", "3 x 12 x 12", "3 x 9 x 9", "size=84"],
        ),
        (
            |shades| std::fs::remove_dir_all(shades.join("test/c4")).expect("it was there"),
            &["shades/test", "a folder `c4`", "training and test images"],
        ),
        (
            |shades| std::fs::remove_file(shades.join("test/c4/0.jpg")).expect("it was there"),
            &["test/c4", ".png, .jpg or .jpeg", "found none"],
        ),
    ];
    for (harm, words) in harms {
        let sandbox = Sandbox::new();
        shades(&sandbox);
        harm(&sandbox.path("data/shades"));
        sandbox.line(&format!("{RUN} split-folder:path=shades,classes=2")).refused(words);
        assert!(!sandbox.path("work/out").exists(), "something was written");
    }
}
