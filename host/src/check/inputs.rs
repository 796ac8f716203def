//! Data that a stream brings sooner or later: draws without samples, batches of one, experiences of one
//! class, classes never seen, and numbers that are no images.

use perdura_abi::MessageBuf;
use perdura_abi::table::Op;

use super::finding::Finding;
use super::life::tolerate;
use super::questions::Told;
use super::session::{Move, Session};
use super::trial::Trial;
use super::{Check, Level};
use crate::trainer::Item;
use crate::worker::FaultKind;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "empty-draws",
        about: "steps whose draws hold no samples are taken like others",
        level: Level::Standard,
        needs: &["reports", "logits"],
        remedy: "leave a loss on replayed samples out where `rows.is_empty()`",
        run: empty_draws,
    },
    Check {
        name: "unseen-classes",
        about: "samples of classes that were never trained are answered with finite logits",
        level: Level::Standard,
        needs: &["reports", "logits"],
        remedy: "give classes without samples a finite logit, however low",
        run: unseen_classes,
    },
    Check {
        name: "batch-of-one",
        about: "batches of one sample are learned, or refused with an error, and answered",
        level: Level::Standard,
        needs: &["reports", "unseen-classes"],
        remedy: "look for a deviation over one sample, and for a last batch that was never smaller",
        run: batch_of_one,
    },
    Check {
        name: "single-class",
        about: "an experience whose samples are all of one class is learned",
        level: Level::Standard,
        needs: &["reports", "unseen-classes"],
        remedy: "look for a division by the number of other classes, or by no deviation",
        run: single_class,
    },
    Check {
        name: "odd-inputs",
        about: "NaN, infinite, huge and constant inputs are learned or refused with an error",
        level: Level::Strict,
        needs: &["reports", "logits"],
        remedy: "do not unwrap a comparison of floats; return an error where inputs are not finite",
        run: odd_inputs,
    },
];

fn empty_draws(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    if session.desk.world.declaration.requests.is_empty() {
        return Err(Finding::skipped("it requests no draws"));
    }
    for one in session.moves() {
        session.empty_memory()?;
        session.make(&one)?;
    }
    session.answers().map(drop)
}

/// Steps of a check that goes through few samples.
const STEPS: usize = 16;

fn batch_of_one(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.make(&Move::Begin(0))?;
    let items: Vec<Item> = items_of(&session, 0).into_iter().take(STEPS).collect();
    let mut refused = None;
    for item in items {
        let message = session.step_message(&[item]);
        match session.send(Op::OBSERVE, &message) {
            Ok(()) => drop(session.apply()?),
            Err(fault) if fault.learner_lives() && fault.kind != FaultKind::Panic => {
                refused = Some(Finding::warning(fault.to_string()));
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    session.make(&Move::End(0))?;
    let (inputs, experiences) = session.questions();
    let width = inputs.len() / experiences.len();
    for view in session.views() {
        session.logits(&view, &inputs[..width], &experiences[..1], Told::Needs)?;
    }
    // A method that cannot learn from one sample may say so; streams then have to leave it out.
    refused.map_or(Ok(()), Err)
}

fn single_class(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    let batch = session.benchmark.batch as usize;
    for experience in 0..session.desk.world.benchmark.experiences.len() as u32 {
        session.make(&Move::Begin(experience))?;
        let mut items = items_of(&session, experience);
        let class = session.desk.world.label(items[0]);
        items.retain(|item| session.desk.world.label(*item) == class);
        for batch in items.chunks_exact(batch) {
            session.step(batch)?;
        }
        session.make(&Move::End(experience))?;
    }
    session.answers().map(drop)
}

/// Training samples of an experience in file order.
fn items_of(session: &Session, experience: u32) -> Vec<Item> {
    let train = &session.desk.world.benchmark.experiences[experience as usize].train;
    train.iter().map(|&index| Item::Train { experience, index }).collect()
}

fn unseen_classes(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.answers().map_err(|f| f.after("before the first step"))?;
    let moves = session.moves();
    let first = moves.iter().take_while(|m| !matches!(m, Move::End(0))).count();
    session.follow(&moves[..=first])?;
    session.answers().map_err(|f| f.after("after the first experience")).map(drop)
}

/// What inputs are replaced by, and whether what comes of it must be finite.
const ODD: [(&str, f32, bool); 6] = [
    ("inputs of zeros", 0.0, true),
    ("inputs of ones", 1.0, true),
    ("inputs of 1e30", 1e30, false),
    ("inputs of -1e30", -1e30, false),
    ("infinite inputs", f32::INFINITY, false),
    ("inputs of NaN", f32::NAN, false),
];

fn odd_inputs(trial: &mut Trial<'_>) -> Result<(), Finding> {
    for (what, value, sound) in ODD {
        let mut session = trial.open()?;
        let outcome = odd(&mut session, value);
        let outcome = if sound { outcome } else { outcome.or_else(tolerate) };
        outcome.map_err(|f| f.after(what))?;
        if !sound {
            // Where an error ended it, the rest still has to come back.
            ask(&mut session, value).or_else(tolerate).map_err(|f| f.after(what))?;
            session.save().map(drop).or_else(tolerate).map_err(|f| f.after(what))?;
        }
    }
    Ok(())
}

/// The stream with every second step on inputs of this value, then answers for such inputs.
fn odd(session: &mut Session, value: f32) -> Result<(), Finding> {
    for one in session.moves() {
        match &one {
            Move::Step { number, items, .. } if number % 2 == 1 => {
                let message = session.step_message(items);
                session.send(Op::OBSERVE, &of_one_value(&message, value))?;
                session.apply()?;
            }
            _ => drop(session.make(&one)?),
        }
    }
    ask(session, value)
}

fn ask(session: &mut Session, value: f32) -> Result<(), Finding> {
    let (inputs, experiences) = session.questions();
    let inputs = vec![value; inputs.len()];
    for view in session.views() {
        session.logits(&view, &inputs, &experiences, Told::Needs)?;
    }
    Ok(())
}

/// The message with this value in all its inputs, drawn ones included; columns stay.
fn of_one_value(message: &MessageBuf, value: f32) -> MessageBuf {
    let mut changed = MessageBuf::new();
    changed.set_header_bytes(message.header());
    for view in message.views() {
        // Of what a step holds, inputs alone have channels, height and width.
        match view.elements::<f32>() {
            Ok(inputs) if view.shape.len() == 4 => {
                let shape: Vec<usize> = view.shape.iter().map(|&d| d as usize).collect();
                changed.push(&shape, &vec![value; inputs.len()]);
            }
            _ => {
                changed.push_bytes(view.dtype, view.shape.to_vec(), view.data.as_slice());
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_change_and_nothing_else() {
        let mut message = MessageBuf::new();
        message.set_header_bytes(b"{\"step\":1}");
        message.push(&[1, 1, 1, 2], &[1.0f32, 2.0]);
        message.push(&[1, 2], &[3.0f32, 4.0]);
        message.push(&[1], &[7u32]);
        let changed = of_one_value(&message, f32::INFINITY);
        assert_eq!(changed.header(), message.header());
        let views = changed.views();
        assert_eq!(views[0].elements::<f32>().unwrap(), [f32::INFINITY; 2]);
        assert_eq!(views[1].elements::<f32>().unwrap(), [3.0, 4.0]);
        assert_eq!(views[2].elements::<u32>().unwrap(), [7]);
    }
}
