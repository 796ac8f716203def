//! What people see while runs go on: bars on a terminal, plain lines otherwise. Always on standard error;
//! standard output is for results.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;

use crate::run::{EventKind, Outcome};
use crate::schedule::Watcher;
use crate::trainer::{Ended, Line};

/// Bars where a person looks, lines where a file listens.
pub fn watcher(jobs: usize) -> Box<dyn Watcher> {
    match std::io::stderr().is_terminal() {
        true => Box::new(Bars::new(jobs)),
        false => Box::new(Lines { names: vec![String::new(); jobs], done: 0 }),
    }
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    bars: Vec<Option<ProgressBar>>,
    /// Of the first view and scenario at the last moment that was scored.
    accuracies: Vec<Option<(Moment, f64)>>,
}

/// Experience or step after which a score was taken.
type Moment = (Option<u32>, Option<u64>);

impl Bars {
    fn new(jobs: usize) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(jobs as u64));
        let style = "{pos}/{len} runs done, {elapsed} elapsed";
        total.set_style(ProgressStyle::with_template(style).expect("a fixed template"));
        Bars { all, total, bars: (0..jobs).map(|_| None).collect(), accuracies: vec![None; jobs] }
    }
}

impl Watcher for Bars {
    fn started(&mut self, job: usize, name: &str) {
        let bar = self.all.insert_before(&self.total, ProgressBar::new(0));
        let style = "{prefix:28} {bar:30} {pos:>7}/{len:7} {msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("a fixed template"));
        bar.set_prefix(name.to_owned());
        self.bars[job] = Some(bar);
        self.total.tick();
    }

    fn line(&mut self, job: usize, line: &Line) {
        let Some(bar) = &self.bars[job] else { return };
        match line {
            Line::Progress(progress) => {
                bar.set_length(progress.steps);
                bar.set_position(progress.step);
                let accuracy = self.accuracies[job]
                    .map_or_else(String::new, |(_, a)| format!(", {:.1} %", 100.0 * a));
                let experience = match (progress.experience + 1, progress.experiences) {
                    (_, 1) => String::new(),
                    (at, of) => format!(", experience {at}/{of}"),
                };
                let speed = progress.steps_per_second;
                bar.set_message(format!("steps{experience}, {speed:.0} steps/s{accuracy}"));
            }
            Line::Event(event) => match &event.what {
                EventKind::Scored { after, step, accuracy, .. } => {
                    let moment = (*after, *step);
                    let known = self.accuracies[job].filter(|(last, _)| *last == moment);
                    self.accuracies[job] = known.or_else(|| Some((moment, mean(accuracy)?)));
                }
                EventKind::Remark { message } => {
                    let _ = self.all.println(format!("{}: {message}", bar.prefix()));
                }
                _ => {}
            },
        }
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        if let Some(bar) = self.bars[job].take() {
            bar.finish_and_clear();
            let _ = match ended {
                Ended::Outcome(Outcome::Failed(fault)) => {
                    self.all.println(format!("{} failed: {}", bar.prefix(), fault.message))
                }
                Ended::Interrupted => self.all.println(format!("{} interrupted", bar.prefix())),
                Ended::Outcome(Outcome::Finished) => Ok(()),
            };
        }
        self.total.inc(1);
    }
}

struct Lines {
    names: Vec<String>,
    done: usize,
}

impl Watcher for Lines {
    fn started(&mut self, job: usize, name: &str) {
        self.names[job] = name.to_owned();
    }

    fn line(&mut self, job: usize, line: &Line) {
        let name = &self.names[job];
        if let Line::Event(event) = line
            && let EventKind::Remark { message } = &event.what
        {
            eprintln!("{name}: {message}");
        }
        if let Line::Event(event) = line
            && let EventKind::Scored { after, step, view, scenario, accuracy } = &event.what
        {
            let (moment, known) = match (after, step) {
                (Some(after), _) => (format!("experience {}", after + 1), *after as usize + 1),
                (None, Some(step)) => (format!("step {step}"), accuracy.len()),
                (None, None) => return,
            };
            let accuracy = mean(&accuracy[..accuracy.len().min(known)]);
            let accuracy = accuracy.map_or_else(|| "-".into(), |a| format!("{:.2} %", 100.0 * a));
            eprintln!("{name}: after {moment}: {view} {scenario} {accuracy}");
        }
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        let name = &self.names[job];
        match ended {
            Ended::Outcome(Outcome::Finished) => {
                self.done += 1;
                eprintln!("{name}: done ({} of {})", self.done, self.names.len());
            }
            Ended::Outcome(Outcome::Failed(fault)) => {
                self.done += 1;
                eprintln!("{name}: failed in {}: {}: {}", fault.call, fault.kind, fault.message);
            }
            Ended::Interrupted => eprintln!("{name}: interrupted"),
        }
    }
}

fn mean(values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}
