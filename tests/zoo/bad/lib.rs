//! A learner that misbehaves in one way of one's choice, and is a good one otherwise: with `how = none` it
//! passes every check of `perdura plugins check`. It has no other purpose.
//!
//! It answers with the class whose mean input is nearest. `ways.rs` holds what can be done in any call,
//! `tamper.rs` what takes an adapter that breaks the rules of the boundary, this file the rest.

mod tamper;
mod ways;

use perdura_sdk::rand::RngExt;
use perdura_sdk::{Error, prelude::*};
use std::cell::Cell;

hyper_parameters! {
    /// What goes wrong, and where.
    pub struct Config {
        /// In what way.
        pub how: String = "none".into(),
        /// For ways that can be had in any call: its name in the trait.
        pub call: String = "observe".into(),
        /// Megabytes that `prints` prints.
        pub amount: u64 = 4,
    }
}

/// What is said about the plugin without asking for hyper-parameters: `id`, `preset` or `views` is untrue
/// where the variable says so.
fn lies(about: &str) -> bool {
    std::env::var("ZOO_LIES").is_ok_and(|lie| lie == about)
}

pub struct Bad {
    config: Config,
    width: usize,
    /// `[classes, width]`: what the mean of a class is taken for before it is seen.
    prior: Vec<f32>,
    sums: Vec<f32>,
    counts: Vec<f32>,
    steps: u64,
    begun: bool,
    /// Batches of a single class, one after another.
    alike: u32,
    predictions: Cell<u32>,
    ballast: Vec<u8>,
    files: Vec<std::fs::File>,
    /// Where the inputs of the last step lay, and the first of them.
    lent: Option<(ways::Lent, f32)>,
}

impl Bad {
    fn is(&self, how: &str) -> bool {
        self.config.how == how
    }

    /// Does what can be done in any call, if it is to be done in this one. Not at once in a step.
    fn maybe(&self, call: &str) -> Result<()> {
        let due = self.config.call == call && (call != "observe" || self.steps == 3);
        if due { ways::go(&self.config.how) } else { Ok(()) }
    }

    fn learn(&mut self, rows: &Rows<'_>, weight: f32) {
        for (input, &label) in rows.inputs().chunks(self.width).zip(rows.labels()) {
            self.counts[label as usize] += weight;
            let sum = &mut self.sums[label as usize * self.width..][..self.width];
            sum.iter_mut().zip(input).for_each(|(s, x)| *s += weight * x);
        }
    }

    fn misbehave_in_a_step(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<()> {
        let (current, replay) = (&step.current, step.draw("replay")?);
        let labels = current.labels();
        let alike = labels.len() > 1 && labels.iter().all(|label| *label == labels[0]);
        self.alike = if alike { self.alike + 1 } else { 0 };
        match self.config.how.as_str() {
            "odd-inputs" => assert!(current.inputs().iter().all(|x| !x.is_nan()), "zoo: NaN"),
            "call-order" => assert!(self.begun, "zoo: no experience has begun"),
            "empty-draw" => assert!(self.steps < 3 || !replay.is_empty(), "zoo: nothing drawn"),
            "batch-of-one" => assert!(labels.len() > 1, "zoo: a batch of one"),
            "single-class" => assert!(self.alike < 3, "zoo: a single class"),
            "leaks" => {
                std::hint::black_box(vec![1u8; 64 << 10].leak());
            }
            "leaves-files-open" if self.files.len() < 10 => {
                self.files.push(std::fs::File::open("/dev/null")?);
            }
            "asks" if self.steps == 3 => loop {
                host.draw(&Request::memory("more", 1))?;
            },
            "prints" if self.steps == 3 => ways::print(self.config.amount),
            _ => {}
        }
        Ok(())
    }
}

impl ContinualLearner for Bad {
    type Config = Config;

    fn about() -> About {
        let about = About::new("misbehaves when it is told to");
        let preset =
            "[[preset]]\nbenchmark = \"split-digits\"\nsource = \"\"\n[preset.method]\nhowl = 1";
        if lies("preset") { about.presets(preset) } else { about }
    }

    fn declare(config: &Config, ctx: &Context) -> Declaration {
        if config.call == "declare" {
            let _ = ways::go(&config.how);
        }
        let wanted = Declaration::new().request(Request::memory("replay", 4));
        let wanted = wanted.view("main").scalar("seen");
        // A description is made for inputs of this shape, and no stream of the checks has it.
        match lies("views") && ctx.input_shape == [1, 28, 28] {
            true => wanted.view("best"),
            false => wanted,
        }
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        if config.call == "create" {
            ways::go(&config.how)?;
        }
        match config.how.as_str() {
            "needs-boundaries" if !ctx.grants.boundaries => {
                return Err(Error::new("zoo: it needs boundaries"));
            }
            "threads" => (0..6).for_each(|_| drop(std::thread::spawn(ways::wait))),
            _ => {}
        }
        let (classes, width) = (ctx.classes, ctx.input_width());
        let mut rng = ctx.call.rng("prior");
        let mut own = ways::Clock::now();
        let mut prior = || match config.how.as_str() {
            "own-seed" => own.random(),
            "fixed-seed" => 0.0,
            _ => rng.random::<f32>(),
        };
        let mut prior: Vec<f32> = (0..classes * width).map(|_| prior() * 0.01).collect();
        if config.how == "fixed-seed" {
            prior.iter_mut().enumerate().for_each(|(i, x)| *x = (i as f32).sin() * 0.01);
        }
        let ballast = if config.how == "lies-about-memory" { 64 << 20 } else { 0 };
        Ok(Bad {
            config,
            width,
            prior,
            sums: vec![0.0; classes * width],
            counts: vec![0.0; classes],
            steps: 0,
            begun: false,
            alike: 0,
            predictions: Cell::new(0),
            ballast: vec![1; ballast],
            files: Vec::new(),
            lent: None,
        })
    }

    fn begin_experience(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.begun = true;
        self.maybe("begin_experience")
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        self.maybe("observe")?;
        self.misbehave_in_a_step(step, host)?;
        self.lent = Some((ways::Lent::of(step.current.inputs()), step.current.inputs()[0]));
        if !self.is("idle") {
            let weight = 1.0 / (1.0 + self.steps as f32);
            self.learn(&step.current, weight);
            self.learn(step.draw("replay")?, 0.1 * weight);
        }
        self.steps += 1;
        let report = StepReport::new();
        Ok(match self.config.how.as_str() {
            "nan-loss" if self.steps > 5 => report.scalar("seen", f64::NAN),
            "undeclared-scalar" => report.scalar("loss", 1.0),
            _ => report.scalar("seen", f64::from(self.counts.iter().sum::<f32>())),
        })
    }

    fn end_experience(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        if let (true, Some((lent, first))) = (self.is("keeps-pointers"), &self.lent) {
            // Nothing, as long as nobody has written there.
            self.sums[0] += lent.read() - first;
        }
        self.maybe("end_experience")
    }

    fn end_of_stream(&mut self, _: &Call, _: &mut Host<'_>) -> Result<()> {
        self.maybe("end_of_stream")
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        self.maybe("predict")?;
        let classes = self.counts.len();
        let out = logits.as_mut_slice();
        for (input, out) in query.inputs.chunks(self.width).zip(out.chunks_mut(classes)) {
            for (class, logit) in out.iter_mut().enumerate() {
                let place = class * self.width..(class + 1) * self.width;
                let (sum, prior) = (&self.sums[place.clone()], &self.prior[place]);
                let count = self.counts[class].max(1e-3);
                let distance = |((x, s), p): ((&f32, &f32), &f32)| (x - s / count - p).powi(2);
                *logit = -input.iter().zip(sum).zip(prior).map(distance).sum::<f32>();
                if self.is("unseen-classes") && self.counts[class] == 0.0 {
                    *logit = f32::NAN;
                }
            }
        }
        match self.config.how.as_str() {
            "nan-logits" => out[3] = f32::NAN,
            "counts-predictions" => {
                self.predictions.set(self.predictions.get() + 1);
                out[0] += self.predictions.get() as f32;
            }
            "batch-mean" => {
                let mean = out.iter().sum::<f32>() / out.len() as f32;
                out.iter_mut().for_each(|logit| *logit -= mean);
            }
            "uses-task-labels" => {
                for (out, &task) in out.chunks_mut(classes).zip(query.task_labels.unwrap_or(&[])) {
                    out[2 * task as usize % classes] += 1000.0;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn resources(&self) -> Resources {
        self.maybe("resources").expect("resources cannot fail otherwise");
        std::hint::black_box(&self.ballast);
        let numbers = self.prior.len() + self.sums.len() + self.counts.len();
        Resources::new().with("parameters", numbers as u64 * 4)
    }

    fn save(&self, state: &mut StateWriter) -> Result<()> {
        self.maybe("save")?;
        let shape = [self.counts.len(), self.width];
        let prior =
            if self.is("forgets") { vec![0.0; self.prior.len()] } else { self.prior.clone() };
        state.tensor("prior", &shape, &prior)?;
        state.tensor("sums", &shape, &self.sums)?;
        state.tensor("counts", &[self.counts.len()], &self.counts)?;
        state.value("steps", &if self.is("forgets-steps") { 0 } else { self.steps })
    }

    fn load(&mut self, state: &mut StateReader) -> Result<()> {
        self.maybe("load")?;
        let shape = [self.counts.len(), self.width];
        for (name, tensor) in [("prior", &mut self.prior), ("sums", &mut self.sums)] {
            match state.tensor(name, &shape) {
                Ok(values) => *tensor = values,
                Err(_) if self.config.how == "takes-any-state" => {}
                Err(error) => return Err(error),
            }
        }
        match state.tensor("counts", &[self.counts.len()]) {
            Ok(values) => self.counts = values,
            Err(_) if self.is("takes-any-state") => {}
            Err(error) => return Err(error),
        }
        (self.steps, self.begun) = (state.value("steps")?, true);
        Ok(())
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        let _ = self.maybe("drop");
    }
}
