//! `hikyaku mutants`: the list, the table of kills, and what a script may rely on.

use hikyaku::explore::mutants::{Fate, Source, WITNESSES, attempt, mutant};
use hikyaku::types::{Guard, Seed};

use crate::common::{Scratch, hikyaku, stderr, stdout};

#[test]
fn the_list_has_a_line_for_each_guard_that_begins_with_its_id() {
    let output = hikyaku(&["mutants"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    let ids: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, Guard::ALL.iter().map(|guard| guard.id()).collect::<Vec<_>>());
    let line = text.lines().find(|line| line.starts_with("P11 ")).expect("a line for P11");
    for word in ["acknowledged-is-durable", "replication elections", "the leader alone", "DelayedProduce"] {
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn the_list_is_also_json() {
    let output = hikyaku(&["mutants", "--id", "R6,P4", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let ids: Vec<&str> = list.as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, ["R6", "P4"]);
    assert_eq!(list[0]["scenario"], "tests/data/mutants/replication.toml");
    assert!(list[0]["oracles"][0].is_string());
}

#[test]
fn an_unknown_id_is_told_which_are_known() {
    let output = hikyaku(&["mutants", "--id", "r9,P111"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean `R9`?"), "{}", stderr(&output));
    assert!(stderr(&hikyaku(&["mutants", "--id", "P111"])).contains("did you mean `P11`?"));
    assert_eq!(hikyaku(&["mutants", "--seeds", "10"]).status.code(), Some(2), "without --kill nothing is run");
}

#[test]
fn a_kill_is_a_line_with_its_oracle_and_five_counts() {
    let output = hikyaku(&["mutants", "--kill", "--id", "P11,T14", "--seeds", "40"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for (id, oracle) in [("P11", "acknowledged-is-durable"), ("T14", "reads-are-committed")] {
        let line = text.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(oracle), "{line}");
        let numbers = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).count();
        assert_eq!(numbers, 6, "the median and the five: {line}");
    }
    assert!(text.contains("2 of 2 mutants killed"), "{text}");
    assert!(text.contains("hikyaku shrink tests/data/mutants/replication.toml --cell mix="), "{text}");
}

/// The systems without anything that goes wrong: nobody dies, and the exit code says so.
#[test]
fn a_mutant_that_survives_is_a_failure() {
    let scratch = Scratch::new("mutants");
    let text = std::fs::read_to_string("tests/data/mutants/replication.toml").expect("the system");
    let (system, _) = text.split_once("[matrix]").expect("mixes");
    let quiet = "[matrix]\nmix = [\"elections\"]\n\n[variant]\nelections = { chaos = { families = [\"clock\"], rate = \"1/min\" } }\n";
    scratch.write("replication.toml", format!("{system}{quiet}"));
    let folder = scratch.path("");
    let arguments = ["mutants", "--kill", "--id", "R1", "--seeds", "2", "--systems", &folder];
    let output = hikyaku(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    let line = stdout(&output).lines().find(|line| line.starts_with("R1 ")).expect("a line").to_string();
    assert!(line.contains("SURVIVED") && line.contains("– – – – –"), "{line}");
    let json = hikyaku(&[&arguments[..], &["--format", "json"]].concat());
    let list: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert_eq!(list[0]["killed-within"], serde_json::Value::Null);
    assert_eq!(list[0]["searches"][4]["end"], "survived");
    assert_eq!(list[0]["searches"][4]["runs"], 2);
}

/// Each file is called after its guard: it must fail without the guard, by an oracle that the table names, and hold with it.
/// Nothing in it is drawn, and it is small.
#[test]
fn a_witness_fails_without_its_guard_and_holds_with_it() {
    let mut files: Vec<String> = std::fs::read_dir("tests/data/mutants/witnesses")
        .expect("the folder")
        .map(|entry| entry.unwrap().path().file_stem().expect("a name").to_str().expect("an id").to_string())
        .collect();
    let mut known: Vec<&str> = WITNESSES.iter().map(|(id, _)| *id).collect();
    files.sort();
    known.sort();
    assert_eq!(files, known, "what is in the folder is in the program");
    for id in known {
        let guard = Guard::ALL.iter().copied().find(|guard| guard.id() == id).expect("a guard");
        let (by, others): (_, &[Guard]) = match mutant(guard).fate {
            Fate::Killed { by, .. } => (by, &[]),
            Fate::Masked { by, seen, .. } => (seen, by),
            Fate::Scripted { .. } => panic!("{id} is not to be killed"),
        };
        let family = Source::Built.witness(guard).expect("a witness").expect("a scenario");
        assert_eq!(family.cells.len(), 1, "{id}");
        let mut plan = family.cells[0].plan(Seed(family.seeds.start));
        plan.guards_off.extend(others);
        assert!(plan.chaos.is_none() && family.seeds.end - family.seeds.start == 1, "{id}: one run, nothing drawn");
        let most = if LARGER.contains(&id) { 5 } else { 3 };
        assert!(plan.faults.len() <= most, "{id}: {} faults", plan.faults.len());
        let kill = attempt(&plan, guard, by);
        assert!(kill.is_ok(), "{id}: {kill:?}");
    }
}

/// What takes more than three faults, however it was shrunk.
const LARGER: [&str; 4] = ["R8", "R11", "P13", "T22"];

/// Those that must be found first have a failure of at most three faults beside them.
#[test]
fn the_first_sixteen_have_small_witnesses() {
    let first = ["R1", "R4", "R5", "R6", "R7", "R9", "R15", "P4", "P7", "P9", "P10", "T1", "T3", "T14", "G1", "G10"];
    for id in first {
        let guard = Guard::ALL.iter().copied().find(|guard| guard.id() == id).expect("a guard");
        assert!(Source::Built.witness(guard).is_some() && !LARGER.contains(&id), "{id} has a small witness");
    }
}

#[test]
fn what_no_mix_finds_is_killed_by_its_witness_and_that_is_said() {
    let arguments = ["mutants", "--kill", "--id", "R9", "--seeds", "1"];
    let output = hikyaku(&arguments);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let line = text.lines().find(|line| line.starts_with("R9 ")).expect("a line");
    assert!(line.contains("candidates-complete") && line.contains("witness (1 run)"), "{line}");
    assert!(text.contains("1 killed so by a witness alone: a schedule of faults that is written down"), "{text}");
    let json = hikyaku(&[&arguments[..], &["--format", "json"]].concat());
    let list: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert_eq!(list[0]["killed-within"], serde_json::Value::Null);
    let witness = &list[0]["witness"];
    assert_eq!(witness["scenario"], "tests/data/mutants/witnesses/R9.toml");
    assert_eq!((&witness["scripted"], &witness["end"]), (&true.into(), &"killed".into()));
}
