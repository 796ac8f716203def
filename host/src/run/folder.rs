//! The folder of one run: created once, filled by one writer, read by anyone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::predictions::{After, Predictions, file_name};
use super::{Anytime, Checkpoints, Event, Outcome, Resources, RunError, RunPlan, Summary, files};

pub(super) const PLAN: &str = "plan.json";
const EVENTS: &str = "events.jsonl";
const SUMMARY: &str = "summary.json";
const PARTIAL: &str = "partial.json";
const RESOURCES: &str = "resources.json";
const ANYTIME: &str = "anytime.safetensors";
const PREDICTIONS: &str = "predictions";
const LOG: &str = "log.txt";
const RESERVE: &str = "reserve";
/// Room for an outcome without scores: words, and the last lines of a log.
const RESERVE_BYTES: usize = 64 << 10;

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Opened with the first event.
    events: Option<File>,
}

/// What the files of a run say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Finished,
    Failed,
    /// There is no summary: the run goes on, or was killed.
    Unfinished,
}

impl RunFolder {
    /// Makes the folder of this plan below `out` (see [`RunPlan::folder_name`]) and writes the
    /// plan.
    ///
    /// # Errors
    /// [`RunError::Occupied`] if the folder holds a run, [`RunError::Foreign`] if it holds anything
    /// else; nothing is changed then. Of several that create one folder at the same time, one
    /// succeeds.
    pub fn create(out: &Path, plan: &RunPlan) -> Result<RunFolder, RunError> {
        let path = out.join(plan.folder_name());
        fs::create_dir_all(&path).map_err(RunError::io("create", &path))?;
        refuse_content(&path)?;
        if !files::write_new(&path.join(PLAN), plan.to_json().as_bytes())? {
            return Err(RunError::Occupied(path));
        }
        Ok(RunFolder { path, events: None })
    }

    /// The run that lies in this folder.
    pub fn open(path: &Path) -> Result<RunFolder, RunError> {
        if !path.join(PLAN).is_file() {
            return Err(RunError::NotARun(path.to_owned()));
        }
        Ok(RunFolder { path: path.to_owned(), events: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the lines of host and plugin go.
    pub fn log_path(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub fn plan(&self) -> Result<RunPlan, RunError> {
        RunPlan::read(&self.path.join(PLAN))
    }

    /// Refuses a plan that is not the one the folder was made for: its name ends with the plan's hash. A folder
    /// that was given another name cannot tell.
    pub fn check_name(&self, plan: &RunPlan) -> Result<(), RunError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let Some((seed, hash)) = name.rsplit_once('-') else { return Ok(()) };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let own = seed.starts_with("seed") && hash.len() == 8 && digits(hash);
        if !own || plan.sha256().starts_with(hash) {
            return Ok(());
        }
        let reason = format!(
            "its hash is {}, the folder was made for a plan of hash {hash}; put the plan back as it was, or \
             start a run of its own for it",
            &plan.sha256()[..8]
        );
        Err(RunError::Damaged { path: self.path.join(PLAN), reason })
    }

    /// Finished or failed by what the summary says.
    pub fn status(&self) -> Result<Status, RunError> {
        Ok(match self.summary()?.map(|summary| summary.outcome) {
            None => Status::Unfinished,
            Some(Outcome::Finished) => Status::Finished,
            Some(Outcome::Failed(_)) => Status::Failed,
        })
    }

    /// Makes sure that no other process writes into the folder while this one does.
    pub fn lock(&mut self) -> Result<(), RunError> {
        let path = self.path.clone();
        match self.events_file()?.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(RunError::Busy(path)),
            Err(TryLockError::Error(error)) => {
                // Some network file systems know no locks.
                tracing::warn!("{} is not locked: {error}", path.display());
                Ok(())
            }
        }
    }

    /// Refuses a folder that another process writes into at this moment.
    pub fn check_free(&self) -> Result<(), RunError> {
        RunFolder::open(&self.path)?.lock()
    }

    /// Appends one line. A line that an earlier writer did not finish is cut off first.
    pub fn append_event(&mut self, event: &Event) -> Result<(), RunError> {
        let path = self.path.join(EVENTS);
        let file = self.events_file()?;
        // One write per line, so that a reader sees whole lines.
        file.write_all(event.line().as_bytes()).map_err(RunError::io("append to", &path))
    }

    /// Bytes of events so far.
    pub fn events_bytes(&self) -> u64 {
        std::fs::metadata(self.path.join(EVENTS)).map_or(0, |file| file.len())
    }

    /// Brings the folder back to an earlier moment: of the events the first so many bytes, of the
    /// predictions these files, no summary, not even one so far.
    pub fn rewind(&mut self, events_bytes: u64, predictions: &[String]) -> Result<(), RunError> {
        for name in [SUMMARY, PARTIAL, RESOURCES, ANYTIME] {
            remove(&self.path.join(name))?;
        }
        let path = self.path.join(EVENTS);
        if self.events_bytes() > events_bytes {
            self.events_file()?.set_len(events_bytes).map_err(RunError::io("shorten", &path))?;
        }
        for name in self.prediction_files()? {
            if !predictions.contains(&name) {
                remove(&self.path.join(PREDICTIONS).join(name))?;
            }
        }
        Ok(())
    }

    /// Names of the files of predictions, sorted.
    pub fn prediction_files(&self) -> Result<Vec<String>, RunError> {
        let folder = self.path.join(PREDICTIONS);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RunError::io("read", &folder)(error)),
        };
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let names: std::io::Result<Vec<String>> = entries.map(name).collect();
        let mut names = names.map_err(RunError::io("read", &folder))?;
        names.sort();
        Ok(names)
    }

    pub fn checkpoints(&self) -> Result<Checkpoints, RunError> {
        Checkpoints::below(&self.path)
    }

    fn events_file(&mut self) -> Result<&mut File, RunError> {
        if self.events.is_none() {
            let path = self.path.join(EVENTS);
            self.events = Some(open_at_line_end(&path).map_err(RunError::io("open", &path))?);
        }
        Ok(self.events.as_mut().expect("opened above"))
    }

    /// All events; none if there is no file. A last line without its newline is one that a killed
    /// run did not finish, or that is being written: it is left out.
    pub fn events(&self) -> Result<Vec<Event>, RunError> {
        let (events, damage) = self.whole_events()?;
        damage.map_or(Ok(events), Err)
    }

    /// The same, but what can be read of a damaged file, and what is wrong with it.
    pub fn whole_events(&self) -> Result<(Vec<Event>, Option<RunError>), RunError> {
        let path = self.path.join(EVENTS);
        if !path.exists() {
            return Ok((Vec::new(), None));
        }
        let text = files::read(&path)?;
        let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (mut events, mut problems) = (Vec::new(), Vec::new());
        for (index, line) in text[..complete].split(|byte| *byte == b'\n').enumerate() {
            match serde_json::from_slice(line) {
                _ if line.is_empty() => {}
                Ok(event) => events.push(event),
                Err(error) => problems.push(format!("line {}: {error}", index + 1)),
            }
        }
        let more = problems.len().saturating_sub(1);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let damage = problems.into_iter().next();
        let damage = damage.map(|first| RunError::Damaged { path, reason: first + &more });
        Ok((events, damage))
    }

    /// Writes the predictions of a view, replacing those of the same moment.
    pub fn write_predictions(
        &self,
        after: After,
        view: &str,
        predictions: &Predictions,
    ) -> Result<(), RunError> {
        let folder = self.path.join(PREDICTIONS);
        let path = folder.join(file_name(after, view)?);
        fs::create_dir_all(&folder).map_err(RunError::io("create", &folder))?;
        predictions.write(&path, view)
    }

    pub fn predictions(&self, after: After, view: &str) -> Result<Predictions, RunError> {
        Predictions::read(&self.path.join(PREDICTIONS).join(file_name(after, view)?), view)
    }

    /// Writes what was scored while training went on.
    pub fn write_anytime(&self, anytime: &Anytime) -> Result<(), RunError> {
        anytime.write(&self.path.join(ANYTIME))
    }

    /// `None` for a run without `--score-every`, and before its end.
    pub fn anytime(&self) -> Result<Option<Anytime>, RunError> {
        let path = self.path.join(ANYTIME);
        path.exists().then(|| Anytime::read(&path)).transpose()
    }

    /// Keeps some room, so that a run for which the disk becomes too small can say so.
    pub fn reserve(&self) -> Result<(), RunError> {
        // Not zeros, which some file systems do not store.
        let bytes: Vec<u8> = (0..RESERVE_BYTES).map(|at| (at * at) as u8 | 1).collect();
        let path = self.path.join(RESERVE);
        fs::write(&path, bytes).map_err(RunError::io("write", path))
    }

    /// Writes resources, then the summary: a folder with a summary is complete. On a full disk the outcome
    /// is written without the scores, and a run that had finished is one that failed.
    pub fn finish(&self, summary: &Summary, resources: &Resources) -> Result<(), RunError> {
        remove(&self.path.join(RESERVE))?;
        match self.write_end(summary, resources) {
            Err(error) if error.is_disk_full() => {
                tracing::warn!("only the outcome is kept: {error}");
                self.write_end(&summary.without_scores(&error), resources)
            }
            written => written,
        }
    }

    fn write_end(&self, summary: &Summary, resources: &Resources) -> Result<(), RunError> {
        files::write(&self.path.join(RESOURCES), files::json_text(resources).as_bytes())?;
        files::write(&self.path.join(SUMMARY), files::json_text(summary).as_bytes())?;
        remove(&self.path.join(PARTIAL))
    }

    /// Writes down what a run that goes on has brought so far, for the case that its process dies. That
    /// the machine may, too, is what predictions and checkpoints are for.
    pub fn write_partial(&self, summary: &Summary) -> Result<(), RunError> {
        files::write_soon(&self.path.join(PARTIAL), files::json_text(summary).as_bytes())
    }

    /// What a run without a summary has brought so far; its outcome is [`Fault::unfinished`]. `None`
    /// where nothing was scored yet. A damaged file is passed over aloud: everything in it is in the
    /// predictions, too.
    ///
    /// [`Fault::unfinished`]: super::Fault::unfinished
    pub fn partial(&self) -> Option<Summary> {
        let path = self.path.join(PARTIAL);
        let read = || files::read_json(&path, Summary::FORMAT);
        path.exists().then(read)?.map_err(|error| tracing::warn!("{error}")).ok()
    }

    /// Replaces the summary of a run that has ended.
    pub fn rewrite_summary(&self, summary: &Summary) -> Result<(), RunError> {
        files::write(&self.path.join(SUMMARY), files::json_text(summary).as_bytes())
    }

    /// `None` while the run goes on, and if it was killed.
    pub fn summary(&self) -> Result<Option<Summary>, RunError> {
        let path = self.path.join(SUMMARY);
        path.exists().then(|| files::read_json(&path, Summary::FORMAT)).transpose()
    }

    /// `None` like [`RunFolder::summary`].
    pub fn resources(&self) -> Result<Option<Resources>, RunError> {
        let path = self.path.join(RESOURCES);
        path.exists().then(|| files::read_json(&path, Resources::FORMAT)).transpose()
    }
}

fn refuse_content(path: &Path) -> Result<(), RunError> {
    if path.join(PLAN).exists() {
        return Err(RunError::Occupied(path.to_owned()));
    }
    for entry in fs::read_dir(path).map_err(RunError::io("read", path))? {
        let name = entry.map_err(RunError::io("read", path))?.file_name();
        let found = name.to_string_lossy().into_owned();
        // Another host may be creating the same folder at this moment; writing the plan decides.
        if found != PLAN && !found.starts_with(files::TEMPORARY) {
            return Err(RunError::Foreign { folder: path.to_owned(), found });
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), RunError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RunError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Opens for appending, behind the last complete line.
fn open_at_line_end(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut reader = BufReader::new(&file);
    let (mut complete, mut line) = (0, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line.ends_with(b"\n") {
            complete += line.len() as u64;
        }
        line.clear();
    }
    if complete < file.metadata()?.len() {
        file.set_len(complete)?;
    }
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
