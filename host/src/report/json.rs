//! The report as one document: what the page shows, and the files behind it.

use serde_json::{Value, json};

use super::{ReportRun, Section};

/// All sections with their comparison and their runs: plan, summary and resources.
pub fn json(sections: &[Section]) -> String {
    let sections: Vec<Value> = sections.iter().map(section).collect();
    let document = json!({ "format": 1, "sections": sections });
    serde_json::to_string_pretty(&document).expect("string keys serialise") + "\n"
}

fn section(section: &Section) -> Value {
    let run = |ReportRun { folder, record, anytime, .. }: &ReportRun| {
        json!({
            "folder": folder,
            "plan": record.plan,
            "summary": record.summary,
            "resources": record.resources,
            "anytime": anytime,
        })
    };
    json!({
        "benchmark": section.benchmark,
        "memory": section.memory,
        "comparison": section.comparison,
        "runs": section.runs.iter().map(run).collect::<Vec<_>>(),
    })
}
