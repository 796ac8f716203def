//! Samples as a learner sees them: borrowed slices, checked once when a message arrives.

use perdura_abi::message::{ColumnRowsMsg, Position, RowsMsg, StepMsg, TensorId};
use perdura_abi::{Element, TensorView};

use crate::error::{Error, Result, from_tensor};
use crate::random::Call;

/// Some samples, `len()` of them. Slices of all parts have one row per sample, in the same order.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    count: usize,
    input_shape: &'a [usize],
    views: Vec<&'a [f32]>,
    raw: Option<&'a [u8]>,
    labels: &'a [u32],
    uids: &'a [u64],
    experiences: Option<&'a [u32]>,
    slots: Option<&'a [u32]>,
    groups: Option<&'a [u32]>,
    columns: Vec<(String, ColumnRows<'a>)>,
}

/// One column of some samples.
#[derive(Clone, Copy, Debug)]
pub struct ColumnRows<'a> {
    /// Row-major `[rows, width]`; zero where absent.
    pub values: &'a [f32],
    /// 1 where a value was written, 0 where the sample has none yet.
    pub present: &'a [u8],
    /// Numbers per sample, at least 1.
    pub width: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn read(
        header: &RowsMsg,
        tensors: &'a [TensorView<'a>],
        input_shape: &'a [usize],
    ) -> Result<Self> {
        let count = header.count;
        let width = count * input_shape.iter().product::<usize>();
        let views = header.views.iter().map(|&id| part(tensors, id, width, "inputs"));
        let column = |c: &ColumnRowsMsg| Ok((c.name.clone(), read_column(c, tensors, count)?));
        // No samples are samples of any kind: who reads slots need not ask first whether there are any.
        let none: Option<&[u32]> = (count == 0).then_some(&[]);
        Ok(Rows {
            count,
            input_shape,
            views: views.collect::<Result<_>>()?,
            raw: maybe(tensors, header.raw, width, "raw")?,
            labels: maybe(tensors, header.labels, count, "labels")?.unwrap_or(&[]),
            uids: maybe(tensors, header.uids, count, "uids")?.unwrap_or(&[]),
            experiences: maybe(tensors, header.experiences, count, "experiences")?,
            slots: maybe(tensors, header.slots, count, "slots")?.or(none),
            groups: maybe(tensors, header.groups, count, "groups")?.or(none),
            columns: header.columns.iter().map(column).collect::<Result<_>>()?,
        })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Shape of one input: `[width]` or `[channels, height, width]`.
    pub fn input_shape(&self) -> &'a [usize] {
        self.input_shape
    }

    /// The first view of the inputs: row-major `[len(), ..input_shape()]`; empty when there are no samples.
    pub fn inputs(&self) -> &'a [f32] {
        self.views.first().copied().unwrap_or(&[])
    }

    /// View `index` of the inputs. Panics when fewer views were requested.
    pub fn view(&self, index: usize) -> &'a [f32] {
        if self.count == 0 { &[] } else { self.views[index] }
    }

    /// Raw inputs, where they were asked for: same shape, 0..=255.
    pub fn raw(&self) -> Option<&'a [u8]> {
        self.raw
    }

    /// Labels; empty where they are withheld.
    pub fn labels(&self) -> &'a [u32] {
        self.labels
    }

    /// Identity of each sample in its training set.
    pub fn uids(&self) -> &'a [u64] {
        self.uids
    }

    /// Experience each sample came with, where that is granted.
    pub fn experiences(&self) -> Option<&'a [u32]> {
        self.experiences
    }

    /// Place in the memory; `None` for samples that are not from there.
    pub fn slots(&self) -> Option<&'a [u32]> {
        self.slots
    }

    /// Group each sample of the memory belongs to.
    pub fn groups(&self) -> Option<&'a [u32]> {
        self.groups
    }

    /// A column that the request named. Samples that are not from the memory have none of it yet, and
    /// without samples every column is empty.
    pub fn column(&self, name: &str) -> Result<ColumnRows<'a>> {
        let found = self.columns.iter().find(|(n, _)| n == name).map(|(_, rows)| *rows);
        let none = ColumnRows { values: &[], present: &[], width: 1 };
        found
            .or((self.count == 0).then_some(none))
            .ok_or_else(|| Error::new(format!("column `{name}` was not requested with these rows")))
    }
}

fn read_column<'a>(
    header: &ColumnRowsMsg,
    tensors: &'a [TensorView<'a>],
    count: usize,
) -> Result<ColumnRows<'a>> {
    let values: &[f32] = elements(tensors, header.values, &header.name)?;
    let width = match tensors[header.values.0 as usize].shape.as_slice() {
        [_, width] => *width as usize,
        _ => values.len().checked_div(count).unwrap_or(0),
    };
    let present = part(tensors, header.present, count, &header.name)?;
    if width * count != values.len() {
        let found = values.len();
        return Err(Error::message(format!("column `{}`: {found} values", header.name)));
    }
    Ok(ColumnRows { values, present, width: width.max(1) })
}

/// The elements of a tensor of a message.
pub(crate) fn elements<'a, T: Element>(
    tensors: &'a [TensorView<'a>],
    id: TensorId,
    what: &str,
) -> Result<&'a [T]> {
    let tensor = tensors.get(id.0 as usize).ok_or_else(|| {
        Error::message(format!("{what}: tensor {} of {} is missing", id.0, tensors.len()))
    })?;
    tensor.elements().map_err(|e| from_tensor(e).context(what))
}

fn part<'a, T: Element>(
    tensors: &'a [TensorView<'a>],
    id: TensorId,
    expected: usize,
    what: &str,
) -> Result<&'a [T]> {
    let values = elements(tensors, id, what)?;
    if values.len() != expected {
        let found = values.len();
        return Err(Error::message(format!("{what}: expected {expected} values, found {found}")));
    }
    Ok(values)
}

fn maybe<'a, T: Element>(
    tensors: &'a [TensorView<'a>],
    id: Option<TensorId>,
    expected: usize,
    what: &str,
) -> Result<Option<&'a [T]>> {
    id.map(|id| part(tensors, id, expected, what)).transpose()
}

/// One training step: the current batch and a draw for every request (and repeat).
#[derive(Debug)]
pub struct Step<'a> {
    /// Steps before this one, over the whole stream.
    pub index: u64,
    /// Place in the stream, where boundaries are granted.
    pub position: Option<Position>,
    pub current: Rows<'a>,
    pub call: Call,
    draws: Vec<(&'a str, Rows<'a>)>,
}

impl<'a> Step<'a> {
    pub(crate) fn read(
        header: &StepMsg,
        tensors: &'a [TensorView<'a>],
        input_shape: &'a [usize],
        requests: &'a [String],
        call: Call,
    ) -> Result<Self> {
        let mut draws = Vec::with_capacity(header.draws.len());
        for draw in &header.draws {
            let name = requests.get(draw.request as usize).ok_or_else(|| {
                Error::message(format!("a draw names request {}, which is unknown", draw.request))
            })?;
            draws.push((name.as_str(), Rows::read(&draw.rows, tensors, input_shape)?));
        }
        let current = Rows::read(&header.current, tensors, input_shape)?;
        Ok(Step { index: header.step, position: header.position, current, call, draws })
    }

    /// The draw of a request; with repeats, the first. It may hold no samples: a learner must cope.
    pub fn draw(&self, request: &str) -> Result<&Rows<'a>> {
        let found = self.draws.iter().find(|(name, _)| *name == request);
        found.map(|(_, rows)| rows).ok_or_else(|| {
            Error::new(format!("no draw named `{request}`: was the request declared?"))
        })
    }

    /// All draws of a request, in order.
    pub fn repeats<'s>(&'s self, request: &'s str) -> impl Iterator<Item = &'s Rows<'a>> {
        self.draws.iter().filter(move |(name, _)| *name == request).map(|(_, rows)| rows)
    }
}
