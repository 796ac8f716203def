//! How far a run has come, from the lines that it tells: what a line of the progress display says.

use crate::run::EventKind;
use crate::trainer::{Line, Progress};

/// Experience or step after which scores were taken.
type Moment = (Option<u32>, Option<u64>);

/// Scores of the headline view at one moment.
struct Scored {
    moment: Moment,
    view: String,
    /// By scenario, in order: the mean over what was learned.
    scores: Vec<(String, Option<f64>)>,
}

/// What is known of a run that goes on.
#[derive(Default)]
pub struct Standing {
    progress: Option<Progress>,
    last: Option<Scored>,
    /// The last scores were not said yet: further ones of the same moment may follow.
    unsaid: bool,
}

impl Standing {
    /// Takes in a line. Returns a sentence once the scores of a moment are complete.
    pub fn follow(&mut self, line: &Line) -> Option<String> {
        match line {
            Line::Progress(progress) => {
                self.progress = Some(progress.clone());
                self.flush()
            }
            Line::Event(event) => match &event.what {
                EventKind::Scored { after, step, view, scenario, accuracy } => {
                    let moment = (*after, *step);
                    if moment == (None, None) {
                        return None;
                    }
                    let learned = after.map_or(accuracy.len(), |after| after as usize + 1);
                    let mean = mean(&accuracy[..learned.min(accuracy.len())]);
                    self.score(moment, view, (scenario.clone(), mean))
                }
                _ => self.flush(),
            },
        }
    }

    fn score(
        &mut self,
        moment: Moment,
        view: &str,
        score: (String, Option<f64>),
    ) -> Option<String> {
        match &mut self.last {
            Some(last) if last.moment == moment => {
                if last.view == view {
                    last.scores.push(score);
                }
                None
            }
            _ => {
                let before = self.flush();
                let view = view.to_owned();
                self.last = Some(Scored { moment, view, scores: vec![score] });
                self.unsaid = true;
                before
            }
        }
    }

    /// The scores that were not said yet, with how the run stands.
    pub fn flush(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.unsaid) {
            return None;
        }
        let last = self.last.as_ref()?;
        let of = |total: Option<u64>| total.map(|n| format!("/{n}")).unwrap_or_default();
        let progress = self.progress.as_ref();
        let experiences = progress.map(|p| u64::from(p.experiences));
        let moment = match last.moment {
            (Some(after), _) if experiences != Some(1) => {
                format!("experience {}{}", after + 1, of(experiences))
            }
            (Some(_), _) => "end of the stream".into(),
            (None, step) => {
                format!("step {}{}", step.unwrap_or_default(), of(progress.map(|p| p.steps)))
            }
        };
        let view = if last.view == "main" { String::new() } else { format!("{} ", last.view) };
        let scores = self.scores().unwrap_or_default();
        let pace = progress.map(|p| format!("; {}", pace(p))).unwrap_or_default();
        Some(format!("{moment}: {view}{scores}{pace}"))
    }

    pub fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// `class-il 52.31 %, task-il 97.12 %` of the headline view, as last scored.
    pub fn scores(&self) -> Option<String> {
        let score = |(scenario, mean): &(String, Option<f64>)| match mean {
            Some(mean) => format!("{scenario} {:.2} %", 100.0 * mean),
            None => format!("{scenario} -"),
        };
        let last = self.last.as_ref()?;
        Some(last.scores.iter().map(score).collect::<Vec<_>>().join(", "))
    }

    /// Everything in a short line: experience, accuracy so far, speed, memory, time left.
    pub fn now(&self) -> String {
        let Some(progress) = &self.progress else { return "starting".into() };
        let mut parts = Vec::new();
        if progress.experiences > 1 {
            parts.push(format!("exp {}/{}", progress.experience + 1, progress.experiences));
        }
        let first = self.last.as_ref().and_then(|last| last.scores.first()?.1);
        parts.extend(first.map(|mean| format!("{:.1} %", 100.0 * mean)));
        parts.push(pace(progress));
        parts.join(", ")
    }
}

/// `812 steps/s, 23 MiB, 4 s left`, as far as it is known.
fn pace(progress: &Progress) -> String {
    let Progress { step, steps, steps_per_second, memory_bytes, .. } = progress;
    let mut parts = vec![format!("{steps_per_second:.0} steps/s")];
    parts.extend(memory_bytes.map(|bytes| format!("{:.0} MiB", bytes as f64 / 1_048_576.0)));
    let left = steps.saturating_sub(*step) as f64 / steps_per_second;
    if left.is_finite() && left > 0.0 {
        parts.push(format!("{} left", seconds_text(left)));
    }
    parts.join(", ")
}

/// `4.2 s`, `3 min 05 s`, `2 h 07 min`.
pub fn seconds_text(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

fn mean(values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    crate::stats::mean(&known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Event;

    fn event(what: EventKind) -> Line {
        Line::Event(Event { at_ms: 0, what })
    }

    fn scored((after, step): Moment, view: &str, scenario: &str, accuracy: [f64; 2]) -> Line {
        let (view, scenario) = (view.to_owned(), scenario.to_owned());
        let accuracy = accuracy.map(Some).to_vec();
        event(EventKind::Scored { after, step, view, scenario, accuracy })
    }

    fn progress(step: u64, experiences: u32) -> Line {
        Line::Progress(Progress {
            step,
            steps: 1000,
            experience: 1,
            experiences,
            steps_per_second: 200.0,
            memory_bytes: Some(23 << 20),
        })
    }

    #[test]
    fn a_sentence_at_the_end_of_each_experience() {
        let mut standing = Standing::default();
        assert_eq!(standing.now(), "starting");
        let initial = scored((None, None), "main", "class-il", [0.1, 0.1]);
        assert_eq!(standing.follow(&initial), None, "nothing is learned yet");
        standing.follow(&progress(200, 2));
        assert_eq!(standing.now(), "exp 2/2, 200 steps/s, 23 MiB, 4.0 s left");
        let first = (Some(0), None);
        for (view, scenario) in [("main", "class-il"), ("main", "task-il"), ("other", "class-il")] {
            assert_eq!(standing.follow(&scored(first, view, scenario, [0.5, 0.0])), None);
        }
        let said = standing.follow(&progress(400, 2));
        let expected = "experience 1/2: class-il 50.00 %, task-il 50.00 %; \
                        200 steps/s, 23 MiB, 3.0 s left";
        assert_eq!(said.as_deref(), Some(expected));
        assert_eq!(standing.follow(&progress(500, 2)), None, "nothing is said twice");
        assert_eq!(standing.now(), "exp 2/2, 50.0 %, 200 steps/s, 23 MiB, 2.5 s left");
        standing.follow(&scored((Some(1), None), "main", "class-il", [0.5, 1.0]));
        standing.follow(&progress(1000, 2));
        assert_eq!(standing.scores().as_deref(), Some("class-il 75.00 %"), "of both");
    }

    #[test]
    fn streams_without_experiences_say_the_step_or_the_end() {
        let mut standing = Standing::default();
        standing.follow(&progress(400, 9));
        standing.follow(&scored((None, Some(400)), "stable", "task-free", [0.5, 1.0]));
        let said = standing.follow(&event(EventKind::RunFinished { steps: 1000 }));
        let expected = "step 400/1000: stable task-free 75.00 %; 200 steps/s, 23 MiB, 3.0 s left";
        assert_eq!(said.as_deref(), Some(expected));
        let mut union = Standing::default();
        union.follow(&progress(1000, 1));
        union.follow(&scored((Some(1), None), "main", "class-il", [0.5, 1.0]));
        let expected = "end of the stream: class-il 75.00 %; 200 steps/s, 23 MiB";
        assert_eq!(union.flush().as_deref(), Some(expected));
    }

    #[test]
    fn times_are_short() {
        let expected = ["0.3 s", "59 s", "1 min 00 s", "59 min 59 s", "2 h 07 min"];
        assert_eq!([0.26, 59.4, 60.0, 3599.0, 7650.0].map(seconds_text), expected);
    }
}
