//! A shipped benchmark whose data are loaded: what remains to choose are options and a seed. Many
//! seeds and methods share the data of one source.

use std::path::Path;
use std::sync::Arc;

use super::parameters::Parameters;
use super::{Benchmark, Construction, Recipe, StreamError, StreamOptions, names};
use crate::augment::SslAugment;
use crate::data::{self, DataPair, FolderOptions};
use crate::names as known_names;

/// Recipe and data.
#[derive(Clone, Debug)]
pub struct Source {
    /// As it was asked for, parameters included.
    name: String,
    recipe: Recipe,
    data: Arc<DataPair>,
}

impl Source {
    /// Loads the data of a shipped recipe. Parameters follow the name:
    /// `split-cifar100:experiences=5`.
    ///
    /// # Errors
    /// An unknown name or parameter, or data that cannot be loaded.
    pub fn open(name: &str, data_dir: Option<&Path>) -> Result<Source, StreamError> {
        let mut parameters = Parameters::of(name)?;
        let mut recipe = find(parameters.base())?;
        let data = match recipe.data {
            "folder" => load_folder(&mut recipe, parameters, data_dir)?,
            name => {
                take_construction(&mut recipe.construction, &mut parameters)?;
                parameters.finish()?;
                data::load(name, data_dir)?
            }
        };
        let data = Arc::new(data);
        Ok(Source { name: name.to_owned(), recipe, data })
    }

    /// Assembles the benchmark.
    ///
    /// # Errors
    /// Options that do not fit the data.
    pub fn benchmark(&self, options: &StreamOptions, seed: u64) -> Result<Benchmark, StreamError> {
        let benchmark = self.recipe.assemble(self.data.clone(), options, seed)?;
        Ok(Benchmark { name: self.name.clone(), ..benchmark })
    }
}

/// What the parameters make of a construction: `experiences`; of groups `groups`, `angles`
/// (`0/20/40`), and `train` and `test` images of each experience.
fn take_construction(
    construction: &mut Construction,
    parameters: &mut Parameters<'_>,
) -> Result<(), StreamError> {
    match construction {
        Construction::Split { experiences }
        | Construction::Permuted { experiences }
        | Construction::Rotated { experiences, .. } => {
            *experiences = parameters.take("experiences")?.unwrap_or(*experiences);
        }
        Construction::Groups { groups, angles, train, test } => {
            *groups = parameters.take("groups")?.unwrap_or(*groups);
            *angles = parameters.take("angles")?.unwrap_or(*angles);
            *train = parameters.take("train")?.unwrap_or(*train);
            *test = parameters.take("test")?.unwrap_or(*test);
        }
        Construction::Circle { .. } => {}
    }
    Ok(())
}

/// A folder of images, and what its parameters make of the recipe:
///
/// * `path`: the folder, below the data folder or absolute;
/// * `classes`: classes of each experience;
/// * `experiences`: how many; by default as many as there are classes for;
/// * `skip`: experiences before those, which are kept for choosing hyper-parameters;
/// * `size`: images are resized to this height and width;
/// * `channels`: 1 for grey images, else 3;
/// * `test`: images of each class that are the test part, where the folder has no parts.
fn load_folder(
    recipe: &mut Recipe,
    mut parameters: Parameters<'_>,
    data_dir: Option<&Path>,
) -> Result<DataPair, StreamError> {
    let path: Option<String> = parameters.take("path")?;
    let classes: Option<usize> = parameters.take("classes")?;
    let experiences: Option<usize> = parameters.take("experiences")?;
    let skip: usize = parameters.take("skip")?.unwrap_or(0);
    let size: Option<usize> = parameters.take("size")?;
    let channels: usize = parameters.take("channels")?.unwrap_or(3);
    let test_per_class: Option<usize> = parameters.take("test")?;
    let (Some(path), Some(classes)) = (path, classes) else {
        let problem = "it needs `path` and `classes`, as in split-folder:path=DIR,classes=5";
        return Err(parameters.wrong(problem));
    };
    let zero = [Some(classes), experiences, size, test_per_class].contains(&Some(0));
    if zero || !matches!(channels, 1 | 3) {
        let problem = "channels must be 1 or 3, and all other numbers but skip at least 1";
        return Err(parameters.wrong(problem));
    }
    parameters.finish()?;
    let data = data::load_folder(&FolderOptions {
        path: data_dir.unwrap_or(Path::new("")).join(path),
        channels,
        size: size.map(|size| (size, size)),
        classes_skipped: skip * classes,
        classes_taken: experiences.map(|experiences| experiences * classes),
        test_per_class,
    })?;
    if !data.train.classes.is_multiple_of(classes) {
        return Err(StreamError::UnevenFolder { classes: data.train.classes, width: classes });
    }
    recipe.construction = Construction::Split { experiences: data.train.classes / classes };
    if channels == 1 {
        // Statistics and views are those of colours.
        recipe.statistics = &[];
        recipe.ssl_augment = Some(SslAugment::MNIST);
    }
    Ok(data)
}

fn find(name: &str) -> Result<Recipe, StreamError> {
    match names().iter().find(|recipe| recipe.name == name) {
        Some(recipe) => Ok(*recipe),
        None => Err(StreamError::Unknown {
            name: name.to_owned(),
            nearest: known_names::nearest(name, names().iter().map(|recipe| recipe.name))
                .map(str::to_owned),
        }),
    }
}
