//! What people see while runs go on, where standard error is a pipe.

use perdura_tests::{RunResult, Sandbox};

#[test]
fn a_piped_comparison_says_a_plain_line_at_the_end_of_each_experience() {
    let sandbox = Sandbox::new();
    let words = "compare --methods er,joint --memory 40 --seeds 0..2 --epochs 1";
    let answer = sandbox.line(words).expect(0);
    assert!(
        answer.err.bytes().all(|byte| byte == b'\n' || (0x20..0x80).contains(&byte)),
        "{:?}",
        answer.err
    );
    let of = |start: &str| -> Vec<&str> {
        answer.err.lines().filter(|line| line.starts_with(start)).collect()
    };
    for seed in 0..2 {
        let lines = of(&format!("er seed {seed}: "));
        assert_eq!(lines.len(), 6, "five experiences and an end:\n{}", answer.err);
        for (index, line) in lines[..5].iter().enumerate() {
            let start = format!("er seed {seed}: experience {}/5: class-il ", index + 1);
            assert!(line.starts_with(&start), "{line}");
            for part in [" %, task-il ", " %; ", " steps/s, ", " MiB"] {
                assert!(line.contains(part), "`{part}` is not in: {line}");
            }
            assert_eq!(line.ends_with(" left"), index < 4, "{line}");
        }
        let done = lines[5].strip_prefix(&format!("er seed {seed}: done (")).expect("it ends");
        assert!(done.contains(" of 4): class-il ") && done.ends_with(" s"), "{done}");
        let union = of(&format!("joint seed {seed}: "));
        assert!(union[0].contains(": end of the stream: class-il "), "{union:?}");
        assert_eq!(union.len(), 2, "{union:?}");
    }
    assert_eq!(answer.err.lines().count(), 16, "{}", answer.err);
}

/// DualNet declares the view that is told the group first; what is said of a run is the method's own.
#[test]
fn a_view_that_is_told_the_group_is_not_shown_as_the_methods_score() {
    let sandbox = Sandbox::new();
    let words = "compare --methods dualnet --benchmark known-similarity-digits --memory 40 --seeds 0 \
                 --epochs 1 --set mask_site=fast --set oracle_view=true --out out";
    let answer = sandbox.line(words).expect(0);
    assert!(answer.err.contains(": experience 9/9: domain-il "), "{}", answer.err);
    assert!(!answer.err.contains("oracle"), "{}", answer.err);
    let views = RunResult::only_below(&sandbox.path("work/out")).summary.views;
    let names: Vec<&str> = views.iter().map(|view| view.view.as_str()).collect();
    assert_eq!(names, ["main", "oracle-main"]);
}
