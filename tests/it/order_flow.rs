//! An engineer's own flow in one file: it is valid, it keeps its promises, and each mistake that somebody could make in it is
//! found with its place, its cause and its cure.

use std::fs;

use hikyaku::checks::Verdict;
use hikyaku::types::Seed;

use crate::common::{Scratch, hikyaku, load, run, stdout};

const FLOW: &str = "tests/data/order_flow/flow.toml";
const MISTAKES: &str = "tests/data/order_flow/mistakes.txt";

#[test]
fn a_whole_flow_fits_in_one_file_and_keeps_its_promises() {
    let text = fs::read_to_string(FLOW).unwrap();
    assert!(text.lines().count() < 120, "{} lines", text.lines().count());
    let family = load(FLOW, &["duration=45s"]);
    assert!(family.warnings.is_empty(), "{}", family.warnings.short());
    for seed in 0..2 {
        let (outcome, _) = run(&family.cells[0].plan(Seed(seed)));
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {seed}: {:?}", outcome.reasons);
        let counters = outcome.counters;
        assert!(counters.unknown_outcomes > 0 && counters.dead_letters > 0 && counters.crashes >= 4, "{counters:?}");
    }
}

struct Mistake {
    line: String,
    instead: Vec<String>,
    place: String,
    cause: String,
    cure: String,
}

fn mistakes() -> Vec<Mistake> {
    let text = fs::read_to_string(MISTAKES).unwrap();
    let paragraphs = text.split("\n\n").filter(|part| part.trim_start().starts_with("- "));
    let read = |paragraph: &str| {
        let marked = |mark: &str| -> Vec<String> {
            paragraph.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_string).collect()
        };
        let one = |mark: &str| marked(mark).into_iter().next().unwrap_or_else(|| panic!("no `{mark}` in {paragraph}"));
        Mistake {
            line: one("- "),
            instead: marked("+ "),
            place: one("place  "),
            cause: one("cause  "),
            cure: one("cure   "),
        }
    };
    paragraphs.map(read).collect()
}

#[test]
fn every_planted_mistake_is_found_with_its_place_cause_and_cure() {
    let flow = fs::read_to_string(FLOW).unwrap();
    let scratch = Scratch::new("mistakes");
    let mistakes = mistakes();
    assert!(mistakes.len() >= 30, "{} mistakes", mistakes.len());
    let mut missed = Vec::new();
    for mistake in &mistakes {
        let mut lines: Vec<&str> = flow.lines().collect();
        let at = lines.iter().position(|line| *line == mistake.line);
        let at = at.unwrap_or_else(|| panic!("flow.toml has no line `{}`", mistake.line));
        lines.splice(at..=at, mistake.instead.iter().map(String::as_str));
        let text = format!("{}\n", lines.join("\n"));
        let checked = hikyaku(&["check", "--format", "json", &scratch.write("flow.toml", &text)]);
        assert_eq!(checked.status.code(), Some(2), "`{}` as {:?} is accepted", mistake.line, mistake.instead);
        let found: Vec<serde_json::Value> = serde_json::from_str(&stdout(&checked)).expect("JSON");
        let says = |problem: &serde_json::Value| {
            let word = |name: &str| problem[name].as_str().unwrap_or_default().to_string();
            let byte = |name: &str| problem[name].as_u64().unwrap_or_default() as usize;
            problem["severity"] == "error"
                && word("message").contains(&mistake.cause)
                && text.get(byte("start")..byte("end")) == Some(&mistake.place)
                && word("help").contains(&mistake.cure)
        };
        if !found.iter().any(says) {
            missed.push(format!("`{}` as {:?}:\n{found:#?}", mistake.line, mistake.instead));
        }
    }
    assert!(missed.is_empty(), "{} of {} are not found:\n{}", missed.len(), mistakes.len(), missed.join("\n"));
}
