//! `hikyaku run --baseline`: what differs from an earlier result, on the terminal, on the page and in the Markdown.

use std::fs;

use crate::common::{Scratch, hikyaku, stderr, stdout};

const SCENARIO: &str = "scenarios/quickstart.toml";
/// An addition in the place of a row by id: what is done again counts twice.
const HAZARD: &str = r#"service.booking.steps=["work 2ms..5ms", "add db.bookings", "commit"]"#;

fn run(out: &str, arguments: &[&str]) -> (i32, String) {
    let output = hikyaku(&[&["run", SCENARIO, "--seeds", "0..4", "--jobs", "2", "--out", out], arguments].concat());
    assert!(output.status.code().is_some_and(|code| code < 2), "{}{}", stdout(&output), stderr(&output));
    (output.status.code().unwrap_or_default(), stdout(&output))
}

#[test]
fn the_same_runs_have_no_difference_and_a_hazard_is_new_and_then_resolved() {
    let scratch = Scratch::new("baseline");
    let (safe, broken, third) = (scratch.path("safe"), scratch.path("broken"), scratch.path("third"));
    let (code, said) = run(&safe, &[]);
    assert!(code == 0 && !said.contains("against the baseline"), "{said}");

    let (code, said) = run(&third, &["--baseline", &safe]);
    assert_eq!(code, 0);
    assert!(
        said.contains("Nothing changed, still holds: 4 runs on both sides, and each is the same to its last event"),
        "{said}"
    );

    let (code, said) = run(&broken, &["--set", HAZARD, "--baseline", &format!("{safe}/verdict.json")]);
    assert_eq!(code, 1, "the verdict decides, not the difference: {said}");
    for part in ["Holds before, violated now: 1 promise newly broken", "db.bookings duplicates  new", "a run, in"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let page = fs::read_to_string(format!("{broken}/index.html")).unwrap();
    let text = fs::read_to_string(format!("{broken}/report.md")).unwrap();
    assert!(
        page.contains("id=\"baseline\"")
            && page.contains("href=\"#baseline\"")
            && page.contains("1 promise newly broken")
    );
    assert!(text.contains("### Against the baseline") && text.contains("| new |"), "{text}");
    assert!(
        page.find("id=\"baseline\"").unwrap() < page.find("id=\"charts\"").unwrap(),
        "the difference comes before the charts"
    );

    // The same figure, and less is promised: nothing was mended.
    let (code, said) = run(&third, &["--set", HAZARD, "--set", "expect.db.bookings=may-repeat", "--baseline", &broken]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 promise no longer broken, 1 promise asked otherwise"), "{said}");
    assert!(said.contains("db.bookings duplicates  resolved, asked otherwise"), "{said}");

    // What nobody asks for any more cannot break: the runs are the same, and yet something changed.
    run(&third, &["--set", "expect.orders=exactly-once"]);
    let (code, said) = run(&safe, &["--baseline", &third]);
    assert!(code == 0 && said.contains("not asked for any more") && said.contains("dropped"), "{said}");
    assert!(!said.contains("Nothing changed"), "{said}");

    // The baseline is read before anything is written: the folder may be the same.
    let (code, said) = run(&broken, &["--baseline", &broken]);
    assert!(code == 0 && said.contains("Violated before, holds now: 1 promise no longer broken"), "{said}");
}

#[test]
fn other_seeds_are_compared_by_their_figures_and_a_missing_baseline_is_said() {
    let scratch = Scratch::new("baseline-seeds");
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    run(&first, &[]);
    let output = hikyaku(&["run", SCENARIO, "--seeds", "4..8", "--out", &second, "--baseline", &first]);
    let said = stdout(&output);
    assert!(
        said.contains("no promise broke or was mended") && said.contains("no cell was run with a seed of the baseline"),
        "{said}"
    );
    let missing = hikyaku(&["run", SCENARIO, "--seed", "0", "--out", &second, "--baseline", &scratch.path("nowhere")]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("failed to read the baseline"), "{}", stderr(&missing));
    let foreign = scratch.write("foreign.json", "{}");
    let foreign = hikyaku(&["run", SCENARIO, "--seed", "0", "--out", &second, "--baseline", &foreign]);
    assert!(stderr(&foreign).contains("is no result of `hikyaku run`"), "{}", stderr(&foreign));
}
