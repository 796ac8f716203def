//! Discovery in the life of a learner that does nothing else: what opens, what is joined, what a
//! decision that comes late does to the memory, and what is kept.

use super::*;
use crate::{BackboneConfig, similarity::SimilarityGiven};
use perdura_sdk::prelude::*;
use perdura_sdk::serde_json;
use perdura_sdk::testing::{Driver, Samples as Script, Setting};

const WIDTH: usize = 6;
const CLASSES: usize = 3;

hyper_parameters! {
    /// The options of grouping.
    struct Config {
        tau_join: f64 = 0.5,
        groups_max: usize = 5,
        groups: Vec<usize> = vec![],
        probe: usize = 30,
        window: usize = 3,
        confirm: usize = 2,
    }
}

impl Config {
    fn options(&self) -> Grouping {
        let Config { tau_join, groups_max, groups, probe, window, confirm } = self.clone();
        Grouping { tau_join, groups_max, groups, probe, window, confirm }
    }
}

/// A network that is never trained, and its groups. `predict` answers with π, in place of the first
/// logits.
struct Watcher {
    net: Net,
    discovery: Discovery,
}

impl ContinualLearner for Watcher {
    type Config = Config;

    fn about() -> About {
        About::new("finds groups")
    }

    fn declare(_: &Config, _: &Context) -> Declaration {
        Declaration::new().view("main").uses_memory()
    }

    fn create(config: Config, ctx: &Context) -> Result<Self> {
        let options = config.options();
        options.check(&ctx.grants)?;
        let net = Net::of(ctx, &BackboneConfig::mlp(&[5]))?;
        let discovery = Discovery::new(options, ctx.grants, ctx.classes, ctx.input_width());
        Ok(Watcher { net, discovery })
    }

    fn begin_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.discovery.begin(info, &self.net, host)
    }

    fn observe(&mut self, step: &Step<'_>, host: &mut Host<'_>) -> Result<StepReport> {
        self.discovery.observe(step, &self.net, host)?;
        Ok(StepReport::new().group(self.discovery.current() as u32))
    }

    fn end_experience(&mut self, info: &Experience, host: &mut Host<'_>) -> Result<()> {
        self.discovery.end(info, &self.net, host)
    }

    fn end_of_stream(&mut self, call: &Call, _: &mut Host<'_>) -> Result<()> {
        self.discovery.finish(call);
        Ok(())
    }

    fn predict(&mut self, query: &Query<'_>, logits: &mut Logits<'_>) -> Result<()> {
        let open = self.discovery.open().len();
        let pi = self.discovery.probabilities(query.inputs, 0.0);
        for (row, out) in logits.as_mut_slice().chunks_exact_mut(CLASSES).enumerate() {
            out[..open].copy_from_slice(&pi[row * open..][..open]);
        }
        Ok(())
    }

    fn save(&self, out: &mut StateWriter) -> Result<()> {
        self.discovery.save(out)?;
        crate::state::save(&self.net, "", out)
    }

    fn load(&mut self, saved: &mut StateReader) -> Result<()> {
        self.discovery.load(saved)?;
        crate::state::load(&mut self.net, "", saved)
    }
}

/// Boundaries are told; the experience may be gone through, or not.
fn driver(config: Config, boundaries: bool, second_pass: bool) -> Driver<Watcher> {
    let mut setting = Setting::new(CLASSES, &[WIDTH]).seed(3);
    setting.context.grants.boundaries = boundaries;
    setting.context.grants.second_pass = second_pass;
    Driver::new(config, setting).unwrap()
}

/// Samples of a task: classes around means of its own.
fn task(task: u32, count: usize, salt: u32) -> Script {
    let number = |i: u32, salt: u32| {
        f32::from((i.wrapping_mul(2654435761).wrapping_add(salt.wrapping_mul(40503)) >> 16) as u8)
            / 255.0
    };
    let labels: Vec<u32> = (0..count as u32).map(|i| (i + salt) % CLASSES as u32).collect();
    let mut inputs = Vec::new();
    for (i, &label) in labels.iter().enumerate() {
        for j in 0..WIDTH as u32 {
            let mean = number(task * 1000 + label * 10 + j, 7);
            inputs.push(mean + 0.1 * number(i as u32 * 10 + j, 100 + salt));
        }
    }
    let uids = Some((0..count as u64).map(|i| 1000 * u64::from(salt) + i).collect());
    Script { uids, ..Script::new(&inputs, &labels) }
}

fn begin(driver: &mut Driver<Watcher>, index: u32, of: u32, held: &[u32]) {
    driver.script.iterations.push_back(vec![task(of, 30, 90)]);
    driver.script.draws.extend(held.iter().map(|group| task(*group, 30, 91)));
    driver.begin_experience(index).unwrap();
}

fn steps(driver: &mut Driver<Watcher>, of: u32, count: u32) -> Vec<u32> {
    let step = |salt| driver.step(&task(of, 6, salt), &[]).unwrap().report.group.unwrap();
    (0..count).map(step).collect()
}

/// The groups as they were told.
fn grouped(driver: &Driver<Watcher>) -> Vec<u32> {
    let events = driver.script.calls.iter().filter(|(name, _)| name == "report_event");
    let group =
        |(_, header): &(String, serde_json::Value)| match serde_json::from_value(header.clone())
            .ok()?
        {
            GrowthEvent::Grouped { group, .. } => Some(group),
            _ => None,
        };
    events.filter_map(group).collect()
}

/// A task like none opens a group, one seen before joins its own; the class means tell whose a
/// sample is.
#[test]
fn experiences_that_may_be_looked_through_are_grouped_before_they_are_learned() {
    let mut driver = driver(Config::default(), true, true);
    begin(&mut driver, 0, 0, &[]);
    assert_eq!(steps(&mut driver, 0, 2), [0, 0]);
    driver.script.iterations.clear();
    driver.end_experience(0).unwrap();
    begin(&mut driver, 1, 1, &[0]);
    assert_eq!(steps(&mut driver, 1, 2), [1, 1]);
    begin(&mut driver, 2, 0, &[0, 1]);
    assert_eq!(steps(&mut driver, 0, 1), [0]);
    assert_eq!(grouped(&driver), [0, 1, 0]);
    for of in [0, 1] {
        let pi = driver.predict("main", &task(of, 3, 55).views[0]).unwrap().unwrap();
        assert!(pi.chunks(CLASSES).all(|row| row[of as usize] == 1.0), "{pi:?}");
    }
}

/// With no room the nearest is joined; with a threshold of 0 everything joins the first.
#[test]
fn there_are_no_more_groups_than_allowed() {
    for config in [
        Config { groups_max: 1, ..Config::default() },
        Config { tau_join: 0.0, ..Config::default() },
    ] {
        let mut driver = driver(config, true, true);
        begin(&mut driver, 0, 0, &[]);
        driver.script.iterations.clear();
        begin(&mut driver, 1, 1, &[0]);
        assert_eq!(grouped(&driver), [0, 0]);
    }
}

#[test]
fn given_groups_are_taken() {
    let mut driver = driver(Config { groups: vec![2, 0, 2], ..Config::default() }, true, true);
    begin(&mut driver, 0, 0, &[]);
    driver.script.iterations.clear();
    begin(&mut driver, 1, 0, &[0]);
    begin(&mut driver, 2, 0, &[0, 0]);
    assert_eq!(grouped(&driver), [2, 0, 2]);
    driver.script.iterations.push_back(vec![task(0, 30, 90)]);
    driver.script.draws.extend([task(0, 30, 91), task(0, 30, 91)]);
    let error = driver.begin_experience(3).unwrap_err().to_string();
    let expected = "hyper-parameter `groups`: expected a group for every experience, found 3 for \
                    experience 3";
    assert_eq!(error, expected);
}

/// What was given needs no look: where there is none the group is entered before the first step, and
/// what it is like is measured on the first window.
#[test]
fn given_groups_are_entered_at_once_where_there_is_no_look() {
    let mut driver = driver(Config { groups: vec![2, 0, 2], ..Config::default() }, true, false);
    driver.begin_experience(0).unwrap();
    assert_eq!(steps(&mut driver, 0, 3), [2; 3]);
    driver.end_experience(0).unwrap();
    driver.begin_experience(1).unwrap();
    let (experience, epoch, epochs, step_in_epoch, steps_per_epoch) = (1, 0, 1, 0, 4);
    driver.position =
        Some(perdura_sdk::Position { experience, epoch, epochs, step_in_epoch, steps_per_epoch });
    assert_eq!(steps(&mut driver, 1, 2), [0; 2]);
    let known = |driver: &Driver<Watcher>| {
        let told = |(name, header): &(String, serde_json::Value)| match name.as_str() {
            "report_event" => match serde_json::from_value(header.clone()).ok()? {
                GrowthEvent::Grouped { group, similarities } => Some((group, similarities.len())),
                _ => None,
            },
            _ => None,
        };
        driver.script.calls.iter().filter_map(told).collect::<Vec<_>>()
    };
    assert_eq!(known(&driver), [(2, 0), (0, 0)]);
    // Of the group that has just opened the memory holds only what waits.
    driver.script.draws.extend([Script::new(&[], &[]), task(0, 30, 91)]);
    assert_eq!(steps(&mut driver, 1, 2), [0; 2]);
    assert_eq!(known(&driver), [(2, 0), (0, 0), (0, 2)]);
    assert!(driver.script.relabelled.is_empty());
    let pi = driver.predict("main", &task(1, 3, 55).views[0]).unwrap().unwrap();
    assert!(pi.chunks(CLASSES).all(|row| row[0] == 1.0), "the window counts for it: {pi:?}");
}

/// The first window of an experience that cannot be looked through is learned as the group before;
/// then it is decided, and what it brought into the memory is relabelled.
#[test]
fn a_window_is_decided_when_it_is_full_and_relabelled() {
    let mut driver = driver(Config::default(), true, false);
    driver.begin_experience(0).unwrap();
    assert_eq!(steps(&mut driver, 0, 4), [0; 4]);
    driver.end_experience(0).unwrap();
    driver.begin_experience(1).unwrap();
    assert_eq!(steps(&mut driver, 1, 2), [0; 2]);
    // The third step fills the window. Then the memory holds some of its samples among others.
    driver.script.draws.push_back(task(0, 30, 91));
    let uids = vec![77_777, 1000, 2003, 88_888];
    driver.script.iterations.push_back(vec![Script { uids: Some(uids), ..task(1, 4, 0) }]);
    let third = driver.step(&task(1, 6, 2), &[]).unwrap();
    assert_eq!(third.report.group, Some(1));
    assert_eq!(driver.script.relabelled, [vec![(1000, 1), (2003, 1)]]);
    assert_eq!(grouped(&driver), [0, 1]);
    assert_eq!(steps(&mut driver, 1, 2), [1; 2]);
}

/// Where boundaries are hidden two windows in a row must agree.
#[test]
fn hidden_changes_are_confirmed() {
    let mut driver = driver(Config::default(), false, false);
    driver.begin_experience(0).unwrap();
    // The first window is the first group's.
    assert_eq!(steps(&mut driver, 0, 3), [0; 3]);
    driver.script.draws.push_back(task(0, 30, 91));
    assert_eq!(steps(&mut driver, 1, 3), [0; 3], "one window is not enough");
    driver.script.draws.push_back(task(0, 30, 91));
    driver.script.iterations.push_back(vec![task(1, 4, 0)]);
    assert_eq!(steps(&mut driver, 1, 3), [0, 0, 1]);
    driver.end_of_stream().unwrap();
}

/// An experience shorter than a window is decided at its end.
#[test]
fn a_short_experience_is_decided_at_its_end() {
    let mut driver = driver(Config::default(), true, false);
    driver.begin_experience(0).unwrap();
    steps(&mut driver, 0, 3);
    driver.end_experience(0).unwrap();
    driver.begin_experience(1).unwrap();
    assert_eq!(steps(&mut driver, 1, 1), [0]);
    driver.script.draws.push_back(task(0, 30, 91));
    driver.script.iterations.push_back(vec![]);
    driver.end_experience(1).unwrap();
    assert_eq!(grouped(&driver), [0, 1]);
}

#[test]
fn standing_is_saved_in_the_middle_of_a_window() {
    let mut first = driver(Config::default(), true, false);
    first.begin_experience(0).unwrap();
    steps(&mut first, 0, 3);
    first.end_experience(0).unwrap();
    first.begin_experience(1).unwrap();
    steps(&mut first, 1, 2);
    let saved = first.save().unwrap();
    let mut second = driver(Config::default(), true, false);
    second.load(&saved).unwrap();
    assert_eq!(second.save().unwrap(), saved);
}

/// Row γ of the matrix of similarities, and rows of the memory by group; what is not open counts as
/// γ's.
#[test]
fn similarities_are_those_of_the_current_group() {
    let grants = Setting::new(CLASSES, &[WIDTH]).context.grants;
    let mut discovery = Discovery::new(Config::default().options(), grants, CLASSES, WIDTH);
    assert!(discovery.similarities(Control::True).is_empty());
    discovery.standing.open = vec![0, 2];
    discovery.standing.current = 2;
    discovery.standing.known.record(2, 0, 0.25);
    assert_eq!(discovery.similarities(Control::True), [0.25, 1.0]);
    let oracle = SimilarityGiven::Oracle.control(0.5);
    assert_eq!(discovery.similarities(oracle), [0.5, 1.0]);
}
