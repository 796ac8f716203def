//! Reports in a browser: every chart is drawn, nothing complains, and nothing is asked of a
//! network. Chromium is not needed to use Perdura: without it these tests are skipped, and say so.

use perdura_tests::{Sandbox, answer_of};
use std::path::{Path, PathBuf};

/// The browser that `PERDURA_CHROMIUM` or the search path names.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("PERDURA_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = || {
        let files = folders.iter().flat_map(|folder| names.map(|name| folder.join(name)));
        files.into_iter().find(|file| file.is_file())
    };
    let browser = named.or_else(found);
    if browser.is_none() {
        eprintln!("SKIPPED: no Chromium on the search path or in PERDURA_CHROMIUM");
    }
    browser
}

/// What a page became in the browser.
struct Seen {
    document: String,
    /// What it said on the console.
    console: Vec<String>,
}

impl Seen {
    /// Charts that were drawn and that were not, as the page counts them.
    fn counts(&self) -> (usize, usize) {
        let number = |name: &str| {
            let start = format!("data-{name}=\"");
            let rest = self.document.split(&start).nth(1).expect("the page counts its charts");
            rest.split('"').next().and_then(|n| n.parse().ok()).expect("a number")
        };
        (number("drawn"), number("failed"))
    }
}

/// Opens a page with no network, in light (`scheme` 1) or dark (0) colours.
fn open(sandbox: &Sandbox, browser: &Path, page: &Path, scheme: u8) -> Seen {
    let mut command = sandbox.command(browser);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
    command.args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=30000"]);
    command.arg(format!("--blink-settings=preferredColorScheme={scheme}"));
    command.arg("--dump-dom").arg(format!("file://{}", page.display()));
    let answer = answer_of(command).expect(0);
    let console = answer.err.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
    Seen { console: console.collect(), document: answer.out }
}

/// Two methods, one that grows, one that fails: every kind of chart has something to show.
fn page(sandbox: &Sandbox) -> PathBuf {
    let runs = [
        "compare --methods sgd,er --benchmark split-digits --memory 50 --epochs 1 --seeds 0..2 \
         --score-every 10",
        "compare --methods sg-cls,er --benchmark known-similarity-digits --memory 100 --epochs 1 \
         --seeds 0..2",
    ];
    runs.iter().for_each(|words| drop(sandbox.line(words).expect(0)));
    sandbox.line("report --out report.html").expect(0);
    sandbox.path("work/report.html")
}

#[test]
fn every_chart_is_drawn_in_light_and_in_dark() {
    let Some(browser) = chromium() else { return };
    let sandbox = Sandbox::new();
    let page = page(&sandbox);
    let text = std::fs::read_to_string(&page).expect("the report was written");
    let charts = text.matches("<figure").count();
    let titles = [
        "Final accuracy, class-il",
        "Accuracy over time, task-il",
        "Accuracy by step, class-il",
        "Accuracy on the first experience by step, task-il",
        "Forgetting of each experience",
        "Plasticity against stability",
        "Recency bias",
        "Accuracy matrices, domain-il",
        "What is taken for what",
        "Growth",
        "Groups of experiences",
        "Similarities",
        "Training",
        "Where the time went",
    ];
    titles.iter().for_each(|title| assert!(text.contains(title), "{title}"));
    for scheme in [1, 0] {
        let seen = open(&sandbox, &browser, &page, scheme);
        assert_eq!(seen.console, [] as [String; 0]);
        assert_eq!(seen.counts(), (charts, 0));
        // Each is a drawing with something in it, and can be saved as one.
        assert_eq!(seen.document.matches("<svg xmlns=").count(), charts);
        assert_eq!(seen.document.matches(".svg\"").count(), charts, "a link to save each");
        let background = if scheme == 1 { "#0072b2" } else { "#4aa8e8" };
        assert!(seen.document.contains(background), "colours of the scheme");
    }
}

#[test]
fn a_chart_that_cannot_be_drawn_is_counted_and_said() {
    let Some(browser) = chromium() else { return };
    let sandbox = Sandbox::new();
    let page = page(&sandbox);
    let text = std::fs::read_to_string(&page).expect("the report was written");
    let charts = text.matches("<figure").count();
    let broken = text.replacen("\"type\":\"tick\"", "\"type\":\"no such mark\"", 1);
    assert_ne!(broken, text);
    let page = sandbox.write("broken.html", broken);
    let seen = open(&sandbox, &browser, &page, 1);
    assert_eq!(seen.counts(), (charts - 1, 1));
    assert!(seen.console.iter().any(|line| line.contains("final-accuracy")), "{:?}", seen.console);
    assert!(seen.document.contains("This chart could not be drawn"));
}

#[test]
fn other_formats_are_printed_and_wrong_folders_refused() {
    let sandbox = Sandbox::new();
    sandbox.line("run sgd --benchmark split-digits --epochs 1").expect(0);
    let csv = sandbox.line("report --format csv").expect(0).out;
    assert!(csv.starts_with("benchmark,memory,method,arm,seed,status,"), "{csv}");
    assert!(sandbox.line("report --format latex").expect(0).out.contains("\\toprule"));
    assert!(sandbox.line("report --format markdown").expect(0).out.contains("## split-digits"));
    let document = sandbox.line("report --format json perdura-runs/split-digits").expect(0).json();
    assert_eq!(document["sections"][0]["runs"][0]["plan"]["method"], "perdura/sgd");
    sandbox.line("report").expect(0);
    assert!(sandbox.path("work/perdura-runs/report.html").is_file());
    sandbox.line("report nowhere").refused(&["cannot read nowhere"]);
    sandbox.write("empty.txt", "");
    std::fs::create_dir(sandbox.path("work/empty")).expect("it is new");
    sandbox.line("report empty").refused(&["empty holds no run"]);
}
