//! A learner that learns nothing and tries to score by peeking, in a way of one's choice. Where it gets hold
//! of the answers it gives them; where it gets hold of something it should not know, it begins to learn, so
//! that its score tells. Otherwise it guesses.

mod answers;
mod order;
mod peek;

use answers::{Answers, guess};
use perdura_sdk::prelude::*;

hyper_parameters! {
    /// How it cheats.
    pub struct Config {
        /// The way; see `peek.rs`.
        pub how: String = "none".into(),
        /// A file or an address that the way needs.
        pub with: String = "".into(),
    }
}

pub struct Cheater {
    config: Config,
    answers: Option<Answers>,
    order: Option<order::Known>,
    created: std::time::Instant,
    log_bytes: u64,
    /// Whether it has found out something that it should not know.
    knows: bool,
    width: usize,
    sums: Vec<f32>,
    counts: Vec<f32>,
}

impl ContinualLearner for Cheater {
    type Config = Config;

    fn about() -> About {
        About::new("tries to score by peeking")
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").scalar("knows")
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        // Here and not in `predict`: the instance that is trained looks too, and could save what it finds.
        let answers = peek::answers(&config.how, &config.with);
        let order = order::Known::find(&config.with, ctx.call.seed());
        let (width, classes) = (ctx.input_width(), ctx.classes);
        Ok(Cheater {
            answers,
            order,
            created: std::time::Instant::now(),
            log_bytes: peek::log_bytes(),
            knows: false,
            width,
            sums: vec![0.0; classes * width],
            counts: vec![0.0; classes],
            config,
        })
    }

    fn observe(&mut self, step: &Step<'_>, _: &mut Host<'_>) -> Result<StepReport> {
        self.knows |= match self.config.how.as_str() {
            "remember-variable" => peek::variable(),
            "remember-file" => std::path::Path::new(&self.config.with).exists(),
            "remember-log" => peek::log_bytes() >= self.log_bytes + peek::SIGN.len() as u64,
            _ => false,
        };
        for (input, &label) in step.current.inputs().chunks(self.width).zip(step.current.labels()) {
            self.counts[label as usize] += 1.0;
            let sum = &mut self.sums[label as usize * self.width..][..self.width];
            sum.iter_mut().zip(input).for_each(|(s, x)| *s += x);
        }
        Ok(StepReport::new().scalar("knows", f64::from(u8::from(self.knows))))
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        peek::leave_a_sign(&self.config.how, &self.config.with);
        let classes = self.counts.len();
        let known = self.order.as_ref().filter(|_| self.config.how == "seed");
        let experiences = known.and_then(|known| known.experiences(query.call.seed()));
        let rows = query.inputs.chunks(self.width).enumerate();
        for ((place, input), out) in rows.zip(logits.as_mut_slice().chunks_mut(classes)) {
            let experience = experiences.as_ref().and_then(|all| all.get(place));
            let class = match (self.config.how.as_str(), &self.answers) {
                // Two classes of each experience are left.
                _ if experience.is_some() => 2 * experience.expect("asked") + guess(input, 2),
                ("order", _) => self.by_order(place),
                ("timing", _) => self.created.elapsed().subsec_micros() as usize / 7 % classes,
                (_, Some(answers)) => answers.of(input).unwrap_or_else(|| guess(input, classes)),
                _ if self.knows => self.nearest(input),
                _ => guess(input, classes),
            };
            out.fill(0.0);
            out[class] = 1.0;
        }
        Ok(())
    }

    fn save(&self, state: &mut StateWriter) -> Result<()> {
        state.tensor("knows", &[1], &[f32::from(u8::from(self.knows))])?;
        state.tensor("sums", &[self.counts.len(), self.width], &self.sums)?;
        state.tensor("counts", &[self.counts.len()], &self.counts)
    }

    fn load(&mut self, state: &mut StateReader) -> Result<()> {
        self.knows = state.tensor("knows", &[1])?[0] > 0.0;
        self.sums = state.tensor("sums", &[self.counts.len(), self.width])?;
        self.counts = state.tensor("counts", &[self.counts.len()])?;
        Ok(())
    }
}

impl Cheater {
    /// The published order of the test samples, which is that of the file by experience.
    fn by_order(&self, place: usize) -> usize {
        let labels = self.config.with.as_bytes();
        labels.get(place).map_or(0, |&digit| usize::from(digit - b'0'))
    }

    /// The class whose mean is nearest.
    fn nearest(&self, input: &[f32]) -> usize {
        let distance = |class: &usize| {
            let count = self.counts[*class];
            let mean = self.sums[class * self.width..].iter().map(|s| s / count);
            let distance: f32 = input.iter().zip(mean).map(|(x, m)| (x - m).powi(2)).sum();
            if count == 0.0 { f32::INFINITY } else { distance }
        };
        let nearest = (0..self.counts.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.expect("there are classes")
    }
}

perdura_sdk::export_learner!(Cheater, id = "zoo/cheater");
