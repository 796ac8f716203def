//! DualNet's life beside the step itself: what it declares, keeps, answers and refuses.

mod support;

use perdura_dualnet::{
    BackboneKind, Between, Config, DualNet, HeadKind, Quirks, ReplayKd, Roles, SlowSchedule,
    SslSource,
};
use perdura_sdk::testing::{Driver, Observed, Samples, Setting};
use perdura_sdk::{Filter, Insert, InsertionPolicy, Profile, Source, ViewNeeds};
use support::*;

#[test]
fn declares_what_each_source_needs() {
    let declared = |source, head| {
        let config =
            Config { ssl_source: source, head, k: 3, n_outer: 2, sup_steps: 4, ..config() };
        driver(config).declaration
    };
    let paper = declared(SslSource::PastOnly, HeadKind::TaskAware);
    let (ssl, replay) = (&paper.requests[0], &paper.requests[1]);
    assert_eq!((ssl.source, ssl.filter), (Source::CurrentOrMemory, Filter::Past));
    assert_eq!((ssl.profile, ssl.views, ssl.repeats, ssl.count), (Profile::Ssl, 2, 6, 32));
    assert_eq!((replay.filter, replay.repeats), (Filter::Past, 4));
    assert_eq!(replay.columns, ["logits"]);
    assert_eq!(paper.views[0].needs, ViewNeeds::TaskLabel);
    assert_eq!(paper.wishes.insert, Insert::BeforeDraws);
    assert_eq!(paper.wishes.policy, InsertionPolicy::Ring);
    let free = declared(SslSource::MemoryAll, HeadKind::TaskFree);
    assert_eq!((free.requests[0].filter, free.requests[1].filter), (Filter::All, Filter::All));
    assert_eq!(free.views[0].needs, ViewNeeds::Nothing);
    assert_eq!(free.wishes.policy, InsertionPolicy::Reservoir);
    let both = declared(SslSource::CurrentAndMemory, HeadKind::TaskFree);
    let sources: Vec<_> = both.requests.iter().map(|r| (r.name.as_str(), r.source)).collect();
    let memory = Source::Memory;
    assert_eq!(sources, [("ssl", memory), ("ssl_current", Source::Current), ("replay", memory)]);
}

/// Turned off: no self-supervision, no old answers, no fast network.
#[test]
fn what_is_off_is_not_asked_for() {
    let off = Config { ssl_weight: 0.0, lambda_tr: 0.0, fast: false, ..config() };
    let mut driver = driver(off);
    assert_eq!(driver.declaration.requests.len(), 1);
    assert!(driver.declaration.columns.is_empty());
    assert!(tensors(&mut driver, &["fast."]).is_empty());
    let report = driver.step(&samples(4, 0), &[("replay", samples(4, 1))]).unwrap();
    assert_eq!((report.scalar("loss_ssl"), report.scalar("loss_kd")), (None, None));
    assert!(report.scalar("loss_ce_replay").is_some());
}

/// A control without the fast network, or without self-supervision, starts from the weights of the
/// full one.
#[test]
fn leaving_a_part_out_changes_no_other() {
    let weights = |config| tensors(&mut driver(config), &["slow.", "projector.", "head."]);
    let full = weights(config());
    assert_eq!(weights(Config { fast: false, ..config() }), full);
    assert_eq!(weights(Config { slow_readout: true, ssl_weight: 0.0, ..config() }), full);
}

#[test]
fn a_loaded_learner_goes_on_as_the_saved_one() {
    let schedule = SlowSchedule::EveryK;
    let configs = [
        Config { interaction_dropout: 0.35, slow_readout: true, ..config() },
        Config { slow_schedule: schedule, every: 3, between: Between::Accumulate, ..config() },
        Config { roles: Roles::Blog, head: HeadKind::TaskAware, ..config() },
    ];
    for config in configs {
        let fresh = || {
            let setting = Setting::new(CLASSES, &[WIDTH]).seed(3);
            Driver::<DualNet>::new(config.clone(), setting).unwrap()
        };
        let train = |driver: &mut Driver<DualNet>, salts: std::ops::Range<u32>| {
            driver.begin_experience_of(0, &[0, 1, 2, 3]).unwrap();
            for salt in salts {
                let of = |samples: Samples| {
                    let experiences = Some(vec![0; samples.labels.len()]);
                    Samples { experiences, ..samples }
                };
                let draws = [("ssl", of(views(8, salt))), ("replay", of(replay(5, salt)))];
                driver.step(&of(samples(6, salt)), &draws).unwrap();
            }
        };
        let mut first = fresh();
        train(&mut first, 0..4);
        let saved = first.save().unwrap();
        let mut second = fresh();
        train(&mut second, 10..14);
        second.load(&saved).unwrap();
        assert_eq!(second.save().unwrap(), saved);
        train(&mut first, 4..7);
        train(&mut second, 4..7);
        assert_eq!(first.save().unwrap(), second.save().unwrap());
    }
}

/// The finished experience's samples in the memory are gone over once, and their logits written.
#[test]
fn answers_are_kept_at_the_end_of_an_experience() {
    let mut driver = driver(config());
    step(&mut driver, 0);
    driver.script.iterations.push_back(vec![samples(3, 1), samples(2, 2)]);
    driver.end_experience(0).unwrap();
    let of =
        |name: &str| driver.script.calls.iter().find(|(n, _)| n == name).map(|(_, h)| h.clone());
    let asked = of("iterate").unwrap();
    assert_eq!((&asked["source"], &asked["filter"]), (&"memory".into(), &"finished".into()));
    assert_eq!(of("write_column").unwrap()["column"], "logits");
    let written = driver.script.written.pop().unwrap();
    let mut expected = driver.predict("main", &samples(3, 1).views[0]).unwrap().unwrap();
    expected.extend(driver.predict("main", &samples(2, 2).views[0]).unwrap().unwrap());
    assert_eq!(written, expected);
}

#[test]
fn an_empty_memory_has_no_answers_to_keep() {
    let mut driver = driver(config());
    driver.script.iterations.push_back(vec![]);
    driver.end_experience(0).unwrap();
    assert!(driver.script.calls.iter().all(|(name, _)| name != "write_column"));
}

/// With `released-code` views are normalised by one half, inputs as ever (quirk Q3).
#[test]
fn views_are_normalised_apart_in_the_released_code_alone() {
    for (quirks, expected) in
        [(Quirks::Fixed, Profile::Ssl), (Quirks::ReleasedCode, Profile::SslHalf)]
    {
        for ssl_source in [SslSource::PastOnly, SslSource::CurrentAndMemory] {
            let driver = driver(Config { quirks, ssl_source, ..config() });
            let (views, others): (Vec<_>, Vec<_>) =
                driver.declaration.requests.iter().partition(|r| r.name.starts_with("ssl"));
            assert!(!views.is_empty() && views.iter().all(|r| r.profile == expected), "{quirks:?}");
            assert!(others.iter().all(|r| r.profile == Profile::Train), "{quirks:?}");
        }
    }
}

/// Channels are dropped in training alone: the loss is another one, answers are the same, on units
/// and on maps.
#[test]
fn dropout_is_a_matter_of_training() {
    for (backbone, input) in
        [(BackboneKind::Mlp, vec![WIDTH]), (BackboneKind::Resnet18, vec![1, 16, 16])]
    {
        let width = input.iter().product();
        let batch = Samples::new(&inputs(6, width, 1), &[0, 1, 2, 3, 0, 1]);
        let of = |interaction_dropout| {
            let config =
                Config { interaction_dropout, backbone, width: 2, ssl_weight: 0.0, ..config() };
            let setting = Setting::new(CLASSES, &input).seed(3);
            let mut driver = Driver::<DualNet>::new(config, setting).unwrap();
            let answers = driver.predict("main", &batch.views[0]).unwrap().unwrap();
            let report = driver.step(&batch, &[]).unwrap();
            (answers, report.scalar("loss").unwrap())
        };
        let (without, with) = (of(0.0), of(0.5));
        assert_eq!(without.0, with.0, "{backbone:?}");
        assert!((without.1 - with.1).abs() > 1e-4, "{backbone:?}: {} {}", without.1, with.1);
        assert_eq!(with, of(0.5), "the same call seed drops the same channels");
    }
}

/// With `released-code` a replayed sample without an old answer is held to logits of 0 (quirk Q4).
#[test]
fn missing_answers_count_in_the_released_code_alone() {
    let kd = |quirks| {
        let mut driver = driver(Config { quirks, ssl_weight: 0.0, ..config() });
        let mut replay = replay(5, 1);
        replay.columns[0] = ("logits".into(), vec![0.0; 5 * CLASSES], vec![0; 5]);
        let report = driver.step(&samples(6, 0), &[("replay", replay)]).unwrap();
        report.scalar("loss_kd")
    };
    assert_eq!(kd(Quirks::Fixed), None);
    assert!(kd(Quirks::ReleasedCode).unwrap() > 0.0);
}

/// With `released-code` old answers are taken in training mode, and move the running statistics
/// (quirk Q2).
#[test]
fn answers_are_taken_in_evaluation_unless_as_released() {
    for (quirks, moves) in [(Quirks::Fixed, false), (Quirks::ReleasedCode, true)] {
        let config = Config { quirks, backbone: BackboneKind::Resnet18, width: 2, ..config() };
        let setting = Setting::new(CLASSES, &[1, 16, 16]);
        let mut driver = Driver::<DualNet>::new(config, setting).unwrap();
        let before = driver.save().unwrap();
        let batch = Samples::new(&inputs(4, 256, 1), &[0, 1, 2, 3]);
        driver.script.iterations.push_back(vec![batch]);
        driver.end_experience(0).unwrap();
        assert_eq!(driver.save().unwrap() != before, moves, "{quirks:?}");
    }
}

/// A task-aware view answers with the classes of the sample's own experience, a strange experience
/// with all.
#[test]
fn a_task_aware_view_uses_the_label_it_is_told() {
    let mut driver = driver(Config { head: HeadKind::TaskAware, ..config() });
    driver.begin_experience_of(0, &[0, 1]).unwrap();
    driver.begin_experience_of(1, &[2, 3]).unwrap();
    let x = inputs(3, WIDTH, 4);
    let logits = driver.predict_told("main", &x, &[0, 1, 9]).unwrap().unwrap();
    let counts =
        |row: usize| logits[row * CLASSES..][..CLASSES].iter().map(|&z| z > -1e8).collect();
    let found: [Vec<bool>; 3] = [counts(0), counts(1), counts(2)];
    assert_eq!(found[0], [true, true, false, false]);
    assert_eq!(found[1], [false, false, true, true]);
    assert_eq!(found[2], [true; 4]);
}

/// The read-out learns on the slow network without teaching it.
#[test]
fn the_slow_network_can_be_scored_alone() {
    let mut plain = driver(config());
    let mut with = driver(Config { slow_readout: true, ..config() });
    let before = tensors(&mut with, &["readout."]);
    (0..3).for_each(|i| drop((step(&mut plain, i), step(&mut with, i))));
    let shared = ["slow.", "fast.", "head.", "projector."];
    assert_eq!(tensors(&mut with, &shared), tensors(&mut plain, &shared));
    assert_ne!(tensors(&mut with, &["readout."]), before);
    let x = inputs(3, WIDTH, 9);
    let slow = with.predict("slow", &x).unwrap().unwrap();
    assert_ne!(slow, with.predict("main", &x).unwrap().unwrap());
    let error = plain.predict("slow", &x).unwrap_err().to_string();
    assert!(error.contains("no view is called `slow`"), "{error}");
}

/// An unlabelled batch is learned from without labels, and kept out of the memory, which has
/// labels.
#[test]
fn an_unlabelled_batch_stays_out_of_the_memory() {
    let mut driver = driver(Config { labelled: 0.5, ..config() });
    assert_eq!(driver.declaration.wishes.insert, Insert::AfterStep);
    let (mut labelled, mut unlabelled) = (0, 0);
    for i in 0..40 {
        let report = step(&mut driver, i);
        assert!(report.scalar("loss_ssl").unwrap() > 0.0);
        let kept_out = report.report.placements.is_some();
        match report.scalar("loss") {
            Some(_) => labelled += 1,
            None => unlabelled += 1,
        }
        assert_eq!(kept_out, report.scalar("loss").is_none());
        assert_eq!(kept_out, report.scalar("loss_ce").is_none());
    }
    // Five standard deviations around 20.
    assert!((5..=35).contains(&labelled) && labelled + unlabelled == 40, "{labelled}");
}

#[test]
fn an_empty_draw_is_no_views_and_no_replay() {
    let mut driver = driver(config());
    let nothing = || Samples::new(&[], &[]);
    let report = driver.step(&samples(4, 0), &[("ssl", nothing()), ("replay", nothing())]).unwrap();
    for absent in ["loss_ssl", "loss_ce_replay", "loss_kd"] {
        assert_eq!(report.scalar(absent), None, "{absent}");
    }
    assert_eq!(report.scalar("loss"), report.scalar("loss_ce"));
}

#[test]
fn the_logits_of_old_answers_can_be_kept_instead() {
    let mut driver = driver(Config { replay_kd: ReplayKd::LogitMse, ssl_weight: 0.0, ..config() });
    let answers = driver.predict("main", &samples(5, 201).views[0]).unwrap().unwrap();
    let replay = samples(5, 201).column("logits", &answers);
    let report = driver.step(&samples(6, 1), &[("replay", replay)]).unwrap();
    assert!(report.scalar("loss_kd").unwrap() < 1e-12);
}

/// Views of the current batch and of the memory are one batch for the loss.
#[test]
fn current_and_memory_are_joined() {
    let config = Config { ssl_source: SslSource::CurrentAndMemory, ..ssl_alone() };
    let loss = |draws: &[(&str, Samples)]| {
        let mut driver = driver(config.clone());
        driver.step(&samples(6, 0), draws).map(|r: Observed| r.scalar("loss_ssl").unwrap())
    };
    let (one, other) = (views(3, 1), views(4, 2));
    let join = |a: &Samples, b: &Samples, v: usize| [&a.views[v][..], &b.views[v]].concat();
    let joined = Samples::new(&join(&one, &other, 0), &[0; 7]).view(&join(&one, &other, 1));
    let nothing = Samples::new(&[], &[]);
    let apart = loss(&[("ssl", other), ("ssl_current", one)]).unwrap();
    assert_eq!(loss(&[("ssl", joined), ("ssl_current", nothing)]).unwrap(), apart);
}

#[test]
fn a_batch_of_one_is_refused() {
    let mut driver = driver(config());
    let error = driver.step(&samples(1, 0), &[("ssl", views(1, 1))]).unwrap_err().to_string();
    assert!(error.contains("expected at least 2 samples, found 1"), "{error}");
    let config = Config { backbone: BackboneKind::Resnet18, width: 2, ssl_weight: 0.0, ..config() };
    let mut driver = Driver::<DualNet>::new(config, Setting::new(CLASSES, &[1, 16, 16])).unwrap();
    let error = driver.step(&Samples::new(&inputs(1, 256, 1), &[0]), &[]).unwrap_err().to_string();
    assert!(error.contains("expected at least 2 values per channel"), "{error}");
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = |config: Config, setting: Setting| {
        let error = Driver::<DualNet>::new(config, setting).err().expect("refused");
        error.to_string()
    };
    let setting = || Setting::new(CLASSES, &[WIDTH]);
    let cases = [
        (Config { lr: 0.0, ..config() }, "`lr`: expected a number above 0, found 0"),
        (Config { beta: 1.5, ..config() }, "`beta`: expected a number from 0 to 1, found 1.5"),
        (Config { beta: -0.1, ..config() }, "`beta`: expected a number from 0 to 1, found -0.1"),
        (Config { tau: 0.0, ..config() }, "`tau`"),
        (Config { lr_ssl: 0.0, ..config() }, "`lr_ssl`: expected a number above 0, found 0"),
        (Config { lambda_bt: -1.0, ..config() }, "`lambda_bt`: expected a number of at least 0"),
        (Config { lambda_tr: -1.0, ..config() }, "`lambda_tr`: expected a number of at least 0"),
        (Config { ssl_weight: -1.0, ..config() }, "`ssl_weight`: expected a number of at least 0"),
        (Config { eps_std: -1e-6, ..config() }, "`eps_std`: expected a number of at least 0"),
        (Config { interaction_dropout: 1.0, ..config() }, "`interaction_dropout`"),
        (Config { labelled: 0.0, ..config() }, "`labelled`: expected a number above 0, up to 1"),
        (Config { labelled: 1.5, ..config() }, "`labelled`: expected a number above 0, up to 1"),
        (Config { k: 0, ..config() }, "`k`: expected at least 1, found 0"),
        (Config { n_outer: 0, ..config() }, "`n_outer`: expected at least 1, found 0"),
        (Config { width: 0, ..config() }, "`width`: expected at least 1, found 0"),
        (Config { projector: 0, ..config() }, "`projector`: expected at least 1, found 0"),
        (Config { hidden: vec![5, 0], ..config() }, "`hidden`: expected at least one width"),
        (Config { every: 0, ..config() }, "`every`: expected at least 1, found 0"),
        (Config { sup_steps: 0, ..config() }, "`sup_steps`: expected at least 1, found 0"),
        (Config { hidden: vec![], ..config() }, "`hidden`: expected at least one width"),
        (Config { ssl_batch: 1, ..config() }, "`ssl_batch`: expected at least 2"),
        (Config { fast: false, roles: Roles::Blog, ..config() }, "`fast`: expected true where"),
        (Config { backbone: BackboneKind::Resnet18, ..config() }, "`backbone`"),
    ];
    for (config, expected) in cases {
        let message = refused(config, setting());
        assert!(message.contains(expected), "{message}");
    }
    let mut hidden = setting();
    hidden.context.grants.boundaries = false;
    let message = refused(Config { head: HeadKind::TaskAware, ..config() }, hidden);
    assert!(message.contains("`head`: expected task_free, or a stream that tells"), "{message}");
}

#[test]
fn the_quirks_are_called_as_in_the_papers() {
    let config = serde_json::json!({ "quirks": "released-code", "slow_schedule": "every_k" });
    let config: Config = serde_json::from_value(config).unwrap();
    assert_eq!((config.quirks, config.slow_schedule), (Quirks::ReleasedCode, SlowSchedule::EveryK));
}
