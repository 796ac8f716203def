//! Reports about made-up runs. What charts look like in a browser is tested over the built binary.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::charts::charts;
use super::*;
use crate::compare::RunRecord;
use crate::compare::tests::{example, failed, finished, view};
use crate::run::{Anytime, AnytimeCurve, AnytimeSummary, MemorySize, Outcome};

fn runs(records: Vec<RunRecord>) -> Vec<ReportRun> {
    let run = |(number, record): (usize, RunRecord)| ReportRun {
        folder: PathBuf::from(format!("runs/{number}")),
        record,
        events: Vec::new(),
        anytime: None,
    };
    records.into_iter().enumerate().map(run).collect()
}

fn report(records: Vec<RunRecord>) -> Report {
    Report { sections: Section::all(runs(records)), unread: Vec::new(), damaged: Vec::new() }
}

#[test]
fn sections_are_benchmarks_and_memory_sizes_of_one_method() {
    let mut records = example();
    let titles = |records: &[RunRecord]| {
        report(records.to_vec()).sections.iter().map(Section::title).collect::<Vec<_>>()
    };
    assert_eq!(titles(&records), ["split-digits"]);
    // Another method with another size is an arm of its own.
    records.push(finished("a/x", 0, vec![view("main", 0.5)]));
    records.last_mut().unwrap().plan.memory = Some(MemorySize::Samples(500));
    assert_eq!(titles(&records), ["split-digits"]);
    records.push(finished("a/x", 0, vec![view("main", 0.5)]));
    records.push(finished("a/y", 0, vec![view("main", 0.5)]));
    records.last_mut().unwrap().plan.memory = None;
    records.push(finished("a/z", 0, vec![view("main", 0.5)]));
    records.last_mut().unwrap().plan.benchmark = "known".into();
    let expected = ["known", "split-digits, memory 200", "split-digits, memory 500"];
    assert_eq!(titles(&records), expected);
    let sections = report(records).sections;
    let has = |section: &Section| section.runs.iter().any(|run| run.record.plan.method == "a/y");
    assert!(has(&sections[1]) && has(&sections[2]) && !has(&sections[0]));
}

#[test]
fn the_page_is_whole_and_escapes_what_comes_from_outside() {
    let mut records = example();
    records.push(failed("lab/<script>alert(1)</script>", 0));
    if let Some(Outcome::Failed(fault)) =
        records.last_mut().unwrap().summary.as_mut().map(|s| &mut s.outcome)
    {
        fault.message = "</script><b>bold".into();
        fault.last_log = vec!["a & b".into()];
    }
    let page = write(&report(records), ReportFormat::Html);
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(!page.contains("<script>alert") && !page.contains("</script><b>"));
    assert!(page.contains("a &amp; b"));
    // Nothing is loaded: no element names an address.
    for reference in ["src=\"", "<link", "@import", "url("] {
        assert!(
            !page
                .replace(super::html::VEGA_EMBED, "")
                .replace(super::html::VEGA, "")
                .contains(reference),
            "{reference}"
        );
    }
    assert!(page.contains("72.33 ± 2.52 [70.00, 75.00]"));
    assert!(page.contains("broken failed with seeds 0, 1: panicked in observe"));
}

#[test]
fn charts_have_names_of_their_own_and_one_colour_for_a_method() {
    let mut records = example();
    for record in &mut records {
        for scores in
            record.summary.iter_mut().flat_map(|s| &mut s.views).flat_map(|v| &mut v.scenarios)
        {
            scores.matrix = vec![vec![Some(0.9), Some(0.1)], vec![Some(0.5), Some(0.75)]];
        }
    }
    let charts = charts(&report(records).sections[0]);
    let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
    let kinds = [
        "Final accuracy",
        "Accuracy over time",
        "Forgetting of each experience",
        "Plasticity against stability",
        "Accuracy matrices",
    ];
    let of =
        |scenario: &str| kinds.iter().map(move |k| format!("{k}, {scenario}")).collect::<Vec<_>>();
    assert_eq!(titles, [of("class-il"), of("task-il")].concat());
    let mut names: Vec<&str> = charts.iter().map(|chart| chart.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), charts.len());
    let domain =
        |chart: &charts::Chart| chart.spec.pointer("/encoding/color/scale/domain").cloned();
    let expected = Some(serde_json::json!(["broken", "cls-er", "sgd"]));
    assert_eq!((domain(&charts[0]), domain(&charts[1])), (expected.clone(), expected));
}

#[test]
fn tidy_lines_hold_one_number_each() {
    let mut records = vec![finished("a/x", 4, vec![view("main", 0.5)])];
    let scores = &mut records[0].summary.as_mut().unwrap().views[0].scenarios[1];
    scores.initial = vec![Some(0.1), None];
    scores.matrix = vec![vec![Some(0.75), Some(0.25)]];
    records[0].plan.arm = Some("x, \"slow\"".into());
    let text = write(&report(records), ReportFormat::Csv);
    let expected = [
        "main,nothing,class-il,average_accuracy,,,0.5",
        "main,nothing,class-il,accuracy,initial,0,0.1",
        "main,nothing,class-il,accuracy,0,1,0.25",
        ",,,seconds,,,1.5",
    ];
    for rest in expected {
        let line = format!(r#"split-digits,200,a/x,"x, ""slow""",4,finished,{rest}"#);
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("accuracy,initial,1"), "undefined");
}

#[test]
fn the_latex_table_has_bounds_apart_and_the_best_learners_bold() {
    let mut records = example();
    for (seed, accuracy) in [(0, 0.9), (1, 0.9), (2, 0.9)] {
        let mut bound = view("main", accuracy);
        bound.upper_bound = true;
        records.push(finished("perdura/joint", seed, vec![bound]));
    }
    let text = write(&report(records), ReportFormat::Latex);
    assert!(text.contains("cls-er & $\\mathbf{72.33 \\pm 2.52}$ & $17.67 \\pm 2.52$"), "{text}");
    let rules: Vec<&str> =
        text.lines().filter(|line| line.contains("rule")).map(str::trim).collect();
    let expected = [
        "\\toprule",
        "\\cmidrule(lr){2-3} \\cmidrule(lr){4-5}",
        "\\midrule",
        "\\midrule",
        "\\bottomrule",
    ];
    assert_eq!(rules, expected);
    let (joint, sgd) = (text.find("  joint &").unwrap(), text.find("  sgd &").unwrap());
    assert!(sgd < joint && text.contains("$90.00 \\pm 0.00$"), "{text}");
}

#[test]
fn the_document_holds_comparison_and_runs() {
    let text = write(&report(example()), ReportFormat::Json);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let section = &document["sections"][0];
    assert_eq!(section["runs"].as_array().unwrap().len(), 8);
    assert_eq!(section["comparison"]["rows"][2]["method"], "perdura/cls-er");
    assert_eq!(section["runs"][0]["plan"]["method"], "lab/broken");
}

/// Two experiences that end after 15 and 30 steps, scored every 10.
fn scored_between() -> Report {
    let mut records = vec![finished("a/x", 4, vec![view("main", 0.5)])];
    let summary = records[0].summary.as_mut().unwrap();
    summary.anytime = Some(AnytimeSummary { every: 10, points: 2, fault: None });
    summary.views[0].scenarios.truncate(1);
    let scores = &mut summary.views[0].scenarios[0];
    scores.scenario = "class-il".into();
    scores.matrix = vec![vec![Some(1.0), Some(0.0)], vec![Some(0.5), Some(0.75)]];
    scores.metrics.worst_case_accuracy = Some(0.5);
    scores.metrics.stability_gap = Some(0.75);
    let mut runs = runs(records);
    let (view, scenario) = ("main".into(), "class-il".into());
    let right = vec![vec![Some(2), None], vec![Some(1), Some(2)]];
    runs[0].anytime = Some(Anytime {
        every: 10,
        ends: vec![15, 30],
        samples: vec![4, 4],
        steps: vec![10, 20],
        curves: vec![AnytimeCurve { view, scenario, right }],
    });
    Report { sections: Section::all(runs), unread: Vec::new(), damaged: Vec::new() }
}

#[test]
fn scores_between_boundaries_are_drawn_and_written() {
    let report = scored_between();
    let charts = charts(&report.sections[0]);
    let values = |title: &str| {
        let chart = charts.iter().find(|chart| chart.title == title).expect(title);
        let data = chart.spec.pointer("/data/values").unwrap().as_array().unwrap().clone();
        let pair = |datum: &serde_json::Value| {
            (datum["at"].as_u64().unwrap(), datum["mean"].as_f64().unwrap())
        };
        (data.iter().map(pair).collect::<Vec<_>>(), chart.spec["layer"][0]["data"].clone())
    };
    let (begun, ends) = values("Accuracy by step, class-il");
    // 2/4; row 1; (1/4 + 2/4)/2; row (0.5 + 0.75)/2.
    assert_eq!(begun, [(10, 50.0), (15, 100.0), (20, 37.5), (30, 62.5)]);
    assert_eq!(ends, serde_json::json!({ "values": [{ "at": 15 }, { "at": 30 }] }));
    let (first, _) = values("Accuracy on the first experience by step, class-il");
    assert_eq!(first, [(10, 50.0), (15, 100.0), (20, 25.0), (30, 50.0)]);

    let text = write(&report, ReportFormat::Csv);
    for line in [
        "main,,class-il,anytime_accuracy,10,0,0.5",
        "main,,class-il,anytime_accuracy,20,1,0.5",
        "main,nothing,class-il,stability_gap,,,0.75",
        ",,,learner_cpu_seconds,,,1",
    ] {
        assert!(text.lines().any(|found| found.ends_with(line)), "{line}\n{text}");
    }
    let text = write(&report, ReportFormat::Latex);
    assert!(text.contains("accuracy & forgetting & worst case & stability gap"), "{text}");
    assert!(text.contains("\\cmidrule(lr){2-5}") && text.contains("& $50.00$ & $75.00$"), "{text}");
    let text = write(&report, ReportFormat::Json);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["sections"][0]["runs"][0]["anytime"]["curves"][0]["right"][1][1], 2);
    let page = write(&report, ReportFormat::Html);
    assert!(page.contains("<th>stability gap</th>") && page.contains("<td>75.00</td>"));
    assert!(page.contains("learner, CPU seconds"));
}

#[test]
fn a_run_that_cannot_be_read_is_named_and_the_others_are_shown() {
    let out = tempfile::tempdir().unwrap();
    let create = |seed| {
        crate::run::RunFolder::create(out.path(), &crate::run::tests::plan("a/x", seed)).unwrap()
    };
    let (_, damaged) = (create(0), create(1));
    std::fs::write(damaged.path().join("summary.json"), "{").unwrap();
    let report = Report::of(&[out.path().to_owned()]).unwrap();
    assert_eq!(report.sections[0].runs.len(), 1);
    assert!(report.unread[0].contains("summary.json is damaged"), "{:?}", report.unread);
    assert!(write(&report, ReportFormat::Html).contains("Not read: "));
    // One folder named twice is one.
    let twice = Report::of(&[out.path().to_owned(), out.path().to_owned()]).unwrap();
    assert_eq!(twice.sections[0].runs.len(), 1);
}

#[test]
fn of_damaged_events_those_that_are_whole_are_used_and_the_damage_is_named() {
    use crate::run::{Event, EventKind};
    let out = tempfile::tempdir().unwrap();
    let plan = crate::run::tests::plan("a/x", 0);
    let mut run = crate::run::RunFolder::create(out.path(), &plan).unwrap();
    let epoch = |epoch: u32| {
        let scalars = [("loss".to_owned(), Some(0.5))].into();
        let what = EventKind::EpochEnded { experience: 0, epoch, steps: 1, scalars };
        Event { at_ms: 0, what }
    };
    (0..4).for_each(|number| run.append_event(&epoch(number)).unwrap());
    let path = run.path().join("events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&path, [lines[0], "{\"at_ms\":", "\u{0}\u{0}", lines[3], ""].join("\n"))
        .unwrap();
    let report = Report::of(&[out.path().to_owned()]).unwrap();
    assert!(report.unread.is_empty(), "{:?}", report.unread);
    assert_eq!(report.sections[0].runs[0].events, [epoch(0), epoch(3)]);
    let [damage] = &report.damaged[..] else { panic!("{:?}", report.damaged) };
    assert!(damage.contains("events.jsonl is damaged or was edited: line 2: "), "{damage}");
    assert!(damage.ends_with("; and 1 more"), "{damage}");
    assert!(write(&report, ReportFormat::Html).contains("Read in part: "));
}

#[test]
fn a_folder_without_runs_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let error = Report::of(&[empty.path().to_owned()]).err().unwrap().to_string();
    assert!(
        error.ends_with("holds no run: expected folders with a plan.json at or below it"),
        "{error}"
    );
}

#[test]
fn libraries_are_those_the_readme_names() {
    let readme = include_str!("assets/README.md");
    let files = [
        ("vega.min.js", super::html::VEGA),
        ("vega-lite.min.js", super::html::VEGA_LITE),
        ("vega-embed.min.js", super::html::VEGA_EMBED),
    ];
    for (name, text) in files {
        let digest = Sha256::digest(text.as_bytes());
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = readme.lines().find(|line| line.starts_with(&format!("| `{name}`"))).unwrap();
        assert!(line.contains(&hash), "{name}: {hash}");
    }
}

/// Medians over the seeds of a method: 3 s of learner and 1 s of stream, of 1,000 steps in 4 s.
#[test]
fn the_page_says_where_the_time_went() {
    let mut records: Vec<RunRecord> =
        (0..3).map(|seed| finished("a/x", seed, vec![view("main", 0.5)])).collect();
    for record in &mut records {
        record.summary.as_mut().unwrap().steps = 1_000;
        let resources = record.resources.as_mut().unwrap();
        resources.seconds = 4.0;
        resources.ledger = [("learner".into(), 3.0), ("stream".into(), 1.0)].into();
    }
    let page = write(&report(records), ReportFormat::Html);
    let table = page.split("<h3>Time by activity</h3>").nth(1).expect("a table");
    let table = table.replace("</th>", "");
    assert!(table.contains("<th>learner<th>stream"), "{table}");
    assert!(table.contains("<td>4000</td><td>75.0</td><td>25.0</td>"), "{table}");
}
