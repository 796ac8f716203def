//! What runs leave behind.

use perdura::run::{Outcome, RunPlan, Summary};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files of one run.
pub struct RunResult {
    pub folder: PathBuf,
    pub plan: RunPlan,
    pub summary: Summary,
    /// Everything that plan, seed and plugin determine: summary, predictions, accuracies between boundaries; by
    /// file name.
    pub determined: BTreeMap<String, Vec<u8>>,
}

impl RunResult {
    /// All runs below a folder, in the order of their paths.
    pub fn all_below(out: &Path) -> Vec<RunResult> {
        let mut plans: Vec<PathBuf> = files_below(out);
        plans.retain(|path| path.ends_with("plan.json"));
        let read = |plan: &PathBuf| RunResult::read(plan.parent().expect("a file has a folder"));
        plans.iter().map(read).collect()
    }

    /// The only run below a folder.
    #[track_caller]
    pub fn only_below(out: &Path) -> RunResult {
        let mut all = RunResult::all_below(out);
        assert_eq!(all.len(), 1, "runs below {}", out.display());
        all.remove(0)
    }

    fn read(folder: &Path) -> RunResult {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        RunResult {
            folder: folder.to_owned(),
            plan: serde_json::from_str(&text("plan.json")).expect("a plan"),
            summary: serde_json::from_str(&text("summary.json")).expect("a summary"),
            determined: determined(folder),
        }
    }

    /// Predictions of one view, by the moment they were made.
    pub fn predictions(&self, view: &str) -> BTreeMap<String, Vec<u8>> {
        let of_view = |name: &str| {
            let name = name.strip_prefix("predictions/")?;
            Some(name.strip_suffix(&format!(".{view}.safetensors"))?.to_owned())
        };
        let all = self.determined.iter();
        all.filter_map(|(name, bytes)| Some((of_view(name)?, bytes.clone()))).collect()
    }

    /// The fault of a failed run.
    #[track_caller]
    pub fn fault(&self) -> &perdura::run::Fault {
        match &self.summary.outcome {
            Outcome::Failed(fault) => fault,
            Outcome::Finished => panic!("{} finished", self.folder.display()),
        }
    }
}

fn determined(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in files_below(folder) {
        let name = path.strip_prefix(folder).expect("it lies below").to_string_lossy().into_owned();
        let whole = ["summary.json", "anytime.safetensors"].contains(&name.as_str());
        if whole || name.starts_with("predictions/") {
            files.insert(name, std::fs::read(&path).expect("it was just listed"));
        }
    }
    files
}

/// All files below a folder, sorted; none when it does not exist.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
