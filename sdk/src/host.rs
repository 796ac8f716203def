//! What a learner may ask of the host while it is being called. Declared requests are the fast path; these
//! calls are for boundaries and for what cannot be known beforehand.

use perdura_abi::growth::GrowthEvent;
use perdura_abi::message::{
    CancelledReply, DrawsMsg, EventMsg, IterateMsg, IterateReply, NextMsg, NextReply, RelabelMsg,
    ReplaceMsg, Request, ValidationMsg, ValidationReply, WriteColumnMsg,
};
use perdura_abi::table::HostHandle;
use perdura_abi::{HostOp, Message, MessageBuf};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result, from_host};
use crate::rows::Rows;

/// The host, for the length of one call. Answers borrow it: one at a time.
pub struct Host<'a> {
    handle: HostHandle<'a>,
    input_shape: &'a [usize],
}

impl<'a> Host<'a> {
    pub(crate) fn new(handle: HostHandle<'a>, input_shape: &'a [usize]) -> Self {
        Host { handle, input_shape }
    }

    /// Draws now. One entry per repeat of the request.
    pub fn draw(&mut self, request: &Request) -> Result<Vec<Rows<'_>>> {
        let input_shape = self.input_shape;
        let answer = self.call(HostOp::DRAW, &MessageBuf::of_header(request))?;
        let header: DrawsMsg = parse(&answer)?;
        let tensors = answer.tensors.as_slice();
        header.draws.iter().map(|draw| Rows::read(&draw.rows, tensors, input_shape)).collect()
    }

    /// Goes over a source in batches, for some epochs.
    pub fn iterate(&mut self, plan: &IterateMsg) -> Result<Batches<'_, 'a>> {
        let answer = self.call(HostOp::ITERATE, &MessageBuf::of_header(plan))?;
        let IterateReply { handle, batches } = parse(&answer)?;
        Ok(Batches { host: self, handle, left: batches })
    }

    /// Writes a column of samples in the memory: `slots` and `uids` as drawn, `values` `[slots, width]`.
    /// A slot that no longer holds its uid is passed over.
    pub fn write_column(
        &mut self,
        column: &str,
        slots: &[u32],
        uids: &[u64],
        values: &[f32],
    ) -> Result<()> {
        let mut message = MessageBuf::new();
        let header = WriteColumnMsg {
            column: column.into(),
            slots: message.push(&[slots.len()], slots),
            uids: message.push(&[uids.len()], uids),
            values: message.push(&[values.len()], values),
        };
        message.set_header(&header);
        self.call(HostOp::WRITE_COLUMN, &message).map(drop)
    }

    /// Gives samples in the memory new groups.
    pub fn relabel(&mut self, slots: &[u32], uids: &[u64], groups: &[u32]) -> Result<()> {
        let mut message = MessageBuf::new();
        let header = RelabelMsg {
            slots: message.push(&[slots.len()], slots),
            uids: message.push(&[uids.len()], uids),
            groups: message.push(&[groups.len()], groups),
        };
        message.set_header(&header);
        self.call(HostOp::RELABEL, &message).map(drop)
    }

    /// Makes the memory hold exactly these samples, in this order. They must be in the memory or belong to
    /// the experience that is current or has just ended.
    pub fn replace(&mut self, uids: &[u64]) -> Result<()> {
        let mut message = MessageBuf::new();
        let uids = message.push(&[uids.len()], uids);
        message.set_header(&ReplaceMsg { uids });
        self.call(HostOp::REPLACE, &message).map(drop)
    }

    /// Accuracy on the held-out part of the training data: `classes` are the learner's predictions for an
    /// unshuffled iteration over [`perdura_abi::message::Source::Validation`]. `None` where nothing is
    /// held out.
    pub fn validation_score(&mut self, classes: &[u32]) -> Result<Option<f64>> {
        let mut message = MessageBuf::new();
        let classes = message.push(&[classes.len()], classes);
        message.set_header(&ValidationMsg { classes });
        let reply: ValidationReply = parse(&self.call(HostOp::VALIDATION_SCORE, &message)?)?;
        Ok(reply.accuracy)
    }

    /// Something worth a line in the report (a network opened, merged, why). It is kept with the number of
    /// steps done before it, and counts even if this call fails later.
    pub fn report_event(&mut self, kind: &str, data: serde_json::Value) -> Result<()> {
        self.send_event(&EventMsg { kind: kind.into(), data })
    }

    /// An event of growth, which the host understands.
    pub fn report_growth(&mut self, event: &GrowthEvent) -> Result<()> {
        self.send_event(&event.to_event())
    }

    fn send_event(&mut self, event: &EventMsg) -> Result<()> {
        self.call(HostOp::REPORT_EVENT, &MessageBuf::of_header(event)).map(drop)
    }

    /// True when the run is to end: return soon, the result of this call will not be used.
    pub fn cancelled(&mut self) -> Result<bool> {
        let reply: CancelledReply = parse(&self.call(HostOp::CANCELLED, &MessageBuf::new())?)?;
        Ok(reply.cancelled)
    }

    pub(crate) fn write_state(&mut self, piece: &[u8]) -> Result<()> {
        let mut message = MessageBuf::new();
        message.push(&[piece.len()], piece);
        self.call(HostOp::WRITE_STATE, &message).map(drop)
    }

    /// The next piece of the state; `None` at the end.
    pub(crate) fn read_state(&mut self) -> Result<Option<Vec<u8>>> {
        let answer = self.call(HostOp::READ_STATE, &MessageBuf::new())?;
        let piece = answer.tensors.first().map(|t| t.data.to_vec()).unwrap_or_default();
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn call(&mut self, op: HostOp, message: &MessageBuf) -> Result<Message<'_>> {
        let views = message.views();
        let message = Message { header: message.header().into(), tensors: views.as_slice().into() };
        self.handle.call(op, message).map_err(from_host)
    }
}

/// Batches of an iteration. Not an `Iterator`: each batch borrows the host until the next is asked for.
pub struct Batches<'h, 'a> {
    host: &'h mut Host<'a>,
    handle: u32,
    left: u64,
}

impl Batches<'_, '_> {
    /// Batches still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next batch; `None` at the end.
    #[allow(clippy::should_implement_trait)] // lends from `self`, which `Iterator` cannot say
    pub fn next(&mut self) -> Result<Option<Rows<'_>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let input_shape = self.host.input_shape;
        let message = MessageBuf::of_header(&NextMsg { handle: self.handle });
        let answer = self.host.call(HostOp::NEXT, &message)?;
        let header: NextReply = parse(&answer)?;
        let tensors = answer.tensors.as_slice();
        header.rows.map(|rows| Rows::read(&rows, tensors, input_shape)).transpose()
    }
}

/// Reads the header of a message.
pub(crate) fn parse<T: DeserializeOwned>(message: &Message<'_>) -> Result<T> {
    serde_json::from_slice(message.header.as_slice())
        .map_err(|e| Error::message(format!("message header: {e}")))
}

/// Writes a header alone.
pub(crate) fn reply_of<T: Serialize>(header: &T) -> MessageBuf {
    MessageBuf::of_header(header)
}
