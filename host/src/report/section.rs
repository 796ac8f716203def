//! Which runs are compared with each other: a section is a benchmark, and a memory size where one
//! method was run with several.

use std::path::{Path, PathBuf};

use crate::compare::{Comparison, MethodRuns, RunRecord, by_method};
use crate::run::{Anytime, Event, MemorySize, RunError, RunFolder, find, memory_text};

/// One run and where it lies.
#[derive(Clone, Debug)]
pub struct ReportRun {
    pub folder: PathBuf,
    pub record: RunRecord,
    pub events: Vec<Event>,
    /// Scores between boundaries, where there are some.
    pub anytime: Option<Anytime>,
}

/// Runs that are compared with each other.
pub struct Section {
    pub benchmark: String,
    /// Where the benchmark has a section for each memory size.
    pub memory: Option<MemorySize>,
    /// By method, then seed.
    pub runs: Vec<ReportRun>,
    pub comparison: Comparison,
}

/// What a report is about.
pub struct Report {
    pub sections: Vec<Section>,
    /// Runs that could not be read, as sentences: they are named, and do not keep the others from
    /// being shown.
    pub unread: Vec<String>,
    /// Files that could be read in part: what is whole in them is shown.
    pub damaged: Vec<String>,
}

impl Report {
    /// The runs at and below these folders, each once, as sections in the order of their names.
    ///
    /// # Errors
    /// A folder that cannot be searched, or that holds no run.
    pub fn of(paths: &[PathBuf]) -> Result<Report, RunError> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for path in paths {
            let found = find(path)?;
            if found.is_empty() {
                return Err(RunError::NoRuns(path.clone()));
            }
            folders.extend(found);
        }
        let mut seen = std::collections::BTreeSet::new();
        folders.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
        let (mut runs, mut unread, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
        for folder in folders {
            match ReportRun::read(&folder) {
                Ok((run, damage)) => {
                    runs.push(run);
                    damaged.extend(damage.iter().map(RunError::to_string));
                }
                Err(error) => unread.push(error.to_string()),
            }
        }
        Ok(Report { sections: Section::all(runs), unread, damaged })
    }
}

impl ReportRun {
    /// Reads the files of a run, and what is wrong with its events: no number is computed from them.
    pub fn read(path: &Path) -> Result<(ReportRun, Option<RunError>), RunError> {
        let folder = RunFolder::open(path)?;
        let record = RunRecord::read(&folder)?;
        let ((events, damage), anytime) = (folder.whole_events()?, folder.anytime()?);
        Ok((ReportRun { folder: path.to_owned(), record, events, anytime }, damage))
    }
}

impl Section {
    /// Sorts runs into sections. A run without memory is in every section of its benchmark.
    pub fn all(mut runs: Vec<ReportRun>) -> Vec<Section> {
        runs.sort_by_key(|run| run.record.plan.seed);
        let mut benchmarks: Vec<String> =
            runs.iter().map(|run| run.record.plan.benchmark.clone()).collect();
        benchmarks.sort();
        benchmarks.dedup();
        let of_benchmark = |benchmark: String| {
            let own = runs.iter().filter(|run| run.record.plan.benchmark == benchmark);
            let own: Vec<&ReportRun> = own.collect();
            let sizes = memory_sizes(&own);
            match sizes.is_empty() {
                true => vec![Section::of(&benchmark, None, &own)],
                false => sizes
                    .into_iter()
                    .map(|size| {
                        let fits = |run: &&&ReportRun| {
                            run.record.plan.memory.is_none_or(|memory| memory == size)
                        };
                        let runs: Vec<&ReportRun> = own.iter().filter(fits).copied().collect();
                        Section::of(&benchmark, Some(size), &runs)
                    })
                    .collect(),
            }
        };
        benchmarks.into_iter().flat_map(of_benchmark).collect()
    }

    fn of(benchmark: &str, memory: Option<MemorySize>, runs: &[&ReportRun]) -> Section {
        let mut runs: Vec<ReportRun> = runs.iter().map(|run| (*run).clone()).collect();
        // By method; the order within one is kept.
        runs.sort_by(|a, b| a.record.plan.arm().cmp(b.record.plan.arm()));
        let comparison = Comparison::of(runs.iter().map(|run| &run.record));
        Section { benchmark: benchmark.to_owned(), memory, runs, comparison }
    }

    /// The runs by method or arm, as the comparison has them.
    pub(super) fn methods(&self) -> Vec<MethodRuns<'_>> {
        by_method(self.runs.iter().map(|run| &run.record))
    }

    /// For a heading: `split-mnist, memory 200`.
    pub fn title(&self) -> String {
        match self.memory {
            None => self.benchmark.clone(),
            Some(size) => format!("{}, memory {}", self.benchmark, memory_text(Some(size))),
        }
    }
}

/// The sizes that need sections of their own: none where every method has one size only, as with
/// arms of equal bytes.
fn memory_sizes(runs: &[&ReportRun]) -> Vec<MemorySize> {
    let size = |run: &&&ReportRun| {
        let plan = &run.record.plan;
        plan.memory.map(|memory| (plan.arm().to_owned(), memory))
    };
    let sizes: Vec<(String, MemorySize)> = runs.iter().filter_map(|run| size(&run)).collect();
    let several = sizes.iter().any(|(arm, size)| sizes.iter().any(|o| o.0 == *arm && o.1 != *size));
    if !several {
        return Vec::new();
    }
    let mut sizes: Vec<MemorySize> = sizes.into_iter().map(|(_, size)| size).collect();
    sizes.sort_by_key(|size| match *size {
        MemorySize::Samples(samples) => (0, samples),
        MemorySize::Bytes(bytes) => (1, bytes),
    });
    sizes.dedup();
    sizes
}
