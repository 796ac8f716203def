//! What people see while runs go on: a line per run on a terminal, kept up to date; plain lines at the
//! ends of experiences otherwise. Always on standard error; standard output is for results.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

use super::standing::{Standing, seconds_text};
use crate::run::{EventKind, Outcome};
use crate::schedule::Watcher;
use crate::trainer::{Ended, Line};

/// Lines that move where a person looks, lines that stay where a file listens.
pub fn watcher(jobs: usize) -> Box<dyn Watcher> {
    match std::io::stderr().is_terminal() {
        true => Box::new(Live::new(jobs)),
        false => Box::new(Plain { jobs: (0..jobs).map(|_| Job::new("")).collect(), done: 0 }),
    }
}

/// A run that is watched.
struct Job {
    name: String,
    begun: Instant,
    standing: Standing,
}

impl Job {
    fn new(name: &str) -> Job {
        Job { name: name.to_owned(), begun: Instant::now(), standing: Standing::default() }
    }

    /// How it has ended, in a sentence.
    fn end(&self, ended: &Ended, counted: &str) -> String {
        let name = &self.name;
        match ended {
            Ended::Outcome(Outcome::Finished) => {
                let scores = self.standing.scores().map(|text| format!("{text}, "));
                let scores = scores.unwrap_or_default();
                let took = seconds_text(self.begun.elapsed().as_secs_f64());
                format!("{name}: done ({counted}): {scores}{took}")
            }
            Ended::Outcome(Outcome::Failed(fault)) => {
                let message = Some(&fault.message).filter(|message| !message.is_empty());
                let message = message.map(|message| format!(": {message}")).unwrap_or_default();
                format!("{name}: failed in {}: {}{message}", fault.call, fault.kind)
            }
            Ended::Interrupted => format!("{name}: interrupted"),
        }
    }
}

/// Lines on a terminal, one for each run that goes on; those that have ended move up and stay.
struct Live {
    all: MultiProgress,
    total: ProgressBar,
    jobs: Vec<Option<(Job, ProgressBar)>>,
}

impl Live {
    fn new(jobs: usize) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(jobs as u64));
        let style = "{pos} of {len} runs ended, {elapsed} elapsed";
        total.set_style(ProgressStyle::with_template(style).expect("a fixed template"));
        Live { all, total, jobs: (0..jobs).map(|_| None).collect() }
    }

    fn say(&self, text: &str) {
        // A terminal that has gone needs no words.
        let _ = self.all.println(text);
    }
}

impl Watcher for Live {
    fn started(&mut self, job: usize, name: &str) {
        let bar = self.all.insert_before(&self.total, ProgressBar::new(0));
        // What does not fit the terminal is cut off, not wrapped.
        let style = "{prefix:20} {bar:16} {wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("a fixed template"));
        bar.set_prefix(name.to_owned());
        bar.set_message("starting");
        self.jobs[job] = Some((Job::new(name), bar));
        self.total.tick();
    }

    fn line(&mut self, job: usize, line: &Line) {
        let Some((job, bar)) = &mut self.jobs[job] else { return };
        job.standing.follow(line);
        if let Some(progress) = job.standing.progress() {
            bar.set_length(progress.steps);
            bar.set_position(progress.step);
            bar.set_message(job.standing.now());
        }
        if let Some(message) = remark(line) {
            let text = format!("{}: {message}", job.name);
            self.say(&text);
        }
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        self.total.inc(1);
        if let Some((job, bar)) = self.jobs[job].take() {
            bar.finish_and_clear();
            let counted = format!("{} of {}", self.total.position(), self.jobs.len());
            self.say(&job.end(ended, &counted));
        }
    }

    fn finished(&mut self) {
        self.total.finish_and_clear();
    }

    fn note(&mut self, text: &str) {
        self.say(&format!("warning: {text}"));
    }
}

/// Lines of a file or a pipe: no control characters, nothing is said twice.
struct Plain {
    jobs: Vec<Job>,
    done: usize,
}

impl Watcher for Plain {
    fn started(&mut self, job: usize, name: &str) {
        self.jobs[job] = Job::new(name);
    }

    fn line(&mut self, job: usize, line: &Line) {
        let Job { name, standing, .. } = &mut self.jobs[job];
        if let Some(scored) = standing.follow(line) {
            eprintln!("{name}: {scored}");
        }
        if let Some(message) = remark(line) {
            eprintln!("{name}: {message}");
        }
    }

    fn ended(&mut self, job: usize, ended: &Ended) {
        self.done += usize::from(*ended != Ended::Interrupted);
        let counted = format!("{} of {}", self.done, self.jobs.len());
        let job = &mut self.jobs[job];
        if let Some(scored) = job.standing.flush() {
            eprintln!("{}: {scored}", job.name);
        }
        eprintln!("{}", job.end(ended, &counted));
    }

    fn note(&mut self, text: &str) {
        eprintln!("warning: {text}");
    }
}

fn remark(line: &Line) -> Option<&str> {
    match line {
        Line::Event(event) => match &event.what {
            EventKind::Remark { message } => Some(message),
            _ => None,
        },
        Line::Progress(_) => None,
    }
}
