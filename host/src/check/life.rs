//! The life of a learner: every method is called as the host calls it, what steps report and views answer
//! makes sense, and calls that come in another order or make no sense do no harm.

use perdura_abi::MessageBuf;
use perdura_abi::table::Op;
use serde_json::json;

use super::finding::{Finding, Kind, require};
use super::session::{Move, Session};
use super::trial::Trial;
use super::{Check, Level};
use crate::worker::FaultKind;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "every-call",
        about: "every method of the learner comes back, without panic, error or exit",
        level: Level::Basic,
        needs: &["create"],
        remedy: "calls.jsonl ends with the call; run it in a unit test with `perdura_sdk::testing`",
        run: every_call,
    },
    Check {
        name: "reports",
        about: "steps report what was declared, in finite numbers",
        level: Level::Basic,
        needs: &["every-call"],
        remedy: "declare every scalar and column; look for a division by zero or too large steps",
        run: reports,
    },
    Check {
        name: "logits",
        about: "every view answers with one row of finite logits per sample",
        level: Level::Basic,
        needs: &["every-call"],
        remedy: "write [len, classes] numbers in `predict`, and look for a division by zero",
        run: logits,
    },
    Check {
        name: "views",
        about: "the views that the manifest lists are those that the learner declares",
        level: Level::Basic,
        needs: &["every-call"],
        remedy: "let the views of `declare` depend on hyper-parameters alone",
        run: views,
    },
    Check {
        name: "call-order",
        about: "calls in another order than the usual are answered, or refused with an error",
        level: Level::Strict,
        needs: &["every-call"],
        remedy: "return an error where a call comes too early, do not index or unwrap",
        run: call_order,
    },
    Check {
        name: "bad-messages",
        about: "messages that make no sense are refused, and the learner works on",
        level: Level::Strict,
        needs: &["reports"],
        remedy: "check the header and the tensors of a message before using them",
        run: bad_messages,
    },
];

fn every_call(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.ignores_reports = true;
    for one in session.moves() {
        session.make(&one)?;
        if matches!(one, Move::End(_) | Move::Finish) {
            ask_every_view(&mut session)?;
            session.claimed()?;
            let state = session.save()?;
            session.move_to_new_worker(trial, &state)?;
            ask_every_view(&mut session)?;
        }
    }
    Ok(())
}

/// What the views answer is not looked at.
fn ask_every_view(session: &mut Session) -> Result<(), Finding> {
    let (inputs, experiences) = session.questions();
    for view in session.views() {
        session.ask(&view, &inputs, &experiences, super::questions::Told::Needs)?;
    }
    Ok(())
}

fn reports(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let steps = trial.open()?.train()?;
    trial.measure("steps", steps.len() as f64);
    Ok(())
}

fn logits(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    session.ignores_reports = true;
    session.train()?;
    for (name, answer) in session.answers()? {
        let view = session.views().into_iter().find(|view| view.name == name);
        let may_be_closed = view.is_some_and(|view| view.until_opened);
        require(answer.is_some() || may_be_closed, || {
            format!("view `{name}` is not open, though it was not declared `until_opened`")
        })?;
    }
    Ok(())
}

fn views(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let session = trial.open()?;
    let declared: Vec<_> = session.views().into_iter().map(|v| (v.name, v.needs)).collect();
    let described = trial.subject.description()?.views.iter();
    let listed: Vec<_> = described.map(|v| (v.name.clone(), v.needs)).collect();
    // Hyper-parameters may add views to those of the defaults, which the manifest lists.
    match trial.subject.by_default {
        false => Err(Finding::skipped("the manifest lists the views of the defaults")),
        true => require(listed == declared, || {
            format!("the manifest lists {listed:?}, but the learner declares {declared:?}")
        }),
    }
}

/// What comes before the first step, in orders that the host would not choose.
fn call_order(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let moves = trial.open()?.moves();
    let step = moves.iter().find(|m| matches!(m, Move::Step { .. })).expect("a stream has steps");
    let (begin, end, finish) = (Move::Begin(0), Move::End(0), Move::Finish);
    let orders: [(&str, Vec<&Move>); 7] = [
        ("a step before any experience", vec![step, &begin, step]),
        ("an end before any experience", vec![&end, &begin, step]),
        ("the end of the stream before its begin", vec![&finish, &begin, step]),
        ("an experience that begins twice", vec![&begin, &begin, step]),
        ("an experience that ends twice", vec![&begin, step, &end, &end]),
        ("an experience without a step", vec![&begin, &end, &finish]),
        ("steps after the end of the stream", vec![&begin, step, &end, &finish, step, &finish]),
    ];
    for (what, order) in orders {
        let mut session = trial.open()?;
        session.ignores_reports = true;
        for one in order {
            session.make(one).map(drop).or_else(tolerate).map_err(|f| f.after(what))?;
        }
        look_around(&mut session).map_err(|f| f.after(what))?;
    }
    look_around(&mut trial.open()?).map_err(|f| f.after("a learner that has seen nothing"))
}

/// Everything that does not train.
fn look_around(session: &mut Session) -> Result<(), Finding> {
    ask_every_view(session).or_else(tolerate)?;
    session.claimed().map(drop).or_else(tolerate)?;
    let saved = session.save();
    if let Ok(state) = &saved {
        session.load(state).map_err(Finding::from).or_else(tolerate)?;
    }
    saved.map(drop).or_else(tolerate)
}

/// An error is an answer; a panic, an exit or silence is none.
pub(super) fn tolerate(finding: Finding) -> Result<(), Finding> {
    if finding.kind == Kind::Fail { Ok(()) } else { Err(finding) }
}

fn bad_messages(trial: &mut Trial<'_>) -> Result<(), Finding> {
    let mut session = trial.open()?;
    let view = session.views()[0].name.clone();
    let header = |text: &str| {
        let mut message = MessageBuf::new();
        message.set_header_bytes(text.as_bytes());
        message
    };
    let predict = |tensor: u32| json!({"seed": 1, "view": view, "inputs": tensor}).to_string();
    let mut too_narrow = header(&predict(0));
    too_narrow.push(&[2, 3], &[0.0f32; 6]);
    let mut no_numbers = header(&predict(0));
    no_numbers.push(&[1, 64], &[0u8; 64]);
    let step = json!({"seed": 1, "step": 0, "current": {"count": 4, "views": [9]}}).to_string();
    let cases = [
        ("an operation that does not exist", Op(4242), header("{}")),
        ("a step whose header is no JSON", Op::OBSERVE, header("{\"seed\":")),
        ("a step without anything", Op::OBSERVE, header("{}")),
        ("a step that names a tensor it has not", Op::OBSERVE, header(&step)),
        ("an experience that is a number", Op::BEGIN_EXPERIENCE, header("7")),
        ("inputs that are not there", Op::PREDICT, header(&predict(9))),
        ("inputs of another width", Op::PREDICT, too_narrow),
        ("inputs that are bytes", Op::PREDICT, no_numbers),
    ];
    for (what, op, message) in cases {
        match session.send(op, &message) {
            Err(fault) if matches!(fault.kind, FaultKind::Error { .. }) => {}
            Err(fault) => return Err(Finding::from(fault).after(what)),
            Ok(()) => return Err(Finding::fail(format!("{what}: it was accepted"))),
        }
    }
    session.train().map_err(|f| f.after("the usual stream after messages without sense")).map(drop)
}
