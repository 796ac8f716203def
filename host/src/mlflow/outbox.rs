//! What a server has not been told yet of a run, in pieces of the size it takes. A piece is taken out
//! to be told and put back when it could not be.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Instant;

use super::RunStatus;

/// Values that wait for a server at most, of one run: older ones are left out then.
pub const METRICS_MAX: usize = 20_000;
/// Limits of one request, by MLflow's documentation of `runs/log-batch`: 100 parameters, and 1,000
/// entities together.
const PARAMS_PER_PIECE: usize = 100;
const METRICS_PER_PIECE: usize = 900;

/// A value at a time, as MLflow has it.
#[derive(serde::Serialize, Clone, Debug, PartialEq)]
pub struct Metric {
    pub key: String,
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    pub step: u64,
}

/// Names and values.
pub type Pairs = Vec<(String, String)>;

/// What a run is created with.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    pub experiment: String,
    pub name: String,
    pub begun_ms: u64,
    pub tags: Pairs,
}

/// How a run has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub status: RunStatus,
    pub at_ms: u64,
    pub tags: Pairs,
}

/// One request, or two.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Creates the run, or has the one of this id go on.
    Open {
        opening: Opening,
        known: Option<String>,
    },
    Batch {
        params: Pairs,
        metrics: Vec<Metric>,
    },
    End(End),
}

/// What waits, of one run.
pub struct Outbox {
    pub folder: PathBuf,
    opening: Opening,
    /// The run of an earlier process, as the folder names it.
    known: Option<String>,
    /// Once the server has said it.
    pub run_id: Option<String>,
    params: Pairs,
    metrics: VecDeque<Metric>,
    pub end: Option<End>,
    /// Values that did not fit.
    pub dropped: u64,
    /// Everything was told, or cannot be.
    over: bool,
}

impl Outbox {
    pub fn new(folder: PathBuf, opening: Opening, params: Pairs, known: Option<String>) -> Outbox {
        Outbox {
            folder,
            opening,
            known,
            run_id: None,
            params,
            metrics: VecDeque::new(),
            end: None,
            dropped: 0,
            over: false,
        }
    }

    pub fn push(&mut self, metrics: impl IntoIterator<Item = Metric>) {
        self.metrics.extend(metrics);
        self.limit();
    }

    fn limit(&mut self) {
        let more = self.metrics.len().saturating_sub(METRICS_MAX);
        self.metrics.drain(..more);
        self.dropped += more as u64;
    }

    /// Takes out what is to be told next.
    pub fn take(&mut self) -> Option<Piece> {
        if self.over {
            return None;
        }
        if self.run_id.is_none() {
            return Some(Piece::Open { opening: self.opening.clone(), known: self.known.clone() });
        }
        if !self.params.is_empty() || !self.metrics.is_empty() {
            let params = self.params.drain(..self.params.len().min(PARAMS_PER_PIECE)).collect();
            let metrics = self.metrics.drain(..self.metrics.len().min(METRICS_PER_PIECE)).collect();
            return Some(Piece::Batch { params, metrics });
        }
        self.end.clone().map(Piece::End)
    }

    /// A piece could not be told now.
    pub fn put_back(&mut self, piece: Piece) {
        if let Piece::Batch { mut params, metrics } = piece {
            params.append(&mut self.params);
            self.params = params;
            metrics.into_iter().rev().for_each(|metric| self.metrics.push_front(metric));
            self.limit();
        }
    }

    /// A piece was told.
    pub fn told(&mut self, piece: &Piece) {
        self.over |= matches!(piece, Piece::End(_));
    }

    /// The server does not want a piece: without the run nothing else can be told.
    pub fn refused(&mut self, piece: &Piece) {
        self.over |= matches!(piece, Piece::Open { .. } | Piece::End(_));
    }

    /// Whether anything waits.
    pub fn waits(&self) -> bool {
        let batch = !self.params.is_empty() || !self.metrics.is_empty();
        !self.over && (self.run_id.is_none() || batch || self.end.is_some())
    }
}

/// All runs.
#[derive(Default)]
pub struct State {
    pub runs: BTreeMap<usize, Outbox>,
    /// What people should know.
    pub notes: Vec<String>,
    /// Nothing more comes; at this time it is over.
    pub closing: Option<Instant>,
    /// The thread that tells has ended.
    pub ended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(params: usize) -> Outbox {
        let text = |n: usize| (n.to_string(), "v".to_owned());
        let opening =
            Opening { experiment: "e".into(), name: "n".into(), begun_ms: 1, tags: Vec::new() };
        Outbox::new(PathBuf::new(), opening, (0..params).map(text).collect(), None)
    }

    fn metric(step: u64) -> Metric {
        Metric { key: "loss".into(), value: 0.5, timestamp: 1, step }
    }

    fn steps(piece: &Piece) -> (usize, Vec<u64>) {
        let Piece::Batch { params, metrics } = piece else { panic!("{piece:?}") };
        (params.len(), metrics.iter().map(|metric| metric.step).collect())
    }

    #[test]
    fn pieces_come_in_order_and_within_the_limits() {
        let mut outbox = outbox(130);
        outbox.push((0..1000).map(metric));
        let open = outbox.take().unwrap();
        assert!(matches!(&open, Piece::Open { known: None, .. }), "{open:?}");
        outbox.told(&open);
        outbox.run_id = Some("r".into());
        let (first, second) = (outbox.take().unwrap(), outbox.take().unwrap());
        assert_eq!(steps(&first), (100, (0..900).collect()));
        assert_eq!(steps(&second), (30, (900..1000).collect()));
        assert_eq!(outbox.take(), None, "the run goes on");
        outbox.put_back(second);
        outbox.put_back(first.clone());
        assert_eq!(outbox.take(), Some(first), "what could not be told comes first");
        let end = End { status: RunStatus::Finished, at_ms: 2, tags: Vec::new() };
        outbox.end = Some(end.clone());
        assert_eq!(steps(&outbox.take().unwrap()).0, 30, "the end comes last");
        let last = outbox.take().unwrap();
        assert_eq!(last, Piece::End(end));
        assert!(outbox.waits());
        outbox.told(&last);
        assert!(!outbox.waits() && outbox.take().is_none());
    }

    #[test]
    fn what_waits_has_a_limit_and_the_newest_are_kept() {
        let mut outbox = outbox(0);
        outbox.run_id = Some("r".into());
        outbox.push((0..METRICS_MAX as u64).map(metric));
        let piece = outbox.take().unwrap();
        outbox.push((0..901).map(|n| metric(METRICS_MAX as u64 + n)));
        assert_eq!(outbox.dropped, 1, "900 are on their way");
        outbox.put_back(piece);
        assert_eq!(outbox.dropped, 901);
        assert_eq!(steps(&outbox.take().unwrap()).1[0], 901);
    }

    #[test]
    fn a_run_that_the_server_does_not_want_is_over_and_a_batch_is_not() {
        let mut outbox = outbox(1);
        outbox.run_id = Some("r".into());
        let batch = outbox.take().unwrap();
        outbox.refused(&batch);
        outbox.push([metric(1)]);
        assert!(outbox.waits());
        let mut other = self::outbox(1);
        let open = other.take().unwrap();
        other.refused(&open);
        assert!(!other.waits());
    }
}
