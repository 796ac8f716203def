//! A stream of one's own: data made by the program, cut into experiences by a recipe, run with a shipped
//! method. Run it after `cargo build --release`, which puts the plugins beside it:
//!
//! ```text
//! cargo run --release -p custom-stream
//! ```
#![deny(unsafe_code)]

use perdura::augment::TrainAugment;
use perdura::data::{DataPair, Dataset, ImageShape};
use perdura::memory::Capacity;
use perdura::planning::{self, Setup};
use perdura::run::RunFolder;
use perdura::stream::{Construction, Recipe, Scenario};
use perdura::trainer::{self, ExecuteOptions};

/// Six classes of 8x8 images: a bright row whose height is the class, at a place that varies.
fn bars(per_class: u32) -> Dataset {
    let shape = ImageShape { channels: 1, height: 8, width: 8 };
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for sample in 0..per_class {
        for class in 0..6u32 {
            let mut image = vec![0u8; shape.len()];
            let start = (sample % 3) as usize;
            image[class as usize * 8 + start..][..5].fill(200 + (sample % 50) as u8);
            images.extend(image);
            labels.push(class);
        }
    }
    Dataset { images: images.into(), labels, shape, classes: 6 }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A worker is this program again.
    perdura::serve_if_worker();

    let recipe = Recipe {
        name: "bars",
        about: "rows of an image, 3 experiences of 2 classes",
        data: "bars",
        scenario: Scenario::ClassIl,
        construction: Construction::Split { experiences: 3 },
        epochs: 2,
        batch: 10,
        drop_last: false,
        statistics: &[],
        train_augment: TrainAugment::default(),
        ssl_augment: None,
    };
    let data = || DataPair { name: "bars".into(), train: bars(100), test: bars(20), scale: 255.0 };
    let out = tempfile::tempdir()?;
    let setup = Setup { memory: Some(Capacity::Samples(60)), ..Setup::new("bars") };
    let runs = planning::plans_on("perdura/er", &setup, &[0], &mut |options, seed| {
        recipe.assemble(data(), options, seed)
    })?;
    for run in runs {
        let folder = RunFolder::create(out.path(), &run.plan)?;
        let options = ExecuteOptions::new(folder.path(), &run.found.path);
        trainer::execute_on(&options, || {
            Ok(recipe.assemble(data(), &run.plan.stream.options()?, run.plan.seed)?)
        })?;
        let summary = folder.summary()?.expect("an executed run has a summary");
        for row in &summary.views[0].scenarios[0].matrix {
            println!("{row:.2?}");
        }
    }
    Ok(())
}
