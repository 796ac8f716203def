//! When checkpoints are written, and what is in them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::standing::{Point, Stage, Standing};
use super::world::World;
use crate::interrupt::Interrupt;
use crate::memory::{MemoryHead, ReplayMemory};
use crate::run::{Checkpoint, CheckpointWriter, Checkpoints, RunError, RunFolder, RunPlan};
use crate::stream::StreamContent;

/// How often checkpoints are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Every {
    /// So often that they take about a hundredth of the time, and when the run is asked to end.
    #[default]
    Auto,
    /// After so many steps, at every boundary, and when the run is asked to end.
    Steps(u64),
    Never,
}

/// The text says no interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no interval of checkpoints; expected `auto`, `none` or steps from 1 on, such as 500"
)]
pub struct ParseEveryError(String);

impl FromStr for Every {
    type Err = ParseEveryError;

    fn from_str(text: &str) -> Result<Every, ParseEveryError> {
        match text {
            "auto" => Ok(Every::Auto),
            "none" => Ok(Every::Never),
            _ => match text.parse() {
                Ok(steps) if steps > 0 => Ok(Every::Steps(steps)),
                _ => Err(ParseEveryError(text.into())),
            },
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Every::Auto => f.write_str("auto"),
            Every::Steps(steps) => write!(f, "{steps}"),
            Every::Never => f.write_str("none"),
        }
    }
}

/// With [`Every::Auto`], the time between two checkpoints over the time that one takes.
const TIMES_THE_COST: u32 = 100;
/// What a checkpoint is taken to cost before one was written.
const FIRST_COST: Duration = Duration::from_millis(20);

/// A checkpoint but for the samples of the memory and the learner's state. `R` is what the recorder adds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content<R> {
    pub plan: RunPlan,
    pub stream: StreamContent,
    pub standing: Standing,
    pub memory: Option<MemoryHead>,
    pub results: R,
}

/// Writes the checkpoints of one run.
pub struct Keeper {
    every: Every,
    interrupt: Interrupt,
    checkpoints: Checkpoints,
    plan: RunPlan,
    stream: StreamContent,
    /// Stage and step of the last one.
    last: (Stage, u64),
    written: Instant,
    cost: Duration,
}

impl Keeper {
    /// For a run of this plan that goes on at `standing`, or begins.
    pub fn new(
        (every, interrupt): (Every, Interrupt),
        folder: &RunFolder,
        (plan, stream): (RunPlan, StreamContent),
        standing: Option<&Standing>,
    ) -> Result<Keeper, RunError> {
        Ok(Keeper {
            every,
            interrupt,
            checkpoints: folder.checkpoints()?,
            plan,
            stream,
            last: standing.map_or((Stage::Start, 0), |s| (s.stage, s.place.step)),
            written: Instant::now(),
            cost: FIRST_COST,
        })
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Whether one is to be written here. There is nothing to keep at the start, and nothing new where one was
    /// written.
    pub fn is_due(&self, stage: Stage, step: u64) -> bool {
        if stage == Stage::Start || self.last == (stage, step) || self.every == Every::Never {
            return false;
        }
        self.interrupt.asked()
            || match self.every {
                Every::Steps(steps) => stage == Stage::Ended || step - self.last.1 >= steps,
                Every::Auto => self.written.elapsed() >= self.cost * TIMES_THE_COST,
                Every::Never => false,
            }
    }

    /// Writes all but the learner's state. `waiting` are snapshots that are not scored yet, by step.
    pub fn begin<'a, R: Serialize>(
        &mut self,
        point: &Point<'_>,
        world: &World,
        (results, waiting): (R, impl Iterator<Item = (u64, &'a [u8])>),
    ) -> Result<CheckpointWriter, RunError> {
        let memory = world.memory.as_ref();
        let content = Content {
            plan: self.plan.clone(),
            stream: self.stream.clone(),
            standing: point.standing(world),
            memory: memory.map(ReplayMemory::head),
            results,
        };
        let mut sections = memory.map(ReplayMemory::sections).unwrap_or_default();
        sections.extend(waiting.map(|(step, state)| (format!("{WAITING}{step}"), state)));
        self.checkpoints.begin(&content, &sections)
    }

    /// Gives the checkpoint its name and removes old ones. `cost` is what it has taken until now.
    pub fn finish(
        &mut self,
        writer: CheckpointWriter,
        (stage, step): (Stage, u64),
        begun: Instant,
    ) -> Result<u64, RunError> {
        let bytes = writer.finish()?;
        self.last = (stage, step);
        self.checkpoints.prune()?;
        self.rest(begun);
        Ok(bytes)
    }

    /// The next one is not due before a hundred times what this one took, written or not.
    pub fn rest(&mut self, begun: Instant) {
        (self.written, self.cost) = (Instant::now(), begun.elapsed());
    }

    /// A finished run needs none.
    pub fn remove(&self) -> Result<(), RunError> {
        self.checkpoints.remove()
    }
}

/// Sections that hold snapshots are called so, and by their step.
const WAITING: &str = "snapshot.";

/// Takes the snapshots that were not scored yet out of a checkpoint, by step.
pub fn waiting_from<R>(checkpoint: &mut Checkpoint<Content<R>>) -> BTreeMap<u64, Vec<u8>> {
    let sections = std::mem::take(&mut checkpoint.sections);
    let mut waiting = BTreeMap::new();
    for (name, bytes) in sections {
        match name.strip_prefix(WAITING).and_then(|step| step.parse().ok()) {
            Some(step) => drop(waiting.insert(step, bytes)),
            None => drop(checkpoint.sections.insert(name, bytes)),
        }
    }
    waiting
}

/// The memory of a checkpoint, which must be one of the size and kind that `planned` is.
pub fn memory_from<R>(
    checkpoint: &mut Checkpoint<Content<R>>,
    planned: Option<&ReplayMemory>,
) -> Result<Option<ReplayMemory>, String> {
    let sections = std::mem::take(&mut checkpoint.sections);
    let (Some(head), Some(planned)) = (&checkpoint.content.memory, planned) else {
        return match checkpoint.content.memory.is_some() == planned.is_some() {
            true => Ok(None),
            false => Err("the plan and the checkpoint differ in whether there is a memory".into()),
        };
    };
    let memory = ReplayMemory::from_sections(head, sections).map_err(|e| e.to_string())?;
    let of = |memory: &ReplayMemory| {
        let head = memory.head();
        (head.capacity_samples, head.image_len, head.columns)
    };
    match of(&memory) == of(planned) {
        true => Ok(Some(memory)),
        false => Err("the memory of the checkpoint is not of the planned size or columns".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::plan;
    use crate::stream::{StreamOptions, build};

    fn keeper(every: Every, interrupt: &Interrupt) -> Keeper {
        let out = tempfile::tempdir().unwrap();
        let plan = plan("perdura/er", 0);
        let folder = RunFolder::create(out.path(), &plan).unwrap();
        let benchmark = build("split-digits", None, &StreamOptions::default(), 0).unwrap();
        let stream = StreamContent::of(&benchmark);
        Keeper::new((every, interrupt.clone()), &folder, (plan, stream), None).unwrap()
    }

    #[test]
    fn intervals_are_read_and_written() {
        for (text, every) in
            [("auto", Every::Auto), ("none", Every::Never), ("25", Every::Steps(25))]
        {
            assert_eq!((text.parse(), every.to_string()), (Ok(every), text.into()));
        }
        for wrong in ["0", "-1", "often", ""] {
            let message = wrong.parse::<Every>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("`{wrong}` is no interval")), "{message}");
        }
    }

    #[test]
    fn snapshots_that_wait_are_sections_of_their_own() {
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(out.path(), &plan("perdura/er", 0)).unwrap();
        let mut checkpoints = folder.checkpoints().unwrap();
        let benchmark = build("split-digits", None, &StreamOptions::default(), 0).unwrap();
        let content = Content {
            plan: plan("perdura/er", 0),
            stream: StreamContent::of(&benchmark),
            standing: Standing {
                stage: Stage::Step,
                place: Default::default(),
                calls: 0,
                host_draws: 0,
                epoch: Default::default(),
                experience_steps_before: 0,
                experience_seconds: 0.0,
            },
            memory: None,
            results: (),
        };
        let sections: [(String, &[u8]); 3] = [
            ("labels".into(), b"l"),
            (format!("{WAITING}7"), b"seven"),
            (format!("{WAITING}30"), b"thirty"),
        ];
        checkpoints.begin(&content, &sections).unwrap().finish().unwrap();
        let found = checkpoints.newest::<Content<()>>(&mut |_| panic!("nothing is wrong"));
        let mut found = found.unwrap().unwrap();
        let waiting = waiting_from(&mut found);
        assert_eq!(waiting, [(7, b"seven".to_vec()), (30, b"thirty".to_vec())].into());
        assert_eq!(found.sections.keys().collect::<Vec<_>>(), ["labels"]);
    }

    #[test]
    fn by_steps_and_at_boundaries() {
        let mut keeper = keeper(Every::Steps(10), &Interrupt::never());
        assert!(!keeper.is_due(Stage::Start, 0), "there is nothing to keep");
        assert!(!keeper.is_due(Stage::Step, 9) && keeper.is_due(Stage::Step, 10));
        assert!(keeper.is_due(Stage::Ended, 3));
        keeper.last = (Stage::Ended, 15);
        assert!(!keeper.is_due(Stage::Ended, 15), "it was just written");
        assert!(!keeper.is_due(Stage::Step, 24) && keeper.is_due(Stage::Step, 25));
    }

    #[test]
    fn the_interval_follows_the_cost() {
        let mut keeper = keeper(Every::Auto, &Interrupt::never());
        assert!(!keeper.is_due(Stage::Step, 1_000_000));
        assert!(!keeper.is_due(Stage::Ended, 1_000_000), "a boundary is no exception");
        let ago = |time| Instant::now().checked_sub(Duration::from_millis(time)).unwrap();
        keeper.written = ago(2_000);
        assert!(keeper.is_due(Stage::Step, 1), "100 x 20 ms");
        keeper.rest(ago(40));
        keeper.written = ago(3_900);
        assert!(!keeper.is_due(Stage::Step, 2));
        keeper.written = ago(4_500);
        assert!(keeper.is_due(Stage::Step, 2));
    }

    #[test]
    fn always_when_the_run_is_to_end_unless_there_are_to_be_none() {
        let interrupt = Interrupt::never();
        let (auto, never) = (keeper(Every::Auto, &interrupt), keeper(Every::Never, &interrupt));
        assert!(!auto.is_due(Stage::Step, 1));
        interrupt.ask();
        assert!(auto.is_due(Stage::Step, 1) && !never.is_due(Stage::Step, 1));
        assert!(!auto.is_due(Stage::Start, 0));
    }
}
