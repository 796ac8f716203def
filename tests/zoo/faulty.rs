//! A learner that goes wrong in a call of one's choice, in a way of one's choice. It has no other purpose.

use perdura_sdk::{Error, prelude::*};
use std::time::Duration;

hyper_parameters! {
    /// What goes wrong, and where.
    pub struct Config {
        /// The call, by its name in the trait.
        pub call: String = "none".into(),
        /// In what way; see `go_wrong`.
        pub how: String = "none".into(),
        /// Which of the calls of this name, counted from 0 in each process. For `declare` and `create`,
        /// which come once: 0 is always, 1 is only in earnest and not in the try-out before a run.
        pub at: u64 = 0,
        /// For `load` and `predict`: only with the state after so many samples; 0 for any.
        pub samples: u64 = 0,
    }
}

pub struct Faulty {
    fault: Config,
    calls: std::cell::Cell<u64>,
    counts: Vec<f32>,
}

impl Faulty {
    /// Whether this is the call that goes wrong. Counts it.
    fn is_due(&self, call: &str) -> bool {
        let due = self.fault.call == call && self.calls.get() == self.fault.at;
        if self.fault.call == call {
            self.calls.set(self.calls.get() + 1);
        }
        due
    }

    /// Whether the state is the one that something goes wrong with.
    fn is_meant(&self) -> bool {
        let seen = self.counts.iter().sum::<f32>() as u64;
        self.fault.samples == 0 || self.fault.samples == seen
    }

    fn maybe(&self, call: &str) -> Result<()> {
        if self.is_due(call) { go_wrong(&self.fault.how) } else { Ok(()) }
    }
}

impl ContinualLearner for Faulty {
    type Config = Config;

    fn about() -> About {
        if let Ok(how) = std::env::var("ZOO_DESCRIBE") {
            let _ = go_wrong(&how);
        }
        About::new("goes wrong when it is told to")
    }

    fn declare(config: &Config, ctx: &Context) -> Declaration {
        if config.call == "declare" && (config.at == 0 || ctx.call.seed() != 0) {
            let _ = go_wrong(&config.how);
        }
        Declaration::new().view("main").scalar("seen")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        if config.call == "create" && (config.at == 0 || ctx.call.seed() != 0) {
            go_wrong(&config.how)?;
        }
        let (calls, counts) = (std::cell::Cell::new(0), vec![0.0; ctx.classes]);
        Ok(Faulty { fault: config, calls, counts })
    }

    fn begin_experience(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.maybe("begin_experience")
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        for &label in step.current.labels() {
            self.counts[label as usize] += 1.0;
        }
        let report = StepReport::new();
        if !self.is_due("observe") {
            return Ok(report.scalar("seen", 1.0));
        }
        Ok(match self.fault.how.as_str() {
            "nan" => report.scalar("seen", f64::NAN),
            "undeclared_scalar" => report.scalar("loss", 1.0),
            "odd_part" => {
                let mut laps = Laps::start();
                laps.lap("Forward pass");
                report.spent(laps)
            }
            "undeclared_column" => report.column("logits", vec![0.0; step.current.len()]),
            "placements_without_memory" => {
                report.place(vec![perdura_sdk::Placement::Skip; step.current.len()])
            }
            how => {
                go_wrong(how)?;
                report.scalar("seen", 1.0)
            }
        })
    }

    fn end_experience(&mut self, _: &Experience, _: &mut Host<'_>) -> Result<()> {
        self.maybe("end_experience")
    }

    fn end_of_stream(&mut self, _: &Call, _: &mut Host<'_>) -> Result<()> {
        self.maybe("end_of_stream")
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        logits.write(&self.counts.repeat(query.len));
        if self.is_meant() && self.is_due("predict") {
            match self.fault.how.as_str() {
                "nan" => logits.as_mut_slice()[3] = f32::NAN,
                "wrong_length" => logits.write(&self.counts),
                "not_open" => logits.not_open(),
                how => go_wrong(how)?,
            }
        }
        Ok(())
    }

    fn resources(&self) -> Resources {
        self.maybe("resources").expect("resources cannot fail otherwise");
        Resources::new()
    }

    fn save(&self, state: &mut StateWriter) -> Result<()> {
        self.maybe("save")?;
        state.tensor("counts", &[self.counts.len()], &self.counts)
    }

    fn load(&mut self, state: &mut StateReader) -> Result<()> {
        self.counts = state.tensor("counts", &[self.counts.len()])?;
        if self.is_meant() { self.maybe("load") } else { Ok(()) }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = self.maybe("drop");
    }
}

/// Goes wrong, after some last words for the log.
fn go_wrong(how: &str) -> Result<()> {
    eprintln!("zoo: last words before {how}");
    match how {
        "panic" => panic!("zoo: panic as asked"),
        "error" => return Err(Error::new("zoo: error as asked")),
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        "segfault" => touch_what_is_not_ours(),
        "stack_overflow" => println!("{}", deeper(&[0; 1024])),
        "hang" => hang(),
        "hoard" => hoard(),
        "print" => (0..2000).for_each(|line| println!("{{\"zoo\": {line}}}")),
        // Leaves a process behind that would outlive everything.
        "orphan" => {
            std::process::Command::new("sleep").arg("3600").spawn()?;
            std::process::abort();
        }
        "none" => {}
        unknown => return Err(Error::new(format!("zoo: `{unknown}` is not a way to go wrong"))),
    }
    Ok(())
}

fn hang() {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Takes memory until there is none, and uses all of it.
fn hoard() {
    let mut pieces = Vec::new();
    loop {
        pieces.push(std::hint::black_box(vec![1u8; 16 << 20]));
    }
}

fn touch_what_is_not_ours() {
    // SAFETY: there is none: nothing is ever mapped at this address, and the process is meant to die.
    unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) }
}

/// Never comes back.
#[allow(unconditional_recursion)] // its purpose
fn deeper(before: &[u64; 1024]) -> u64 {
    let mut own = *before;
    own[std::hint::black_box(5)] += 1;
    deeper(std::hint::black_box(&own)) + own[7]
}

perdura_sdk::export_learner!(Faulty, id = "zoo/faulty");
