//! One plan and one seed are one run: twice in a process, on another thread, in another order, in another process, in
//! another build profile. `tests/data/digests.txt` holds the digest of every scenario, so that a change of the machines
//! that was not meant is seen at once. `UPDATE_GOLDENS=1 cargo test --test it digests` writes it anew.
//! `HIKYAKU_BINARY=… cargo test --test it digests::the_binary` asks another build of the program for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hikyaku::explore::in_parallel;
use hikyaku::scenario::Family;
use hikyaku::scenario::plan::{FaultTrigger, Plan};
use hikyaku::types::{Duration, Seed};

use crate::common::{Scratch, digest, hikyaku, is_of_another_build, load, run_all, stderr};

const GOLDEN: &str = "tests/data/digests.txt";

/// What makes a scenario short enough for every build. A scenario that is not named here runs as it is.
const SHORTER: &[(&str, &[&str])] = &[
    ("acks_0_loses", &["duration=12s", "service.shop.rate=100/s"]),
    ("acks_1_loses", &["duration=12s", "service.shop.rate=100/s"]),
    ("acks_all_holds", &["duration=12s", "service.shop.rate=100/s"]),
    ("acks_all_last_replica_standing", &["duration=25s", "service.shop.rate=50/s"]),
    ("backlog_recovery_after_consumer_crash", &["duration=30s", "fault.outage=at 5s for 15s crash billing"]),
    ("backlog_recovery_versus_headroom", &["duration=15s", "fault.outage=at 2s for 5s pause db"]),
    ("commit_after_repeats", &["duration=15s"]),
    ("commit_before_loses", &["duration=15s"]),
    ("earliest_repeats", &["duration=32s", "service.site.rate=20/s"]),
    ("latest_skips", &["duration=32s", "service.site.rate=20/s"]),
    ("eligible_replicas_outlive_the_last_one_standing", &["service.shop.rate=50/s"]),
    ("marker_and_work_in_one_transaction_holds", &["duration=15s"]),
    ("marker_before_work_loses", &["duration=15s"]),
    ("quickstart", &["duration=15s"]),
];

/// Scenarios that take no time, one of each kind.
const FEW: [&str; 3] = ["quickstart", "acks_1_loses", "commit_before_loses"];

fn shorter(name: &str) -> &'static [&'static str] {
    SHORTER.iter().find(|(known, _)| *known == name).map_or(&[], |(_, sets)| sets)
}

/// Every scenario of the folder, short, by its name.
fn scenarios() -> BTreeMap<String, Family> {
    let files = fs::read_dir("scenarios").expect("the folder of scenarios").map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            let family = load(path.to_str().unwrap(), shorter(&name));
            (name, family)
        })
        .collect()
}

fn line(name: &str, cell: &str, digest: u128) -> String {
    format!("{name} {} {digest:032x}", if cell.is_empty() { "-" } else { cell })
}

fn golden() -> String {
    fs::read_to_string(GOLDEN).unwrap_or_default()
}

/// A plan that takes no time.
fn quick() -> Plan {
    load("scenarios/quickstart.toml", &["duration=5s"]).cells[0].plan(Seed(3))
}

#[test]
fn every_scenario_has_the_digest_that_is_written_down() {
    let mut lines = Vec::new();
    for (name, family) in scenarios() {
        for run in run_all(&family, 0..1) {
            lines.push(line(&name, &family.cells[run.cell].id, run.report.digest));
        }
    }
    let now = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(GOLDEN, &now).expect("the golden file can be written");
        return;
    }
    let known = golden();
    let known: BTreeSet<&str> = known.lines().collect();
    let now: BTreeSet<&str> = now.lines().collect();
    assert_eq!(
        known.symmetric_difference(&now).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "old and new lines that differ; if the change is meant: UPDATE_GOLDENS=1 cargo test --test it digests"
    );
}

#[test]
fn the_binary_comes_to_the_digests_that_are_written_down() {
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        return;
    }
    let scratch = Scratch::new("digests");
    let golden = golden();
    // The binary of these tests is the library that has just been asked for all; another build is asked for all itself.
    let all = is_of_another_build();
    let names: Vec<String> = scenarios().into_keys().filter(|name| all || FEW.contains(&name.as_str())).collect();
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let lines = in_parallel(names.len(), jobs, |number| of_the_binary(&names[number], &scratch.path(&names[number])));
    let lines: BTreeSet<String> = lines.into_iter().flatten().collect();
    let known = golden.lines().filter(|line| all || FEW.contains(&line.split(' ').next().unwrap()));
    assert_eq!(lines, known.map(str::to_string).collect(), "against {GOLDEN}");
}

/// The lines of one scenario, as the program writes them down.
fn of_the_binary(name: &str, out: &str) -> Vec<String> {
    let mut arguments = vec!["run", "--format", "json", "--seeds", "0..1", "--out", out];
    arguments.extend(shorter(name).iter().flat_map(|set| ["--set", *set]));
    let file = format!("scenarios/{name}.toml");
    arguments.push(&file);
    let output = hikyaku(&arguments);
    // One seed need not show a hazard that the scenario requires; it must not fail for another reason.
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{name}: {:?} {}", output.status, stderr(&output));
    let text = fs::read_to_string(Path::new(out).join("verdict.json")).expect("a verdict is written");
    assert_eq!(text.as_bytes(), output.stdout, "{name}: what is printed is what is written");
    let verdict: serde_json::Value = serde_json::from_str(&text).expect("a verdict is JSON");
    let runs = verdict["runs"].as_array().expect("a verdict has runs");
    assert!(!runs.is_empty());
    let digest = |run: &serde_json::Value| u128::from_str_radix(run["digest"].as_str().unwrap(), 16).unwrap();
    runs.iter().map(|run| line(name, run["cell"].as_str().unwrap(), digest(run))).collect()
}

#[test]
fn one_plan_and_seed_are_one_run_wherever_and_whenever_it_runs() {
    let family = load("scenarios/quickstart.toml", &["duration=5s"]);
    let plans: Vec<Plan> = (0..4).map(|seed| family.cells[0].plan(Seed(seed))).collect();
    let first: Vec<u128> = plans.iter().map(digest).collect();
    let again: Vec<u128> = plans.iter().map(digest).collect();
    assert_eq!(first, again, "twice in one process");
    let backwards: Vec<u128> = plans.iter().rev().map(digest).collect();
    assert_eq!(first, backwards.into_iter().rev().collect::<Vec<_>>(), "in another order");
    let threads: Vec<_> = plans.iter().cloned().map(|plan| std::thread::spawn(move || digest(&plan))).collect();
    let elsewhere: Vec<u128> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(first, elsewhere, "on threads side by side");
    let many: Vec<u128> = run_all(&family, 0..4).iter().map(|run| run.report.digest).collect();
    assert_eq!(first, many, "as one family");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 4, "each seed is another run");
}

#[test]
fn two_processes_come_to_one_history() {
    let scratch = Scratch::new("processes");
    let write = |name: &str, jobs: &str| {
        let out = scratch.path(name);
        let arguments =
            ["run", "scenarios/quickstart.toml", "--set", "duration=5s", "--seeds", "0..3", "--jobs", jobs, "--out"];
        let output = hikyaku(&[&arguments[..], &[&out]].concat());
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{}", stderr(&output));
        let verdict: String = fs::read_to_string(Path::new(&out).join("verdict.json")).unwrap();
        let history = fs::read(Path::new(&out).join("run/seed-0/history.jsonl")).unwrap();
        (verdict, history)
    };
    let (verdict, history) = write("one", "1");
    let (other_verdict, other_history) = write("two", "2");
    assert!(history.len() > 10_000, "a history of {} bytes", history.len());
    assert!(history == other_history, "the histories differ");
    assert_eq!(verdict, other_verdict);
}

#[test]
fn another_seed_and_every_change_of_a_fault_is_another_run() {
    let plan = quick();
    let mut digests = vec![digest(&plan)];
    let mut other = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        assert_ne!(changed, plan, "the change does not reach the plan");
        digests.push(digest(&changed));
    };
    other(&|plan| plan.seed = Seed(4));
    other(&|plan| plan.faults.clear());
    other(&|plan| plan.faults[0].trigger = FaultTrigger::At(Duration::from_millis(1500)));
    other(&|plan| plan.faults[0].trigger = FaultTrigger::At(Duration::from_nanos(1_500_000_001)));
    other(&|plan| plan.faults[0].duration = Some(Duration::from_millis(1001)));
    let different: BTreeSet<u128> = digests.iter().copied().collect();
    assert_eq!(different.len(), digests.len(), "{digests:x?}");
}
