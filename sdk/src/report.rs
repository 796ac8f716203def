//! What a learner says after a step.

use perdura_abi::MessageBuf;
use perdura_abi::growth::GrowthEvent;
use perdura_abi::message::{
    EventMsg, PLACE_HOST, PLACE_SKIP, ReportColumnMsg, ReportMsg, WriteColumnMsg,
};
use std::collections::BTreeMap;
use std::time::Instant;

/// Where a sample of the current batch goes in the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// As the host's policy decides.
    Host,
    /// Not offered.
    Skip,
    /// Into this slot.
    Slot(u32),
}

/// The answer to a step. All parts are optional.
#[derive(Clone, Debug, Default)]
pub struct StepReport {
    scalars: BTreeMap<String, f64>,
    columns: Vec<(String, Vec<f32>)>,
    writes: Vec<Write>,
    placements: Option<Vec<Placement>>,
    group: Option<u32>,
    events: Vec<EventMsg>,
    spent: BTreeMap<String, f64>,
}

#[derive(Clone, Debug)]
struct Write {
    column: String,
    slots: Vec<u32>,
    uids: Vec<u64>,
    values: Vec<f32>,
}

/// A clock for the parts of a step: each lap is the time since the one before.
///
/// ```
/// # use perdura_sdk::{Laps, StepReport};
/// let mut laps = Laps::start();
/// // ... the forward pass
/// laps.lap("forward");
/// // ... gradients and the update
/// laps.lap("backward");
/// let report = StepReport::new().spent(laps);
/// ```
#[derive(Clone, Debug)]
pub struct Laps {
    since: Instant,
    seconds: BTreeMap<String, f64>,
}

impl Laps {
    pub fn start() -> Self {
        Laps { since: Instant::now(), seconds: BTreeMap::new() }
    }

    /// The time since the last lap belongs to this part. A part that comes twice is added up.
    pub fn lap(&mut self, part: &str) {
        let now = Instant::now();
        *self.seconds.entry(part.into()).or_default() += (now - self.since).as_secs_f64();
        self.since = now;
    }
}

impl StepReport {
    pub fn new() -> Self {
        Self::default()
    }

    /// A number for the log; its name must have been declared.
    pub fn scalar(mut self, name: &str, value: f64) -> Self {
        self.scalars.insert(name.into(), value);
        self
    }

    /// How long parts of the step took by the learner's own clock, for the time ledger, which shows each as
    /// `learner.<name>`: names of 1 to 32 letters from a to z and underscores, 16 at most.
    pub fn spent(mut self, laps: Laps) -> Self {
        self.spent.extend(laps.seconds);
        self
    }

    /// A column of the current samples, `[batch, width]`: stored with those that enter the memory.
    pub fn column(mut self, name: &str, values: Vec<f32>) -> Self {
        self.columns.push((name.into(), values));
        self
    }

    /// A column of samples that are already in the memory, `[slots, width]`. A slot that has been
    /// overwritten since (its uid differs) is passed over.
    pub fn write(mut self, column: &str, slots: &[u32], uids: &[u64], values: Vec<f32>) -> Self {
        let (slots, uids) = (slots.to_vec(), uids.to_vec());
        self.writes.push(Write { column: column.into(), slots, uids, values });
        self
    }

    /// One placement for each sample of the current batch.
    pub fn place(mut self, placements: Vec<Placement>) -> Self {
        self.placements = Some(placements);
        self
    }

    /// The group of those samples of the current batch that are in the memory after the step. It comes
    /// back with draws, and [`perdura_abi::message::Filter::Group`] draws by it; 0 where nothing is said.
    pub fn group(self, group: u32) -> Self {
        StepReport { group: Some(group), ..self }
    }

    /// Something worth a line in the report (a network opened, merged, why).
    /// [`crate::Host::report_event`] says it outside of steps.
    pub fn event(mut self, kind: &str, data: serde_json::Value) -> Self {
        self.events.push(EventMsg { kind: kind.into(), data });
        self
    }

    /// An event of growth, which the host understands.
    pub fn growth(mut self, event: &GrowthEvent) -> Self {
        self.events.push(event.to_event());
        self
    }

    /// The value of a scalar, if it was reported.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scalars.get(name).copied()
    }

    pub(crate) fn into_message(self) -> MessageBuf {
        let mut message = MessageBuf::new();
        let matrix =
            |message: &mut MessageBuf, values: &[f32]| message.push(&[values.len()], values);
        let StepReport { scalars, events, group, spent, .. } = self;
        let mut header = ReportMsg { scalars, events, group, spent, ..Default::default() };
        for (name, values) in self.columns {
            let values = matrix(&mut message, &values);
            header.columns.push(ReportColumnMsg { name, values });
        }
        for write in self.writes {
            header.writes.push(WriteColumnMsg {
                column: write.column,
                slots: message.push(&[write.slots.len()], &write.slots),
                uids: message.push(&[write.uids.len()], &write.uids),
                values: matrix(&mut message, &write.values),
            });
        }
        if let Some(placements) = self.placements {
            let codes: Vec<i64> = placements.into_iter().map(code).collect();
            header.placements = Some(message.push(&[codes.len()], &codes));
        }
        message.set_header(&header);
        message
    }
}

fn code(placement: Placement) -> i64 {
    match placement {
        Placement::Host => PLACE_HOST,
        Placement::Skip => PLACE_SKIP,
        Placement::Slot(slot) => i64::from(slot),
    }
}
