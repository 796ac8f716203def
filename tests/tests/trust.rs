//! `plugins trust`: a file that is not the one recorded is refused, whoever asks for it. Signatures are tested
//! with the module itself, which has one made by another program.

use perdura_tests::{Sandbox, built};

#[test]
fn a_trusted_plugin_that_changed_is_refused() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.write("libmine.so", std::fs::read(built().zoo("twin_a")).expect("built"));
    let file = plugin.display();
    let trusted = sandbox.line(&format!("plugins trust {file}")).expect(0);
    let list = sandbox.path("data").join("perdura/trust.lock");
    assert!(trusted.out.contains(&format!("recorded in {}", list.display())), "{}", trusted.out);
    let text = std::fs::read_to_string(&list).expect("it was written");
    assert!(text.contains("\"zoo/twin\" = "), "{text}");
    let run = format!("run zoo/twin --plugin {file} --epochs 1 --out out");
    sandbox.line(&run).expect(0);
    // Another file with the same id.
    sandbox.write("libmine.so", std::fs::read(built().zoo("twin_b")).expect("built"));
    let words = ["plugin zoo/twin is not the file that is trusted", "perdura plugins trust"];
    sandbox.line(&run.replace("--out out", "--out second")).refused(&words);
    sandbox.line(&format!("plugins info {file}")).refused(&words);
    assert!(!sandbox.path("work/second").exists());
    // A list named on the command line, or one in the working folder, comes first.
    let own = "plugins trust libmine.so --trust-lock trust.lock";
    sandbox.line(own).expect(0);
    sandbox.line(&run.replace("--out out", "--out second")).expect(0);
    std::fs::rename(sandbox.path("work/trust.lock"), sandbox.path("work/other.lock"))
        .expect("moved");
    sandbox.line(&run.replace("--out out", "--out third")).refused(&words);
    let named = run.replace("--out out", "--out third --trust-lock other.lock");
    sandbox.line(&named).expect(0);
    let missing = run.replace("--out out", "--out fourth --trust-lock none.lock");
    sandbox.line(&missing).refused(&["none.lock"]);
}
